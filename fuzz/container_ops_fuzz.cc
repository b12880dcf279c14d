// Any bytes as a life of a container: file system calls, faults, full disks, killed processes and
// power cuts; against a model of files (tests/container).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "check.h"
#include "container/random_run.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  // Longer ones find nothing that two of half the length do not.
  if (size > 2048) return 0;
  static testing::RandomRunCounts counts;
  const std::string problem = testing::random_run(fuzz::view(data, size), &counts);
  if (std::getenv("ONCE_FUZZ_TELL") != nullptr || !problem.empty()) {
    std::fprintf(stderr, "%llu calls, %llu faults, %llu power cuts, %llu ends of a process\n",
                 static_cast<unsigned long long>(counts.calls),
                 static_cast<unsigned long long>(counts.faults),
                 static_cast<unsigned long long>(counts.power_cuts),
                 static_cast<unsigned long long>(counts.processes));
  }
  if (!problem.empty()) std::fprintf(stderr, "%s\n", problem.c_str());
  ONCE_CHECK(problem.empty());
  return 0;
}
