// Any bytes as a life of a container: calls, faults, full disks, killed processes and power cuts.
// Shared by the fuzz target and the test that makes its bytes by a seed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace once::testing {

struct RandomRunCounts {
  std::uint64_t calls = 0;
  std::uint64_t faults = 0;
  std::uint64_t power_cuts = 0;
  std::uint64_t processes = 0;
};

// What is wrong, and the calls that led there; or nothing.
std::string random_run(std::string_view bytes, RandomRunCounts* counts);

}  // namespace once::testing
