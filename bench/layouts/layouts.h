// One file against a directory: the same workloads on both layouts, in turn.
#pragma once

#include "settings.h"

namespace once::bench {

// Prints a line for each workload. False: some ratio is below what it is to be at least. Throws
// what measure() throws.
[[nodiscard]] bool compare_layouts(const Settings& settings);

}  // namespace once::bench
