// Any bytes as a life story of a store: calls by one thread or several, power cuts at any call to
// the device, disks that fail or get full, reopenings; against the model (tests/recovery).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "recovery/random_case.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  // Longer ones find nothing that two of half the length do not.
  if (size > 4096) return 0;
  static testing::CaseCounts counts;
  const bool told = std::getenv("ONCE_FUZZ_TELL") != nullptr;
  const std::string problem = testing::run_case(fuzz::view(data, size), counts, told);
  if (told || !problem.empty()) {
    std::fprintf(stderr,
                 "%llu calls, %llu power cuts, %llu bad disks, %llu full disks, %llu openings\n",
                 static_cast<unsigned long long>(counts.calls),
                 static_cast<unsigned long long>(counts.power_cuts),
                 static_cast<unsigned long long>(counts.faults),
                 static_cast<unsigned long long>(counts.full_disks),
                 static_cast<unsigned long long>(counts.openings));
  }
  if (!problem.empty()) std::fprintf(stderr, "%s\n", problem.c_str());
  ONCE_CHECK(problem.empty());
  return 0;
}
