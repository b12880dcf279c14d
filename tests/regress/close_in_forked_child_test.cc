// After close() in a forked child every other call crashed, where it should have said that the
// store belongs to the parent. What has threads of its own hung when the child destroyed it.
#include <doctest/doctest.h>

#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>

#include "once/coordinator.h"
#include "once/execute.h"
#include "once/inbox.h"
#include "once/lock.h"
#include "once/outbox.h"
#include "once/workflow.h"
#include "store/fixture.h"
#include "support/child.h"

using namespace once;
using namespace once::testing;

namespace {

template <class T>
bool forked(const Result<T>& result) {
  return !result && result.error().code == ErrorCode::forked;
}

// Everything that is made on a store and lives on, with the threads it has.
struct Users {
  explicit Users(Store& store)
      : executor(std::make_unique<Executor>(store)),
        relay(value_of(
            Relay::start(store, callback_publisher([](const Event&) { return Result<void>(); })))),
        lock(value_of(Lock::acquire(store, "a lock"))),
        coordinator(store),
        inbox(store, "consumer"),
        outbox(store) {
    value_of(executor->execute_async("async", [] { return 1; }).get());
    workflow.node("a", {}, [] {});
    runner = std::make_unique<WorkflowRunner>(store, std::vector{workflow});
  }

  // The number of calls that gave something else than `forked`.
  int call_all(Store& store) {
    int wrong = 0;
    const auto check = [&](bool right) { wrong += right ? 0 : 1; };
    check(forked(executor->execute("new", [] { return 1; })));
    check(forked(executor->refresh("new", [] { return 1; })));
    check(forked(executor->execute_async("new", [] { return 1; }).get()));
    check(forked(relay->deliver_now()));
    check(forked(relay->stop()));
    const RelayStatus status = relay->status();
    check(status.error && status.error->code == ErrorCode::forked);
    runner->wake();
    runner->stop();
    check(forked(runner->last_look()));
    check(forked(lock->renew()));
    check(forked(Lock::acquire(store, "another")));
    check(forked(Lock::owner(store, "a lock")));
    check(forked(coordinator.report("new")));
    check(forked(coordinator.recover_all()));
    check(forked(inbox.process("event", [](Transaction&) { return Result<void>(); })));
    check(forked(outbox.lag()));
    check(forked(outbox.retry_dead()));
    check(forked(workflow.run(store, "1")));
    check(forked(Workflow::resume_all(store, {workflow})));
    return wrong;
  }

  std::unique_ptr<Executor> executor;
  std::unique_ptr<Relay> relay;
  std::optional<Lock> lock;
  Coordinator coordinator;
  Inbox inbox;
  Outbox outbox;
  Workflow workflow{"w"};
  std::unique_ptr<WorkflowRunner> runner;
};

int call_store(Store& store, const Reservation& mine) {
  int wrong = 0;
  const auto check = [&](bool right) { wrong += right ? 0 : 1; };
  check(forked(store.reserve("new")));
  check(forked(store.execute("new", [] { return 1; })));
  check(forked(store.transact("new", [](Transaction&) { return 1; })));
  check(forked(store.complete(mine, Outcome::success())));
  check(forked(store.find(mine.key)));
  check(forked(store.reserve_many({})));
  check(forked(store.stats()));
  check(forked(store.figures()));
  check(forked(store.publish({.type = "event"})));
  check(forked(store.load_checkpoints(mine.key)));
  check(forked(store.verify()));
  check(forked(store.compact()));
  return wrong;
}

}  // namespace

TEST_CASE("a forked child that has closed the store is told, by whatever it calls") {
  const TemporaryDirectory directory;
  Store store = value_of(Store::open(directory.file("s")));
  const Reservation mine = reserved(store.reserve("mine"));
  std::optional<Users> users(std::in_place, store);
  Child child([&](Child&) {
    ::alarm(20);
    if (!store.close() || !store.close()) return 100;
    return call_store(store, mine) + users->call_all(store);
  });
  CHECK(child.end() == 0);
  CHECK(value_of(store.find("mine")));
  value_of(users->lock->renew());
}

TEST_CASE("a forked child may destroy what has threads in the parent") {
  const TemporaryDirectory directory;
  std::optional<Store> store = value_of(Store::open(directory.file("s")));
  const Reservation mine = reserved(store->reserve("mine"));
  std::optional<Users> users(std::in_place, *store);
  for (const bool closes : {false, true}) {
    CAPTURE(closes);
    Child child([&](Child&) {
      ::alarm(20);
      if (closes) (void)store->close();
      users.reset();
      store.reset();
      return 0;
    });
    CHECK(child.end() == 0);
    value_of(users->lock->renew());
  }
  value_of(store->complete(mine, Outcome::success()));
}
