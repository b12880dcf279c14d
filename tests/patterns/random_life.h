// Any bytes as a life story of a site (site.h): pattern calls, power cuts and kills between any two
// things that happen (also during the recovery from one), disks that fail or get full; and at the
// end everything must come to its end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace once::testing::patterns {

struct LifeCounts {
  std::uint64_t calls = 0;
  std::uint64_t power_cuts = 0;
  std::uint64_t kills = 0;
  std::uint64_t faults = 0;
  std::uint64_t openings = 0;
};

// What went wrong, or nothing. With `told` every step is printed.
std::string live(std::string_view bytes, LifeCounts& counts, bool told = false);

}  // namespace once::testing::patterns
