// ManualClock: the simulated twin of the machine's clocks. Time passes when a test says so.
//
//   auto clock = std::make_shared<ManualClock>();
//   clock->advance(5min);        // time passes: wall clock and time since boot
//   clock->set_wall(yesterday);  // somebody turns the wall clock
//   clock->reboot();             // another boot: time since boot starts again
#pragma once

#include <algorithm>

#include "base/mutex.h"
#include "once/clock.h"

namespace once {

class ManualClock final : public Clock {
 public:
  Time wall() const override {
    MutexLock lock(mutex_);
    return wall_;
  }
  Duration since_boot() const override {
    MutexLock lock(mutex_);
    return since_boot_;
  }
  BootId boot() const override {
    MutexLock lock(mutex_);
    return boot_;
  }
  // Looks at the time that tests set at short intervals, so that it needs to know no waiter.
  void wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  Duration deadline) const override {
    if (since_boot() < deadline) condition.wait_for(lock, std::chrono::milliseconds(1));
  }

  void advance(Duration by) {
    MutexLock lock(mutex_);
    wall_ += by;
    since_boot_ += by;
  }
  void set_wall(Time wall) {
    MutexLock lock(mutex_);
    wall_ = wall;
  }
  void reboot() {
    MutexLock lock(mutex_);
    ++boot_[0];
    since_boot_ = std::chrono::seconds(20);
  }

 private:
  mutable Mutex mutex_;
  Time wall_ ONCE_GUARDED_BY(mutex_) = Time(std::chrono::seconds(1'700'000'000));
  Duration since_boot_ ONCE_GUARDED_BY(mutex_) = std::chrono::hours(1);
  BootId boot_ ONCE_GUARDED_BY(mutex_) = {1};
};

}  // namespace once
