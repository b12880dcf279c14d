// A power cut after every single call to the device while some 200 calls of a store are made, with
// every kind of loss; and the same again during the recovery from it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <mutex>
#include <set>
#include <utility>

#include "recovery/recording.h"
#include "recovery/stopwatch.h"

using namespace once;
using namespace once::testing;

namespace {

// Cuts the power at every moment from the `first` point on.
void check_every_crash(const std::vector<Call>& program, std::size_t first) {
  const Stopwatch stopwatch;
  const Recording recording = record(program);
  REQUIRE(recording.problem == "");
  std::atomic<std::uint64_t> images = 0;
  std::atomic<std::uint64_t> same = 0;
  std::set<std::pair<std::uint64_t, std::size_t>> seen;
  std::mutex mutex;
  const auto problems = in_two_threads(recording.moments.size(), [&](std::size_t at) {
    const KeptMoment& kept = recording.moments[at];
    const std::size_t point = recording.point_at(kept.calls);
    if (point < first) return std::string();
    const SessionState state = recording.state_at(kept.calls);
    for (const CrashPlan& plan : plans_for(kept.moment, at)) {
      const DiskImage image = kept.moment.crash(plan);
      {
        // Where nothing is different there is nothing to find.
        const std::scoped_lock lock(mutex);
        if (!seen.emplace(digest_of(image), point).second) {
          ++same;
          continue;
        }
      }
      ++images;
      const std::string problem = problem_after(std::make_shared<SimulatedDevice>(image), state);
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
  check_every_crash(fixed_program(), 0);
}

TEST_CASE("a power cut within large commits loses nothing that was acknowledged") {
  check_every_crash(large_program(), 1);
}

TEST_CASE("a power cut during the recovery from a power cut loses nothing either") {
  const Stopwatch stopwatch;
  const Recording recording = record(fixed_program());
  REQUIRE(recording.problem == "");
  constexpr std::size_t samples = 12;
  std::atomic<std::uint64_t> images = 0;
  const auto problems = in_two_threads(samples, [&](std::size_t sample) {
    // Not while the store is being made: that is no recovery.
    std::size_t at = (sample + 1) * recording.moments.size() / (samples + 1);
    while (recording.nameless_at(recording.moments[at].calls)) ++at;
    const KeptMoment& kept = recording.moments[at];
    const std::vector<CrashPlan> plans = plans_for(kept.moment, at);
    const CrashPlan& plan = plans[sample % plans.size()];
    const auto says = [&](const std::string& when, const std::string& problem) {
      return fmt::format("{}, {}, {}: {}", recording.describe(kept.calls), plan.describe(), when,
                         problem);
    };
    auto device = std::make_shared<SimulatedDevice>(kept.moment.crash(plan));
    SessionState before = recording.state_at(kept.calls);
    Session session(device, before);
    device->keep_moments();
    std::string problem = session.open(Ending::power_cut);
    if (!problem.empty()) return says("recovering", problem);
    const std::uint64_t opened = device->calls().total;
    const SessionState after = session.state();
    (void)session.close();
    for (const KeptMoment& again : device->moments()) {
      // What has been shown must stay; before, it may still be any of those that might be found.
      const SessionState& state = again.calls >= opened ? after : before;
      for (const CrashPlan& second :
           {CrashPlan{.kind = CrashPlan::Kind::none}, CrashPlan{.kind = CrashPlan::Kind::all},
            CrashPlan{.kind = CrashPlan::Kind::some, .seed = images}}) {
        ++images;
        problem =
            problem_after(std::make_shared<SimulatedDevice>(again.moment.crash(second)), state);
        if (!problem.empty()) {
          return says(fmt::format("and again after call {} of the recovery, {}", again.calls,
                                  second.describe()),
                      problem);
        }
        if (again.moment.pending.empty()) break;
      }
    }
    return std::string();
  });
  for (const std::string& problem : problems) FAIL_CHECK(problem);
  MESSAGE(images.load() << " crash images in " << stopwatch.seconds() << " s");
}
