// Test kit: what tests of programs that use Once need. Time passes when a test says so, disks fail
// when a test says so, and a probe tells whether work ran more than once, or twice at a time.
//
//   #include <once/once.h>
//   #include <once/testing.h>
//
//   auto clock = std::make_shared<once::testing::ManualClock>();
//   once::testing::MemoryDisk disk;
//   once::testing::ExecutionProbe probe;
//   {
//     auto store = disk.open({.clock = clock}).value();
//     store.execute("charge:42", probe.watch("charge:42", [&] { return shop.charge(); }));
//     disk.fail({.call = once::testing::DiskCall::sync});       // the next sync fails
//     auto failed = store.execute("charge:43", [] { return 1; });
//     assert(!failed);                                          // ErrorCode::unknown
//     disk.power_cut();
//   }
//   auto store = disk.open({.clock = clock}).value();           // as after a restart
//   store.execute("charge:42", probe.watch("charge:42", [&] { return shop.charge(); }));
//   assert(probe.executions("charge:42") == 1 && probe.overlaps() == 0);
//
// Part of the library, so that a test links nothing more. Everything here is safe to use from many
// threads at once unless it says otherwise.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

#include "once/clock.h"
#include "once/holder.h"
#include "once/key.h"
#include "once/options.h"
#include "once/reservation.h"
#include "once/store.h"

namespace once::testing {

// The clocks of a machine, for Options::clock. Waits of the store end when time was advanced past
// them; leases lapse and retentions end the same way.
class ManualClock final : public Clock {
 public:
  Time wall() const override {
    const std::scoped_lock lock(mutex_);
    return wall_;
  }
  Duration since_boot() const override {
    const std::scoped_lock lock(mutex_);
    return since_boot_;
  }
  BootId boot() const override {
    const std::scoped_lock lock(mutex_);
    return boot_;
  }
  // Looks at the time that tests set at short intervals, so that it needs to know no waiter.
  void wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  Duration deadline) const override {
    if (since_boot() < deadline) condition.wait_for(lock, std::chrono::milliseconds(1));
  }

  // Time passes: on the wall clock, and since boot.
  void advance(Duration by) {
    const std::scoped_lock lock(mutex_);
    wall_ += by;
    since_boot_ += by;
  }
  // Somebody turns the wall clock. A store does not mind until the next boot.
  void set_wall(Time wall) {
    const std::scoped_lock lock(mutex_);
    wall_ = wall;
  }
  // Another boot: time since boot starts again. For stores that are opened afterwards.
  void reboot() {
    const std::scoped_lock lock(mutex_);
    ++boot_[0];
    since_boot_ = std::chrono::seconds(20);
  }

