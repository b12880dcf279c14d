// Every single call to the device fails in the middle of a program of some 200 calls, in every way
// it can, once and from then on. What a failed call has asked for may have happened or not; nothing
// else is lost, nothing is taken for missing, and after a failed write or sync nothing is
// acknowledged any more.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

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

// Whether an ok is an acknowledgement: of a change, or that one is durable.
bool acknowledges(const Op& op) {
  // What they ask for may be there.
  if (op.kind == Kind::make_directory_if_missing || op.kind == Kind::reopen) return false;
  return op.changes_names() || op.kind == Kind::append || op.kind == Kind::sync ||
         op.kind == Kind::cut || op.kind == Kind::sync_directory || op.kind == Kind::give_back ||
         op.kind == Kind::compact;
}

// One run of the program with one fault.
class FaultRun {
 public:
  explicit FaultRun(const Fault& fault) : fault_(fault) {
    place_ = value_of(open_place(device_));
    device_->keep_log();
    attach(runner_.emplace(place_.files), place_);
    device_->inject(fault);
  }

  // What is wrong, or nothing.
  std::string run(const std::vector<Op>& program) {
    for (const Op& op : program) {
      if (!model_.is_laid_down(op)) continue;
      if (op.kind == Kind::restart && poisoned()) break;  // the end of this opening
      const std::string problem = step(op);
      if (!problem.empty()) return fmt::format("{}: {}", op.describe(), problem);
      if (!place_.container) break;
    }
    was_poisoned_ = poisoned();
    const std::string problem = still_readable();
    return problem.empty() ? after() : problem;
  }
  [[nodiscard]] bool struck() const { return device_->struck() > 0; }
  [[nodiscard]] bool was_poisoned() const { return was_poisoned_; }
  [[nodiscard]] std::string log() const { return device_->log(); }
  [[nodiscard]] std::uint64_t reopened() const { return reopened_; }

 private:
  [[nodiscard]] bool poisoned() const { return place_.container && place_.container->poisoned(); }

  std::string step(const Op& op) {
    const bool was_poisoned = poisoned();
    const std::uint64_t struck_before = device_->struck();
    const Answer is = runner_->run(op);
    FileModel done = model_;
    const Answer should = done.run(op);
    const bool strikes = device_->struck() > struck_before;
    const bool writes = fault_.kind == CallKind::write || fault_.kind == CallKind::sync;
    if (strikes && writes && place_.container && !poisoned())
      return "a failed write goes unnoticed";
    if (is.ok()) {
      if (was_poisoned && acknowledges(op)) return "acknowledged after a failed write";
      if (is != should) return "answered " + is.describe() + ", not " + should.describe();
      // What a container cannot make durable any more it does not know to be lost either.
      model_ = std::move(done);
      return "";
    }
    if (is == should) {
      model_ = std::move(done);
      return "";
    }
    if (should.ok() && !strikes && !was_poisoned && !fault_.for_ever) {
      return "failed without a reason: " + is.describe();
    }
    if (is.code == Answer::Code::not_found || is.code == Answer::Code::path_not_found) {
      return "a failure is taken for something missing: " + is.describe();
    }
    if (is.code == Answer::Code::no_space && fault_.code != ErrorCode::no_space) {
      return "a failure is taken for a full disk: " + is.describe();
    }
    model_.fail(op);
    if (poisoned() && !maybe_) {
      maybe_ = std::move(done);
      return "";
    }
    // Nothing was written: it has to be as if it had not been asked for.
    return place_.container && !poisoned() && !fault_.for_ever ? difference() : "";
  }

  std::string difference() {
    Tree found;
    const auto status = read_tree(*place_.files, "", &found);
    if (!status.ok()) return "cannot be read: " + status.ToString();
    const std::string difference = model_.difference_to(found);
    return difference.empty() ? difference : "failed, and changed something: " + difference;
  }

  const FileModel& ceiling() const { return maybe_ ? *maybe_ : model_; }

  // Reading goes on, as far as the device lets it.
  std::string still_readable() {
    device_->heal();
    if (!place_.container) return "";
    Tree found;
    const auto status = read_tree(*place_.files, "", &found);
    if (!status.ok()) return "cannot be read any more: " + status.ToString();
    const std::string problem = model_.problem_with(found, ceiling());
    return problem.empty() ? problem : "read before it was closed: " + problem;
  }

  std::string after() {
    const Moment before = device_->moment();
    for (const Plan& plan : {Plan{.kind = Plan::Kind::none}, Plan{.kind = Plan::Kind::all},
                             Plan{.kind = Plan::Kind::some, .seed = fault_.nth},
                             Plan{.kind = Plan::Kind::some, .seed = fault_.nth + 1000}}) {
      const std::string problem = problem_after(before.crash(plan), model_, ceiling());
      ++reopened_;
      if (!problem.empty()) return plan.describe() + ": " + problem;
    }
    // The same process, or the next one without a power cut: the kernel shows what it could not
    // write as if it had.
    runner_.reset();
    place_ = {};
    auto opened = open_place(device_);
    if (!opened) return "opened again: " + opened.error().message;
    place_ = std::move(*opened);
    ++reopened_;
    Tree found;
    if (const auto status = read_tree(*place_.files, "", &found); !status.ok()) {
      return "opened again: " + status.ToString();
    }
    std::string problem = model_.problem_with(found, ceiling());
    if (problem.empty()) problem = problem_with(place_);
    if (!problem.empty()) return "opened again: " + problem;
    const FileModel shown = FileModel::of(found);
    problem = problem_after(device_->moment().crash({Plan::Kind::none}), shown, shown);
    return problem.empty() ? problem : "opened again, and then a power cut: " + problem;
  }

  const Fault fault_;
  std::shared_ptr<SimulatedDevice> device_ = std::make_shared<SimulatedDevice>();
  ContainerPlace place_;
  std::optional<Runner> runner_;
  FileModel model_;
  std::optional<FileModel> maybe_;  // with the call that failed, and may have happened
  bool was_poisoned_ = false;
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
          if (run.was_poisoned()) ++poisoned;
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
