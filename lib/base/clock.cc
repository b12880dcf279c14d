#include "once/clock.h"

#include <ctime>

#include "base/process.h"

namespace once {
namespace {

class SystemClock final : public Clock {
 public:
  Time wall() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }

  // CLOCK_BOOTTIME and not CLOCK_MONOTONIC: a lease must lapse while the machine sleeps.
  Duration since_boot() const override {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::chrono::duration_cast<Duration>(std::chrono::seconds(now.tv_sec) +
                                                std::chrono::nanoseconds(now.tv_nsec));
  }

  BootId boot() const override { return boot_; }

  void wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  Duration deadline) const override {
    // Bounded, since a condition variable does not count suspended time and `deadline` does.
    constexpr Duration longest = std::chrono::seconds(10);
    const Duration left = deadline - since_boot();
    if (left <= Duration::zero()) return;
    // One millisecond more: since_boot() rounds down, and a wait that ends early spins.
    condition.wait_for(lock, std::min(left + Duration(1), longest));
  }

 private:
  // Another time namespace counts from another boot.
  static BootId boot_of_time() {
    BootId boot = read_boot_id();
    const std::uint64_t other = time_namespace();
    for (std::size_t i = 0; i < sizeof other; ++i) {
      boot[i] ^= static_cast<std::uint8_t>(other >> (8 * i));
    }
    return boot;
  }

  const BootId boot_ = boot_of_time();
};

}  // namespace

std::shared_ptr<const Clock> system_clock() {
  static const std::shared_ptr<const Clock> clock = std::make_shared<SystemClock>();
  return clock;
}

}  // namespace once
