// Locks: one holder, growing tokens, loss and waiting. tests/tool/lock_test.py holds them against
// `once lock`.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "once/lock.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("one holder at a time, and tokens grow") {
  Store store = Simulation().open();
  Token first;
  {
    const Lock lock = value_of(Lock::acquire(store, "nightly"));
    first = lock.token();
    CHECK(lock.name() == "nightly");
    CHECK(first.value != 0);
    CHECK(error_of(Lock::try_acquire(store, "nightly")) == ErrorCode::busy);
    CHECK(value_of(Lock::try_acquire(store, "another")).token() != first);
    CHECK(value_of(store.status({"", lock_operation, "nightly"})) == KeyStatus::in_progress);
  }
  const Lock again = value_of(Lock::try_acquire(store, "nightly"));
  CHECK(again.token() > first);
}

TEST_CASE("who holds a lock can be read") {
  const Simulation simulation;
  Store store = simulation.open();
  CHECK_FALSE(value_of(Lock::owner(store, "nightly")));
  Lock lock = value_of(Lock::acquire(store, "nightly", {.lease = 1min}));
  const LockOwner owner = value_of(Lock::owner(store, "nightly")).value();
  CHECK(owner.token == lock.token());
  CHECK(owner.holder == simulation.processes->self());
  CHECK(owner.lease_until - owner.renewed_at == 1min);
  value_of(lock.unlock());
  value_of(lock.unlock());
  CHECK_FALSE(value_of(Lock::owner(store, "nightly")));
  CHECK(error_of(lock.renew()) == ErrorCode::fenced);
}

TEST_CASE("a holder that has ended holds nothing") {
  const Simulation simulation;
  Store store = simulation.open();
  const Key key("", lock_operation, "nightly");
  const Reservation theirs =
      reserved(store.reserve(key, {.on_abandon = OnAbandon::rerun, .holder = holder(7)}));
  simulation.processes->set(7, Liveness::running);
  CHECK(value_of(Lock::owner(store, "nightly"))->holder == holder(7));
  CHECK(error_of(Lock::try_acquire(store, "nightly")) == ErrorCode::busy);
  simulation.processes->set(7, Liveness::dead);
  CHECK_FALSE(value_of(Lock::owner(store, "nightly")));
  const Lock lock = value_of(Lock::try_acquire(store, "nightly"));
  CHECK(lock.token() > theirs.token);
  CHECK(error_of(store.renew(theirs, 1min)) == ErrorCode::fenced);
}

TEST_CASE("the lease is renewed while the lock lives, and lapses when it cannot be") {
  const Simulation simulation;
  Store store = simulation.open();
  Lock lock = value_of(Lock::acquire(store, "nightly", {.lease = 3min}));
  const auto lease = [&] { return value_of(Lock::owner(store, "nightly"))->lease_until; };
  const Time before = lease();
  simulation.clock->advance(2min);
  while (lease() == before) std::this_thread::yield();
  CHECK(lease() - before == 2min);
  simulation.clock->advance(30s);
  value_of(lock.renew());
  CHECK(lease() - before == 2min + 30s);
}

TEST_CASE(
    "a lock that was taken over is lost, and unlocking it takes nothing from the new holder") {
  Store store = Simulation().open();
  Lock lock = value_of(Lock::acquire(store, "nightly"));
  // Whoever presents the token may give it back.
  const Key key("", lock_operation, "nightly");
  value_of(store.release({.key = key, .token = lock.token()}));
  const Lock taken = value_of(Lock::try_acquire(store, "nightly"));
  CHECK_FALSE(lock.lost());
  CHECK(error_of(lock.renew()) == ErrorCode::fenced);
  CHECK(lock.lost());
  CHECK(error_of(lock.unlock()) == ErrorCode::fenced);
  CHECK(value_of(Lock::owner(store, "nightly"))->token == taken.token());
}

TEST_CASE("a loss is noticed by the renewal in the background") {
  const Simulation simulation;
  Store store = simulation.open();
  const Lock lock = value_of(Lock::acquire(store, "nightly", {.lease = 3min}));
  value_of(store.release({.key = {"", lock_operation, "nightly"}, .token = lock.token()}));
  simulation.clock->advance(1min);
  while (!lock.lost()) std::this_thread::yield();
}

TEST_CASE("who waits has the lock as soon as it is given back, and a stop ends the wait") {
  Store store = value_of(Store::open("memory:"));
  auto lock = std::make_optional(value_of(Lock::acquire(store, "nightly")));
  std::atomic<bool> got = false;
  std::thread waiter([&] {
    const Lock mine = value_of(Lock::acquire(store, "nightly"));
    got = true;
    got.notify_all();
  });
  CHECK_FALSE(got);
  lock.reset();
  got.wait(false);
  waiter.join();

  lock = value_of(Lock::acquire(store, "nightly"));
  std::stop_source stop;
  std::thread cancelled([&] {
    const auto answer = Lock::acquire(store, "nightly", {.wait = 1h, .stop = stop.get_token()});
    CHECK(error_of(answer) == ErrorCode::cancelled);
  });
  stop.request_stop();
  cancelled.join();
}

TEST_CASE("threads take turns") {
  Store store = value_of(Store::open("memory:"));
  int inside = 0;  // guarded by the lock, and by nothing else
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 25; ++n) {
        const Lock lock =
            value_of(Lock::acquire(store, "nightly", {.durability = Durability::buffered}));
        CHECK(++inside == 1);
        ++count;
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(count == 100);
}

TEST_CASE("bad names, and a key that was given an outcome by hand") {
  Store store = Simulation().open();
  CHECK(error_of(Lock::acquire(store, "")) == ErrorCode::invalid_argument);
  CHECK(error_of(Lock::acquire(store, std::string(2000, 'x'))) == ErrorCode::limit_exceeded);
  CHECK(error_of(Lock::acquire(store, "l", {.lease = 0ms})) == ErrorCode::invalid_argument);
  value_of(store.execute({"", lock_operation, "done"}, [] {}));
  CHECK(error_of(Lock::acquire(store, "done")) == ErrorCode::conflict);
}