 private:
  mutable std::mutex mutex_;
  Time wall_ = Time(std::chrono::seconds(1'700'000'000));
  Duration since_boot_ = std::chrono::hours(1);
  BootId boot_ = {1};
};

// Processes for Options::processes: the one that the store believes to be in, and which of the
// others live. Two stores with different ones, one after the other on a MemoryDisk, are as two
// processes.
class ManualProcesses final : public Processes {
 public:
  explicit ManualProcesses(std::uint32_t self = 100) : self_(self) {}

  [[nodiscard]] static Holder process(std::uint32_t pid) {
    return {.boot = {1}, .pid_namespace = 1, .pid = pid, .start_time = pid};
  }
  Holder self() const override { return process(self_); }
  Liveness liveness(const Holder& holder) const override {
    const std::scoped_lock lock(mutex_);
    const auto at = lives_.find(holder.pid);
    return at == lives_.end() ? Liveness::unknown : at->second;
  }
  // What is known of process `pid` from now on; unknown until then.
  void set(std::uint32_t pid, Liveness liveness) {
    const std::scoped_lock lock(mutex_);
    lives_[pid] = liveness;
  }

 private:
  const std::uint32_t self_;
  mutable std::mutex mutex_;
  std::map<std::uint32_t, Liveness> lives_;
};

// What a disk is asked to do. A commit makes one write and, if it is synced, one sync; opening,
// growing and the work in the background make more of each.
enum class DiskCall : std::uint8_t { read, write, sync, grow };

struct DiskFault {
  DiskCall call = DiskCall::sync;
  std::uint64_t nth = 1;  // of the calls from now on; 1: the next one
  bool for_ever = false;  // all after it, too
  bool full = false;      // of write and grow: there is no space, instead of an I/O error
};

// A disk in memory with a store on it, in one file as in Layout::file, that fails as it is told.
// Outlived by no store that is open on it.
class MemoryDisk {
 public:
  MemoryDisk();
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;
  ~MemoryDisk();

  // Opens the store that is there, or makes one. A store that was opened on it before cannot reach
  // the disk any more: as if its process had died. Errors: those of Store::open().
  Result<Store> open(Options options = {});

  // Injects a fault. Several may be under way.
  void fail(const DiskFault& fault);
  // No fault from now on; what was done stays done.
  void heal();
  // The power goes: what was not synced is gone, and so is whoever has the store open, whose calls
  // fail from now on. Heals. (The kit loses all that is not synced; a real disk may keep any part
  // of it.)
  void power_cut();

  // How many calls of that kind there were, failed ones included.
  [[nodiscard]] std::uint64_t calls(DiskCall call) const;
  // How many of them failed by a fault.
  [[nodiscard]] std::uint64_t failures(DiskCall call) const;
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  class State;
  class Handle;
  std::shared_ptr<State> state_;
};

// A store in memory, for tests that need no more: under `clock`, or the machine's.
inline Result<Store> memory_store(std::shared_ptr<const Clock> clock = nullptr) {
  Options options;
  options.clock = std::move(clock);
  return Store::open("memory:", options);
}

// Counts how often work runs, by key, and notices when it runs for one key twice at a time.
class ExecutionProbe {
 public:
  // An execution under way; it ends when this goes out of scope. May not outlive the probe.
  class Running {
   public:
    Running(ExecutionProbe& probe, Key key) : probe_(probe), key_(std::move(key)) {
      probe_.begin(key_);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { probe_.end(key_); }

   private:
    ExecutionProbe& probe_;
    const Key key_;
  };

  // Wraps `work` for execute(), reserved or not, or transact(): the same results, and counted.
  template <class F>
  auto watch(Key key, F work) {
    if constexpr (std::invocable<F&>) {
      return [this, key = std::move(key), work = std::move(work)]() mutable {
        const Running running(*this, key);
        return work();
      };
    } else {
      return [this, key = std::move(key), work = std::move(work)](auto& argument) mutable {
        const Running running(*this, key);
        return work(argument);
      };
    }
  }

  // How often the work of `key` was begun.
  [[nodiscard]] std::uint64_t executions(const Key& key) const {
    const std::scoped_lock lock(mutex_);
    const auto at = counts_.find(key);
    return at == counts_.end() ? 0 : at->second.begun;
  }
  // Of all keys.
  [[nodiscard]] std::uint64_t executions() const {
    const std::scoped_lock lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [key, count] : counts_) sum += count.begun;
    return sum;
  }
  // How often work was begun while other work of the same key was under way.
  [[nodiscard]] std::uint64_t overlaps() const {
    const std::scoped_lock lock(mutex_);
    return overlaps_;
  }
  void reset() {
    const std::scoped_lock lock(mutex_);
    for (auto& [key, count] : counts_) count.begun = 0;
    overlaps_ = 0;
  }

 private:
  struct Count {
    std::uint64_t begun = 0;
    std::uint64_t running = 0;
  };
  void begin(const Key& key) {
    const std::scoped_lock lock(mutex_);
    Count& count = counts_[key];
    ++count.begun;
    if (count.running++ > 0) ++overlaps_;
  }
  void end(const Key& key) {
    const std::scoped_lock lock(mutex_);
    --counts_[key].running;
  }

  mutable std::mutex mutex_;
  std::map<Key, Count> counts_;
  std::uint64_t overlaps_ = 0;
};

}  // namespace once::testing
