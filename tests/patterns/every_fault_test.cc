// Writes and syncs of both disks fail, once and for ever, while every pattern is used: nothing that
// was acknowledged is lost, and after opening again everything comes to its end, once.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <vector>

#include "patterns/site.h"
#include "recovery/recording.h"
#include "recovery/stopwatch.h"

using namespace once;
using namespace once::testing;
using namespace once::testing::patterns;

namespace {

struct Case {
  std::size_t disk = 0;
  Fault fault{};
};

// Each write and sync of the program fails in one of the ways there are, in turn.
std::vector<Case> cases() {
  const Disks disks = fresh_disks();
  Site site(disks, {}, {});
  REQUIRE(site.open() == "");
  const std::array<CallCounts, 2> before{disks[0]->calls(), disks[1]->calls()};
  for (const PatternCall& call : fixed_patterns()) REQUIRE(site.call(call) == "");
  std::vector<Case> found;
  std::uint32_t turn = 0;
  for (std::size_t disk = 0; disk < disks.size(); ++disk) {
    for (const CallKind kind : {CallKind::write, CallKind::sync}) {
      const std::uint64_t made = disks[disk]->calls().of(kind) - before[disk].of(kind);
      for (std::uint64_t nth = 1; nth <= made; ++nth, ++turn) {
        const bool partly = kind == CallKind::write && turn / 2 % 2 == 0;
        const bool full = kind == CallKind::write && turn / 4 % 2 == 0;
        found.push_back(
            {.disk = disk,
             .fault = {.kind = kind,
                       .nth = nth,
                       .for_ever = turn % 2 == 0,
                       .effect = partly ? Fault::Effect::partly : Fault::Effect::none_done,
                       .code = full ? ErrorCode::no_space : ErrorCode::io}});
      }
    }
  }
  return found;
}

std::string problem_with(const Case& one, bool cut_power, std::uint64_t seed,
                         std::atomic<std::uint64_t>& struck) {
  Disks disks = fresh_disks();
  World world;
  {
    Site site(disks, {}, {.may_fail = true});
    if (std::string problem = site.open(); !problem.empty()) return problem;
    SimulatedDevice& bad = *disks[one.disk];
    bad.inject(one.fault);
    int more = 4;
    for (const PatternCall& call : fixed_patterns()) {
      if (bad.struck().total > 0 && more-- == 0) break;
      if (std::string problem = site.call(call); !problem.empty()) {
        return call.describe() + ": " + problem;
      }
    }
    if (bad.struck().total > 0) ++struck;
    world = site.timeline().world();
    if (cut_power) {
      world.power_cut();
      for (auto& disk : disks) {
        disk = std::make_shared<SimulatedDevice>(
            disk->moment().crash({.kind = CrashPlan::Kind::some, .seed = seed}), disk->name());
      }
    }
  }
  for (const auto& disk : disks) disk->heal();
  Site after(disks, std::move(world), {});
  std::string problem = after.open();
  if (problem.empty()) problem = after.settle();
  return problem.empty() ? "" : "opened again: " + problem;
}

}  // namespace

TEST_CASE("writes and syncs fail: every pattern keeps its promise") {
  const Stopwatch stopwatch;
  const auto all = cases();
  std::atomic<std::uint64_t> struck = 0;
  const auto problems = in_two_threads(all.size(), [&](std::size_t at) {
    const Case& one = all[at];
    const std::string problem = problem_with(one, at % 3 == 0, at, struck);
    if (problem.empty()) return problem;
    return fmt::format("{} {} of disk {} fails{}: {}", to_string(*one.fault.kind), one.fault.nth,
                       one.disk, one.fault.for_ever ? " and all after it" : "", problem);
  });
  for (const std::string& problem : problems) FAIL_CHECK(problem);
  MESSAGE(all.size() << " runs, " << struck.load() << " faults struck, in " << stopwatch.seconds()
                     << " s");
}
