// One file against a directory: the same workloads on both layouts, in turn.
#pragma once

#include "settings.h"

namespace once::bench {

// Prints a line for each workload. Throws what measure() throws.
void compare_layouts(const Settings& settings);

}  // namespace once::bench
