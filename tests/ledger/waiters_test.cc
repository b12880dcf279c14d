#include "ledger/waiters.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

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
