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

}  // namespace once
