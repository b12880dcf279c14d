// The installed test kit, used as a program outside of the tree would: by public headers alone.
#include <doctest/doctest.h>
#include <once/once.h>
#include <once/testing.h>

#include <atomic>
#include <thread>

using namespace std::chrono_literals;
using once::ErrorCode;
using once::Reservation;
using once::Store;
using once::testing::DiskCall;
using once::testing::ExecutionProbe;
using once::testing::ManualClock;
using once::testing::ManualProcesses;
using once::testing::MemoryDisk;

TEST_CASE("time passes when the test says so") {
  auto clock = std::make_shared<ManualClock>();
  Store store = once::testing::memory_store(clock).value();
  ExecutionProbe probe;
  const auto run = [&] {
    return store.execute("k", probe.watch("k", [] { return 1; }), {.retention = 1h}).value();
  };
  CHECK_FALSE(run().replayed());
  clock->advance(59min);
  CHECK(run().replayed());
  clock->set_wall(clock->wall() + 24h);  // turning the wall clock expires nothing
  CHECK(run().replayed());
  clock->advance(1min);
  CHECK_FALSE(run().replayed());
  CHECK(probe.executions("k") == 2);
  CHECK(probe.executions() == 2);
  probe.reset();
  CHECK(probe.executions("k") == 0);
}

TEST_CASE("the probe counts by key, passes arguments and results on, and sees overlaps") {
  Store store = once::testing::memory_store().value();
  ExecutionProbe probe;
  const auto told = store.execute(
      "a", probe.watch("a", [](const Reservation& mine) { return mine.token.value; }));
  CHECK(told->value() == told->provenance().token.value);
  const auto moved = store.transact("b", probe.watch("b", [](once::Transaction& tx) {
    return tx.put("row", "value").has_value();
  }));
  CHECK(moved->value());
  CHECK(probe.executions("a") == 1);
  CHECK(probe.executions("b") == 1);
  CHECK(probe.executions("c") == 0);
  CHECK(probe.overlaps() == 0);
  {
    const ExecutionProbe::Running one(probe, "x");
    const ExecutionProbe::Running other(probe, "y");
    CHECK(probe.overlaps() == 0);
    const ExecutionProbe::Running again(probe, "x");
    CHECK(probe.overlaps() == 1);
  }
  const ExecutionProbe::Running later(probe, "x");
  CHECK(probe.overlaps() == 1);
}

TEST_CASE("the n-th sync, write or read fails, and what was acknowledged is there afterwards") {
  for (const DiskCall call : {DiskCall::sync, DiskCall::write}) {
    CAPTURE(static_cast<int>(call));
    MemoryDisk disk;
    {
      Store store = disk.open().value();
      CHECK(store.execute("before", [] { return 1; }).has_value());
      disk.fail({.call = call, .nth = 2});
      const auto failed = store.execute("k", [] { return 2; });  // reserving goes well
      REQUIRE_FALSE(failed.has_value());
      CHECK(failed.error().code == ErrorCode::unknown);
      CHECK(disk.failures(call) == 1);
      const auto poisoned = store.execute("after", [] { return 3; });
      REQUIRE_FALSE(poisoned.has_value());
      CHECK(poisoned.error().code == ErrorCode::poisoned);
      CHECK(store.execute("before", [] { return 9; })->value() == 1);  // reading goes on
      disk.power_cut();
    }
    Store store = disk.open().value();
    CHECK(store.execute("before", [] { return 9; })->value() == 1);
    CHECK(store.status("after").value() == once::KeyStatus::none);
    CHECK(store.verify()->problem_count == 0);
  }
  MemoryDisk disk;
  {
    CHECK(disk.open()->execute("k", [] { return 1; }).has_value());
  }
  disk.fail({.call = DiskCall::read, .for_ever = true});
  const auto unreadable = disk.open();
  REQUIRE_FALSE(unreadable.has_value());
  CHECK(unreadable.error().code == ErrorCode::io);
  disk.heal();
  CHECK(disk.open()->execute("k", [] { return 2; })->value() == 1);
}

TEST_CASE("a power cut takes what is not synced, and leaves what is") {
  MemoryDisk disk;
  {
    Store store = disk.open().value();
    CHECK(store.execute("synced", [] { return 1; }).has_value());
    CHECK(store.execute("buffered", [] { return 1; }, {.durability = once::Durability::buffered})
              .has_value());
    disk.power_cut();
    const auto gone = store.execute("too late", [] { return 1; });
    CHECK_FALSE(gone.has_value());
  }
  Store store = disk.open().value();
  CHECK(store.status("synced").value() == once::KeyStatus::completed);
  CHECK(store.status("buffered").value() == once::KeyStatus::none);
  CHECK(store.status("too late").value() == once::KeyStatus::none);
  CHECK(disk.calls(DiskCall::sync) > 0);
  CHECK(disk.bytes() > 0);
}

TEST_CASE("a full disk: nothing is written, and writing goes on when there is room") {
  MemoryDisk disk;
  Store store = disk.open().value();
  disk.fail({.call = DiskCall::grow, .for_ever = true, .full = true});
  const std::string large(1 << 20, 'x');
  bool refused = false;
  for (int i = 0; i < 64 && !refused; ++i) {
    const auto answer = store.execute(std::to_string(i), [&] { return large; });
    refused = !answer.has_value();
    if (refused) CHECK(answer.error().code == ErrorCode::no_space);
  }
  CHECK(refused);
  disk.heal();
  CHECK(store.execute("after", [&] { return large; }).has_value());
}

TEST_CASE("processes die when the test says so") {
  auto processes = std::make_shared<ManualProcesses>();
  once::Options options;
  options.processes = processes;
  Store store = Store::open("memory:", options).value();
  const once::ReserveOptions theirs{.on_abandon = once::OnAbandon::rerun,
                                    .holder = ManualProcesses::process(7)};
  CHECK(store.reserve("k", theirs).has_value());
  processes->set(7, once::Liveness::running);
  CHECK(store.reserve("k").error().code == ErrorCode::busy);
  processes->set(7, once::Liveness::dead);
  CHECK(std::get<Reservation>(store.reserve("k").value()).taken_over);
}

TEST_CASE("threads that ask for one key at a time never overlap") {
  Store store = once::testing::memory_store().value();
  ExecutionProbe probe;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        const once::Key key(std::to_string(n));
        (void)store.execute(key, probe.watch(key, [n] { return n; }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(probe.executions() == 50);
  CHECK(probe.overlaps() == 0);
}
