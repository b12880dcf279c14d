// A power cut and a kill between any two things that happen while every pattern is used, with every
// kind of loss: what was acknowledged is there, and everything that was begun comes to its end,
// once. And the same again during the recovery from it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "patterns/site.h"
#include "recovery/recording.h"
#include "recovery/stopwatch.h"

using namespace once;
using namespace once::testing;
using namespace once::testing::patterns;

namespace {

// What a power cut leaves of both disks: each way to lose what one of them has not synced, and the
// other one in turn with all and with nothing.
std::vector<Disks> power_cuts(const Cut& cut, std::uint64_t seed) {
  std::vector<Disks> left;
  const auto add = [&](const CrashPlan& main, const CrashPlan& other) {
    left.push_back({std::make_shared<SimulatedDevice>(cut.disks[0].crash(main), "main.once"),
                    std::make_shared<SimulatedDevice>(cut.disks[1].crash(other), "other.once")});
  };
  const auto turn = [&](std::size_t i) {
    return CrashPlan{.kind = i % 2 == 0 ? CrashPlan::Kind::none : CrashPlan::Kind::all};
  };
  const auto main = plans_for(cut.disks[0], seed);
  const auto other = plans_for(cut.disks[1], seed);
  for (std::size_t i = 0; i < main.size(); ++i) add(main[i], turn(i + seed));
  for (std::size_t i = 1; i < other.size(); ++i) add(turn(i + seed), other[i]);
  return left;
}

// The machine stays up: what the kernel has goes on being there.
Disks killed(const Cut& cut) {
  Disks left;
  const char* names[] = {"main.once", "other.once"};
  for (std::size_t i = 0; i < left.size(); ++i) {
    const DiskImage shown = cut.disks[i].crash({.kind = CrashPlan::Kind::all});
    left[i] = std::make_shared<SimulatedDevice>(cut.disks[i], shown, names[i]);
  }
  return left;
}

std::string problem_after(const Disks& disks, const World& world, std::uint64_t number) {
  Site site(disks, world, {});
  std::string problem = site.open();
  if (!problem.empty()) return problem;
  problem = site.settle(number % 4 == 0);
  return problem.empty() ? "" : "afterwards: " + problem;
}

// The fixed program, with everything that happened.
struct Recorded {
  std::unique_ptr<Site> site{};
  std::vector<std::size_t> ends{};  // of each call
  std::size_t cuts = 0;
  std::string problem{};

  [[nodiscard]] std::string describe(std::size_t at) const {
    const auto program = fixed_patterns();
    const auto call = static_cast<std::size_t>(std::ranges::upper_bound(ends, at) - ends.begin());
    const auto index = std::min(call, program.size() - 1);
    return fmt::format("after {} of {} things that happen, in call {} ({})", at, cuts, index,
                       program[index].describe());
  }
};

Recorded record_program() {
  Recorded recorded{.site = std::make_unique<Site>(fresh_disks(), World{}, SiteOptions{})};
  Site& site = *recorded.site;
  recorded.problem = site.open();
  site.timeline().record();
  for (const PatternCall& call : fixed_patterns()) {
    if (recorded.problem.empty()) recorded.problem = site.call(call);
    recorded.ends.push_back(site.timeline().size());
  }
  site.timeline().stop();
  recorded.cuts = site.timeline().size();
  return recorded;
}

}  // namespace

TEST_CASE("a power cut or a kill at any moment: every pattern keeps its promise") {
  const Stopwatch stopwatch;
  const Recorded recorded = record_program();
  REQUIRE(recorded.problem == "");
  std::atomic<std::uint64_t> images = 0;
  std::atomic<std::uint64_t> kills = 0;
  const auto problems = in_two_threads(recorded.cuts, [&](std::size_t at) {
    const Cut cut = recorded.site->timeline().at(at);
    World world = cut.world;
    world.power_cut();
    std::size_t number = 0;
    for (const Disks& disks : power_cuts(cut, at)) {
      ++images;
      const std::string problem = problem_after(disks, world, images);
      if (!problem.empty()) {
        return fmt::format("power cut {}, image {}: {}", recorded.describe(at), number, problem);
      }
      ++number;
    }
    // A kill leaves what the power cut does that loses nothing; but the clock of the machine goes
    // on, and what is shown is not on the disk yet.
    if (at % 4 != 0) return std::string();
    ++kills;
    const std::string problem = problem_after(killed(cut), cut.world, kills);
    return problem.empty() ? "" : fmt::format("killed {}: {}", recorded.describe(at), problem);
  });
  for (const std::string& problem : problems) FAIL_CHECK(problem);
  MESSAGE(fixed_patterns().size() << " calls, " << recorded.cuts << " moments, " << images.load()
                                  << " crash images, " << kills.load() << " kills in "
                                  << stopwatch.seconds() << " s");
}

TEST_CASE("a power cut during the recovery from a power cut: they keep it all the same") {
  const Stopwatch stopwatch;
  const Recorded recorded = record_program();
  REQUIRE(recorded.problem == "");
  constexpr std::size_t samples = 12;
  constexpr std::size_t step = 7;
  std::atomic<std::uint64_t> images = 0;
  const auto problems = in_two_threads(samples, [&](std::size_t sample) {
    const std::size_t at = (sample + 1) * recorded.cuts / (samples + 1);
    const Cut cut = recorded.site->timeline().at(at);
    World world = cut.world;
    world.power_cut();
    Disks disks = power_cuts(cut, sample).back();
    Site recovering(disks, std::move(world), {});
    recovering.timeline().record();
    std::string problem = recovering.open();
    if (problem.empty()) problem = recovering.settle();
    recovering.timeline().stop();
    for (std::size_t then = sample % step; problem.empty() && then < recovering.timeline().size();
         then += step) {
      const Cut again = recovering.timeline().at(then);
      World after = again.world;
      after.power_cut();
      const auto cuts = power_cuts(again, then);
      ++images;
      problem = problem_after(cuts[then % cuts.size()], after, images);
      if (!problem.empty()) {
        problem = fmt::format("and after {} of {} in recovery: {}", then,
                              recovering.timeline().size(), problem);
      }
    }
    return problem.empty() ? "" : fmt::format("power cut {}: {}", recorded.describe(at), problem);
  });
  for (const std::string& problem : problems) FAIL_CHECK(problem);
  MESSAGE(images.load() << " crash images in " << stopwatch.seconds() << " s");
}
