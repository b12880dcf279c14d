// A power cut after every single call to the device, in the middle of a program of some 200 calls,
// with every kind of loss; and the same again in the middle of the recovery from it.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "container/container_place.h"
#include "container/crash_program.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using Plan = CrashPlan;

namespace {

std::vector<Plan> plans_for(const Moment& moment, std::uint64_t seed) {
  std::vector<Plan> plans{{.kind = Plan::Kind::none}};
  const std::size_t changes = moment.pending.size();
  if (changes == 0) return plans;
  plans.push_back({.kind = Plan::Kind::all});
  for (std::size_t i = 0; changes > 1 && i < changes; ++i) {
    plans.push_back({.kind = Plan::Kind::all_but, .index = i});
  }
  const std::uint64_t last = moment.last_write_bytes();
  for (const std::uint64_t torn :
       std::set<std::uint64_t>{1, last / 3, last / 2, last - std::min<std::uint64_t>(last, 9),
                               last - std::min<std::uint64_t>(last, 1)}) {
    if (torn < last) plans.push_back({.kind = Plan::Kind::last_torn, .index = torn});
  }
  for (std::uint64_t i = 0; i < 3; ++i) {
    plans.push_back({.kind = Plan::Kind::some, .seed = seed * 3 + i});
  }
  return plans;
}

// Tells where it happened, and ends the test after a few: one fault shows in many places.
void report(const Recording& recording, std::size_t at, const std::string& how,
            const std::string& problem) {
  const std::size_t ended = recording.ended_at(recording.moments[at]);
  const std::string under_way =
      ended < recording.ops.size() ? recording.ops[ended].describe() : "the end";
  const std::string text = "power cut after device call " +
                           std::to_string(recording.moments[at].calls) + ", in or before call " +
                           std::to_string(ended) + " (" + under_way + "), " + how + ": " + problem;
  static int reported = 0;
  if (++reported > 5) FAIL(text);
  FAIL_CHECK(text);
}

}  // namespace

TEST_CASE("a power cut after any call loses nothing that was acknowledged") {
  const Recording recording = record(crash_program());
  MESSAGE(recording.ops.size() << " calls of the program, " << recording.device->calls().total
                               << " of the device, " << recording.moments.size() << " moments");
  CHECK(recording.ops.size() >= 180);
  std::uint64_t images = 0;
  for (std::size_t at = 0; at < recording.moments.size(); ++at) {
    const Moment& moment = recording.moments[at].moment;
    const std::size_t ended = recording.ended_at(recording.moments[at]);
    for (const Plan& plan : plans_for(moment, at)) {
      const std::string problem =
          problem_after(moment.crash(plan), recording.floor(ended), recording.ceiling(ended));
      if (!problem.empty()) report(recording, at, plan.describe(), problem);
      ++images;
    }
  }
  MESSAGE(images << " crash images, each opened at least six times");
}

TEST_CASE("a power cut during the recovery from a power cut loses nothing either") {
  const Recording recording = record(crash_program());
  std::uint64_t images = 0;
  // Every call of each recovery, and every second moment of the program to recover from.
  for (std::size_t at = 0; at < recording.moments.size(); at += 2) {
    const Moment& moment = recording.moments[at].moment;
    const std::size_t ended = recording.ended_at(recording.moments[at]);
    const std::vector<Plan> plans = plans_for(moment, at);
    const Plan& plan = plans[at % plans.size()];
    auto device = std::make_shared<SimulatedDevice>(moment.crash(plan));
    device->keep_moments();
    ContainerPlace place = value_of(open_place(device));
    Tree found;
    REQUIRE(read_tree(*place.files, "", &found).ok());
    const FileModel shown = FileModel::of(found);
    (void)place.container->close();
    for (const KeptMoment& again : device->moments()) {
      for (const Plan& second : {Plan{.kind = Plan::Kind::none}, Plan{.kind = Plan::Kind::all},
                                 Plan{.kind = Plan::Kind::some, .seed = images}}) {
        const std::string problem = problem_after(again.moment.crash(second),
                                                  recording.floor(ended), recording.ceiling(ended));
        if (!problem.empty()) {
          report(recording, at,
                 plan.describe() + ", and again after call " + std::to_string(again.calls) +
                     " of the recovery, " + second.describe(),
                 problem);
        }
        ++images;
      }
    }
  }
  MESSAGE(images << " crash images");
}

