// Clock: where Once takes its time from. Applications seldom need this header; tests hand in a
// clock of their own, such as the one of once/testing.h.
//
//   auto clock = std::make_shared<once::testing::ManualClock>();
//   auto store = once::Store::open("memory:", {.clock = clock}).value();
//   clock->advance(std::chrono::hours(25));   // what was kept for a day is over
//
// A store's time is milliseconds since the Unix epoch that never run back and never jump. While
// a machine is up it advances with the time since boot (suspend included), so that setting the
// wall clock back or forward neither expires nor revives anything; only across a reboot is the
// wall clock asked, and then only to move forward. See docs/architecture.md, "Time".
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace once {

using Duration = std::chrono::milliseconds;
using Time = std::chrono::sys_time<std::chrono::milliseconds>;

// Retention without an end.
inline constexpr Duration forever = Duration::max();

// Identifies one boot of one machine (/proc/sys/kernel/random/boot_id). Zero when unknown.
using BootId = std::array<std::uint8_t, 16>;

// All functions are safe to call from many threads at once.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // The wall clock; may jump either way.
  [[nodiscard]] virtual Time wall() const = 0;
  // Time since the machine started, time spent suspended included; never runs back.
  [[nodiscard]] virtual Duration since_boot() const = 0;
  // Which start of the machine since_boot() counts from.
  [[nodiscard]] virtual BootId boot() const = 0;
  // Waits until `condition` is notified or since_boot() reaches `deadline`. May return earlier;
  // callers test their predicate in a loop. `lock` is held on entry and on return.
  virtual void wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                          Duration deadline) const = 0;
};

// The machine's own clocks. Never null; shared by the whole process.
[[nodiscard]] std::shared_ptr<const Clock> system_clock();

}  // namespace once
