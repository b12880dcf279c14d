// The comparison: runs the workloads on the rivals, in turn, round for round.
#pragma once

#include "report/results.h"
#include "settings.h"

namespace once::bench {

// Throws std::runtime_error for a wrong answer or when nothing is left to run.
[[nodiscard]] Results compare_rivals(const Settings& settings);

}  // namespace once::bench
