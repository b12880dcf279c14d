// Every single call to the device fails in the middle of a program of some 200 calls, in every way
// it can, once and from then on. What a failed call has asked for may have happened or not; nothing
// else is lost, nothing is taken for missing, and after a failed write or sync nothing is
// acknowledged any more.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "container/checked_run.h"
#include "container/container_place.h"
#include "container/crash_program.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using Effect = Fault::Effect;
using Kind = Op::Kind;
using Plan = CrashPlan;

namespace {

struct Way {
  const char* name;
  Effect effect;
  ErrorCode code;
};

std::vector<Way> ways_of(CallKind kind) {
  const Way eio{"EIO", Effect::none_done, ErrorCode::io};
  const Way enospc{"ENOSPC", Effect::none_done, ErrorCode::no_space};
  switch (kind) {
    case CallKind::read:
      return {eio, {"short", Effect::partly, ErrorCode::io}};
    case CallKind::write:
      return {eio,
              enospc,
              {"short, EIO", Effect::partly, ErrorCode::io},
              {"short, ENOSPC", Effect::partly, ErrorCode::no_space}};
    case CallKind::sync:
      return {eio};
    case CallKind::resize:
      return {eio, enospc, {"EIO, though done", Effect::partly, ErrorCode::io}};
    case CallKind::punch:
      return {eio, {"EIO, though done", Effect::partly, ErrorCode::io}};
    case CallKind::allocate:
      return {eio, enospc};
    case CallKind::query:
      return {eio};
  }
  return {};
}

// One run of the program with one fault.
class FaultRun {
 public:
  explicit FaultRun(const Fault& fault) : seed_(fault.nth) {
    run_.device().keep_log();
    run_.device().inject(fault);
  }

  // What is wrong, or nothing.
  std::string run(const std::vector<Op>& program) {
    for (const Op& op : program) {
      if (op.kind == Kind::restart && run_.poisoned()) break;  // the end of this opening
      const std::string problem = run_.step(op);
      if (!problem.empty()) return problem;
    }
    log_ = run_.device().log();
    struck_ = run_.device().struck().total > 0;
    poisoned_ = run_.poisoned();
    run_.device().heal();
    const std::string problem = run_.look();
    return problem.empty() ? after() : problem;
  }
  [[nodiscard]] bool struck() const { return struck_; }
  [[nodiscard]] bool poisoned() const { return poisoned_; }
  [[nodiscard]] const std::string& log() const { return log_; }
  [[nodiscard]] std::uint64_t reopened() const { return reopened_; }

 private:
  std::string after() {
    const Moment before = run_.device().moment();
    for (const Plan& plan : {Plan{.kind = Plan::Kind::none}, Plan{.kind = Plan::Kind::all},
                             Plan{.kind = Plan::Kind::some, .seed = seed_},
                             Plan{.kind = Plan::Kind::some, .seed = seed_ + 1000}}) {
      const std::string problem = problem_after(before.crash(plan), run_.floor(), run_.ceiling());
      ++reopened_;
      if (!problem.empty()) return plan.describe() + ": " + problem;
    }
    std::string problem = run_.end_process();
    ++reopened_;
    if (!problem.empty()) return problem;
    problem =
        problem_after(run_.device().moment().crash({Plan::Kind::none}), run_.floor(), run_.floor());
    return problem.empty() ? problem : "the process ended, and then a power cut: " + problem;
  }

  const std::uint64_t seed_;
  CheckedRun run_;
  std::string log_;
  bool struck_ = true;
  bool poisoned_ = false;
  std::uint64_t reopened_ = 0;
};

}  // namespace