// The kernel still holds what the killed process wrote, so that the power takes that and what the
// opening writes together: both superblocks, say.
TEST_CASE("a power cut during the opening after a kill loses nothing") {
  const Recording recording = record(crash_program());
  std::uint64_t images = 0;
  for (std::size_t at = 1; at < recording.moments.size(); at += 2) {
    const Moment& moment = recording.moments[at].moment;
    const std::size_t ended = recording.ended_at(recording.moments[at]);
    auto device =
        std::make_shared<SimulatedDevice>(moment, moment.crash({.kind = Plan::Kind::all}));
    device->keep_moments();
    ContainerPlace place = value_of(open_place(device));
    (void)place.container->close();
    for (const KeptMoment& again : device->moments()) {
      for (const Plan& plan :
           {Plan{.kind = Plan::Kind::none}, Plan{.kind = Plan::Kind::all},
            Plan{.kind = Plan::Kind::each_torn}, Plan{.kind = Plan::Kind::some, .seed = images}}) {
        const std::string problem = problem_after(again.moment.crash(plan), recording.floor(ended),
                                                  recording.ceiling(ended));
        if (!problem.empty()) {
          report(recording, at,
                 "a kill, and a power cut after call " + std::to_string(again.calls) +
                     " of the opening, " + plan.describe(),
                 problem);
        }
        ++images;
      }
    }
  }
  MESSAGE(images << " crash images");
}

TEST_CASE("a power cut during the creation leaves nothing, or a whole container") {
  auto device = std::make_shared<SimulatedDevice>();
  device->keep_moments();
  ContainerPlace place = value_of(open_place(device));
  const std::size_t created = device->moments().size();
  Runner runner(place.files);
  FileModel model;
  const FileModel fresh = model;
  for (const Op& op : {Op{.kind = Op::Kind::make_directory, .path = "/db"},
                       Op{.kind = Op::Kind::sync_directory, .path = "/"}}) {
    REQUIRE(runner.run(op) == model.run(op));
  }
  const std::vector<KeptMoment> moments = device->moments();
  std::uint64_t images = 0;
  std::uint64_t anew = 0;
  for (std::size_t at = 0; at < moments.size(); ++at) {
    for (const Plan& plan : plans_for(moments[at].moment, at)) {
      CAPTURE(at);
      CAPTURE(plan.describe());
      const DiskImage image = moments[at].moment.crash(plan);
      container::ContainerOptions options = test_options();
      options.create_if_missing = false;
      auto opened = container::Container::open(std::make_shared<SimulatedDevice>(image),
                                               std::make_shared<container::NoPins>(), options);
      ++images;
      if (opened) {
        CHECK(problem_after(image, fresh, model) == "");
        continue;
      }
      CHECK(at < created);
      ++anew;
      if (opened.error().code != ErrorCode::store_missing) {
        // Without a whole superblock it looks like any file. A host file does not have its name yet
        // then, and is emptied by whoever makes it.
        auto superblocks = container::read_superblocks(*std::make_shared<SimulatedDevice>(image));
        CHECK_FALSE(superblocks);
        continue;
      }
      // Not made to the end; whoever comes may make it.
      auto again = std::make_shared<SimulatedDevice>(image);
      again->keep_moments();
      ContainerPlace made = value_of(open_place(again));
      CHECK(problem_with(made) == "");
      CHECK(problem_after(again->moment().crash({Plan::Kind::none}), fresh, fresh) == "");
      // The making anew may be cut off, too. If there was a superblock, there is one ever after.
      if (image.size() == 0) continue;
      for (const KeptMoment& second : again->moments()) {
        for (const auto kind : {Plan::Kind::none, Plan::Kind::all, Plan::Kind::some}) {
          ContainerPlace last =
              value_of(open_place(second.moment.crash({.kind = kind, .seed = images})));
          CHECK(problem_with(last) == "");
          ++images;
        }
      }
    }
  }
  MESSAGE(images << " crash images, " << anew << " of them made anew");
  CHECK(anew > 0);
  CHECK(anew < images);
}
