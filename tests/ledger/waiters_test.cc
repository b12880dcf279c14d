#include "ledger/waiters.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/manual_clock.h"

using namespace once;
using namespace std::chrono_literals;

TEST_CASE("a change between the ticket and the wait is not missed") {
  ledger::Waiters waiters;
  ManualClock clock;
  const auto ticket = waiters.ticket("k");
  waiters.notify("k");
  waiters.wait("k", ticket, clock, clock.since_boot() + 24h);  // returns at once
  CHECK(waiters.ticket("k") != ticket);
}

TEST_CASE("a wait ends with its notice, and with its deadline on the given clock") {
  ledger::Waiters waiters;
  ManualClock clock;
  std::atomic<int> woken = 0;
  std::thread noticed([&, ticket = waiters.ticket("k")] {
    waiters.wait("k", ticket, clock, clock.since_boot() + 24h);
    ++woken;
  });
  waiters.notify("k");
  noticed.join();
  CHECK(woken == 1);
  std::thread late([&, ticket = waiters.ticket("k"), deadline = clock.since_boot() + 1h] {
    waiters.wait("k", ticket, clock, deadline);
    ++woken;
  });
  clock.advance(1h);
  late.join();
  CHECK(woken == 2);
}

TEST_CASE("closing wakes everybody for good") {
  ledger::Waiters waiters;
  ManualClock clock;
  std::thread waiting([&, ticket = waiters.ticket("k")] {
    waiters.wait("k", ticket, clock, clock.since_boot() + 24h);
  });
  waiters.close();
  waiting.join();
  waiters.wait("k", waiters.ticket("k"), clock, clock.since_boot() + 24h);
}

TEST_CASE("who waits for several keys is woken by any, by the deadline, and by closing") {
  ledger::Waiters waiters;
  ManualClock clock;
  const std::vector<Key> keys{"a", "b", "c", "a"};
  const auto watch = [&] {
    std::vector<ledger::Waiters::Watched> watched;
    for (const Key& key : keys) watched.push_back({.key = &key, .ticket = waiters.ticket(key)});
    return watched;
  };
  for (const Key& key : keys) {
    const auto watched = watch();
    waiters.notify(key);
    waiters.wait_any(watched, clock, clock.since_boot() + 24h);  // returns at once
    std::thread waiting([&, again = watch(), deadline = clock.since_boot() + 24h] {
      waiters.wait_any(again, clock, deadline);
    });
    waiters.notify(key);
    waiting.join();
  }
  std::thread late([&, watched = watch(), deadline = clock.since_boot() + 1h] {
    waiters.wait_any(watched, clock, deadline);
  });
  clock.advance(1h);
  late.join();
  std::thread waiting([&, watched = watch(), deadline = clock.since_boot() + 24h] {
    waiters.wait_any(watched, clock, deadline);
  });
  waiters.close();
  waiting.join();
  // Nobody is left to be woken.
  for (const Key& key : keys) waiters.notify(key);
}