TEST_CASE("a call to the device that fails loses nothing and hides nothing") {
  const std::vector<Op> program = crash_program();
  const Recording recording = record(program);
  const CallCounts calls = recording.device->calls();
  std::uint64_t runs = 0;
  std::uint64_t struck = 0;
  std::uint64_t poisoned = 0;
  std::uint64_t reopened = 0;
  int reported = 0;
  for (std::size_t kind = 0; kind < call_kinds; ++kind) {
    for (const Way& way : ways_of(static_cast<CallKind>(kind))) {
      for (const bool for_ever : {false, true}) {
        for (std::uint64_t nth = 1; nth <= calls.by_kind[kind]; ++nth) {
          const Fault fault{.kind = static_cast<CallKind>(kind),
                            .nth = nth,
                            .for_ever = for_ever,
                            .effect = way.effect,
                            .code = way.code};
          FaultRun run(fault);
          const std::string problem = run.run(program);
          ++runs;
          if (!run.struck()) break;  // there are fewer such calls after the creation
          ++struck;
          if (run.poisoned()) ++poisoned;
          reopened += run.reopened();
          if (problem.empty()) continue;
          const std::string text =
              fmt::format("{} {} gives {}{}: {}\n{}", to_string(*fault.kind), nth, way.name,
                          for_ever ? " for ever" : "", problem, run.log());
          if (++reported > 5) FAIL(text);
          FAIL_CHECK(text);
        }
      }
    }
  }
  MESSAGE(runs << " runs, " << struck << " with a fault, " << poisoned
               << " of which wrote no more, " << reopened << " reopened");
}

TEST_CASE(
    "a full disk refuses what needs space, changes nothing, and is over when there is space") {
  const std::vector<Op> program = crash_program();
  std::uint64_t refused = 0;
  std::uint64_t runs = 0;
  for (std::uint64_t capacity = 32 << 10; capacity <= (768 << 10); capacity += 8 << 10) {
    CAPTURE(capacity);
    auto device = std::make_shared<SimulatedDevice>();
    ContainerPlace place = value_of(open_place(device));
    Runner runner(place.files);
    attach(runner, place);
    FileModel model;
    device->set_capacity(capacity);
    ++runs;
    for (const Op& op : program) {
      if (!model.is_laid_down(op)) continue;
      CAPTURE(op.describe());
      FileModel done = model;
      const Answer should = done.run(op);
      const Answer is = runner.run(op);
      CAPTURE(is.describe());
      REQUIRE_FALSE(place.container->poisoned());
      if (is == should) {
        model = std::move(done);
        continue;
      }
      REQUIRE(is.code == Answer::Code::no_space);
      // These give space back, or are about what is there.
      CHECK(op.kind != Kind::remove);
      CHECK(op.kind != Kind::remove_directory);
      CHECK(op.kind != Kind::sync);
      CHECK(op.kind != Kind::sync_directory);
      CHECK(op.kind != Kind::close);
      CHECK(op.kind != Kind::give_back);
      CHECK(op.kind != Kind::compact);
      CHECK(op.kind != Kind::restart);
      model.fail(op);
      ++refused;
      Tree found;
      REQUIRE(read_tree(*place.files, "", &found).ok());
      REQUIRE(model.difference_to(found) == "");
    }
    CHECK(problem_with(place) == "");
    CHECK(problem_after(device->moment().crash({Plan::Kind::none}), model, model) == "");

    // There is space again, and it goes on without being opened again.
    device->set_capacity(SimulatedDevice::default_capacity);
    for (const Op& op :
         std::initializer_list<Op>{{.kind = Kind::make_directory_if_missing, .path = "/db"},
                                   {.kind = Kind::create, .path = "/db/000077.log", .slot = 5},
                                   {.kind = Kind::append, .length = 100'000, .slot = 5},
                                   {.kind = Kind::sync, .slot = 5},
                                   {.kind = Kind::create, .path = "/db/000078.sst", .slot = 4},
                                   {.kind = Kind::append, .length = 300'000, .slot = 4},
                                   {.kind = Kind::sync, .slot = 4},
                                   {.kind = Kind::sync_directory, .path = "/db"}}) {
      CAPTURE(op.describe());
      const Answer is = runner.run(op);
      CAPTURE(is.describe());
      REQUIRE(is == model.run(op));
    }
    CHECK(problem_after(device->moment().crash({Plan::Kind::none}), model, model) == "");
  }
  MESSAGE(runs << " sizes of the disk, " << refused << " calls refused");
}
