// The manual clock of the installed test kit, for the library's own tests.
//
//   auto clock = std::make_shared<ManualClock>();
//   clock->advance(5min);        // time passes: wall clock and time since boot
#pragma once

#include "once/testing.h"

namespace once {

using testing::ManualClock;

}  // namespace once
