// Any bytes as a life story of a store: calls, time that passes, reopenings, power cuts at any call
// to the device (also during recovery), disks that fail or get full; or the same with several
// threads. All of it against the model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace once::testing {

struct CaseCounts {
  std::uint64_t calls = 0;
  std::uint64_t power_cuts = 0;
  std::uint64_t faults = 0;
  std::uint64_t full_disks = 0;
  std::uint64_t openings = 0;
};

// What went wrong, or nothing. With `told` every step is printed.
std::string run_case(std::string_view bytes, CaseCounts& counts, bool told = false);

// With calls of one thread only, and with those of several.
std::string run_calls(std::string_view bytes, CaseCounts& counts, bool told);
std::string run_threads(std::string_view bytes, CaseCounts& counts, bool told);

}  // namespace once::testing
