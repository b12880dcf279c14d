// A power cut after every single call to the device while some 200 calls of a store are made, with
// every kind of loss; and the same again during the recovery from it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <set>
#include <utility>

#include "recovery/recording.h"

using namespace once;
using namespace once::testing;

namespace {

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    return passed.count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

bool refuses_to_open(const std::string& problem) {
  return problem.starts_with("opening: not_a_store") || problem.starts_with("opening: damaged");
}

void check_every_crash(const std::vector<Call>& program) {
  const Stopwatch stopwatch;
  const Recording recording = record(program);
  REQUIRE(recording.problem == "");
  std::atomic<std::uint64_t> images = 0;
  std::atomic<std::uint64_t> same = 0;
  std::set<std::pair<std::uint64_t, std::size_t>> seen;
  std::mutex mutex;
  const auto problems = in_two_threads(recording.moments.size(), [&](std::size_t at) {
    const KeptMoment& kept = recording.moments[at];
    const SessionState state = recording.state_at(kept.calls);
    for (const CrashPlan& plan : plans_for(kept.moment, at)) {
      const DiskImage image = kept.moment.crash(plan);
      {
        // Where nothing is different there is nothing to find.
        const std::scoped_lock lock(mutex);
        if (!seen.emplace(digest_of(image), recording.point_at(kept.calls)).second) {
          ++same;
          continue;
        }
      }
      const std::string problem =
          problem_after(std::make_shared<SimulatedDevice>(image), state, Thoroughness::behaviour);
      ++images;
      const bool may_refuse = recording.nameless_at(kept.calls) && refuses_to_open(problem);
      if (!problem.empty() && !may_refuse) {
        return fmt::format("{}, {}: {}", recording.describe(kept.calls), plan.describe(), problem);
      }
    }
    return std::string();
  });
  for (const std::string& problem : problems) FAIL_CHECK(problem);
  MESSAGE(program.size() << " calls of the store, " << recording.moments.size() << " moments, "
                         << images.load() << " different crash images (and " << same.load()
                         << " like another one) in " << stopwatch.seconds() << " s");
}

}  // namespace

TEST_CASE("a power cut after any call to the device loses nothing that was acknowledged") {
  check_every_crash(fixed_program());
}

TEST_CASE("a power cut within large commits loses nothing that was acknowledged") {
  check_every_crash(large_program());
}
