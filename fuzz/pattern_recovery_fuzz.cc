// Any bytes as a life story of everything that stands on a store: execute(), refresh() and merge(),
// batches, pipelines, locks, orders and the outbox, inboxes, workflows with every strategy and with
// timers, and transactions over several places, with zombies, power cuts, kills and bad disks at
// any moment; what was acknowledged must hold, and all must come to its end (tests/patterns).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "patterns/random_life.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  // Longer ones find nothing that two of half the length do not.
  if (size > 4096) return 0;
  static testing::patterns::LifeCounts counts;
  const bool told = std::getenv("ONCE_FUZZ_TELL") != nullptr;
  const std::string problem = testing::patterns::live(fuzz::view(data, size), counts, told);
  if (told || !problem.empty()) {
    std::fprintf(stderr, "%llu calls, %llu power cuts, %llu kills, %llu bad disks, %llu openings\n",
                 static_cast<unsigned long long>(counts.calls),
                 static_cast<unsigned long long>(counts.power_cuts),
                 static_cast<unsigned long long>(counts.kills),
                 static_cast<unsigned long long>(counts.faults),
                 static_cast<unsigned long long>(counts.openings));
  }
  if (!problem.empty()) std::fprintf(stderr, "%s\n", problem.c_str());
  ONCE_CHECK(problem.empty());
  return 0;
}
