// Time arithmetic that stops at the end of time instead of overflowing.
#pragma once

#include "once/clock.h"

namespace once {

// `time` + `duration`; Time::max() ("for ever") when that is past what can be said. A duration of
// zero or less leaves the time as it is.
[[nodiscard]] constexpr Time after(Time time, Duration duration) {
  if (duration <= Duration::zero()) return time;
  return duration > Time::max() - time ? Time::max() : time + duration;
}

// The same for the time since boot, which deadlines of waits are told in.
[[nodiscard]] constexpr Duration after(Duration since_boot, Duration duration) {
  return after(Time(since_boot), duration).time_since_epoch();
}

// `milliseconds`, cut to what a duration can say. Nothing for less than nothing, or no number.
[[nodiscard]] constexpr Duration duration_of(double milliseconds) {
  constexpr auto end = static_cast<double>(Duration::max().count());  // rounded up: one too many
  if (milliseconds >= end) return Duration::max();
  return Duration(milliseconds > 0 ? static_cast<Duration::rep>(milliseconds) : 0);
}

}  // namespace once
