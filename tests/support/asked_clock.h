// A clock that tells a test each time somebody asks for the time: at every turn of waiting, say.
//
//   const AskedClock clock([&](int times) { if (times == 3) holder.tell(); });
#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include "once/clock.h"

namespace once::testing {

class AskedClock final : public Clock {
 public:
  explicit AskedClock(std::function<void(int)> asked) : asked_(std::move(asked)) {}
  Time wall() const override { return system_clock()->wall(); }
  Duration since_boot() const override {
    asked_(++times_);
    return system_clock()->since_boot();
  }
  BootId boot() const override { return system_clock()->boot(); }
  void wait_until(std::unique_lock<std::mutex>&, std::condition_variable&,
                  Duration) const override {}

 private:
  const std::function<void(int)> asked_;
  mutable std::atomic<int> times_ = 0;
};

}  // namespace once::testing
