#include "container/checked_run.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace once::testing {

using Kind = Op::Kind;

namespace {

// Whether an ok is an acknowledgement: of a change, or that one is durable.
bool acknowledges(const Op& op) {
  // What they ask for may be there.
  if (op.kind == Kind::make_directory_if_missing || op.kind == Kind::reopen) return false;
  if (op.kind == Kind::rename) return op.path != op.to;
  if (op.kind == Kind::append) return op.length > 0;
  return op.changes_names() || op.kind == Kind::sync || op.kind == Kind::sync_directory ||
         op.kind == Kind::give_back || op.kind == Kind::compact || op.kind == Kind::restart;
}

bool looks(const Op& op) {
  return op.kind >= Kind::list && op.kind <= Kind::is_directory;
}

}  // namespace

CheckedRun::CheckedRun() {
  auto made = open_place(device_);
  if (!made) {
    std::fprintf(stderr, "no container can be made: %s\n", made.error().message.c_str());
    std::abort();
  }
  place_ = std::move(*made);
  attach(runner_.emplace(place_.files), place_);
}

std::string CheckedRun::step(const Op& op) {
  if (!is_open() || !model_.is_laid_down(op)) return "";
  const bool was_poisoned = poisoned();
  const CallCounts before = device_->struck();
  struck_ = before.total;
  if (keeps_trace_) trace_ += op.describe() + ": ";
  const Answer is = runner_->run(op);
  if (keeps_trace_) trace_ += is.describe() + (poisoned() ? " (poisoned)\n" : "\n");
  FileModel done = model_;
  const Answer should = done.run(op);
  const CallCounts now = device_->struck();
  const bool writing_failed = now.of(CallKind::write) + now.of(CallKind::sync) >
                              before.of(CallKind::write) + before.of(CallKind::sync);
  if (writing_failed && op.kind != Kind::restart && !poisoned()) {
    return op.describe() + ": a failed write goes unnoticed";
  }
  if (is == should) {
    if (is.ok() && was_poisoned && acknowledges(op)) {
      return op.describe() + ": acknowledged after a failed write";
    }
    model_ = std::move(done);
    if (op.kind == Kind::restart) maybe_.reset();
    return "";
  }
  if (is.ok() || looks(op)) {
    // What the call that failed has done may show.
    if (maybe_ && looks(op) && FileModel(*maybe_).run(op) == is) return "";
    if (is.ok() || (now.total == before.total && !was_poisoned)) {
      return fmt::format("{}: answered {}, not {}", op.describe(), is.describe(),
                         should.describe());
    }
  }
  const std::string problem = failed(op, is, std::move(done), was_poisoned);
  return problem.empty() ? problem : fmt::format("{}: {}", op.describe(), problem);
}

std::string CheckedRun::failed(const Op& op, const Answer& is, FileModel done, bool was_poisoned) {
  const bool strikes = device_->struck().total > struck_;
  const bool full = is.code == Answer::Code::no_space;
  if (!strikes && !was_poisoned && !full) return "failed without a reason: " + is.describe();
  if (is.code == Answer::Code::not_found || is.code == Answer::Code::path_not_found) {
    return "a failure is taken for something missing: " + is.describe();
  }
  model_.fail(op);
  if (op.kind == Kind::restart) {
    // Nobody uses it any more once it was asked to close.
    let_go();
    return "";
  }
  if (poisoned()) {
    if (!was_poisoned) maybe_ = std::move(done);
    return "";
  }
  // Nothing was written: it has to be as if it had not been asked for. (Space may have been.)
  if (looks(op)) return "";
  Tree found;
  const auto status = read_tree(*place_.files, "", &found);
  // The fault may go on.
  if (!status.ok()) {
    const bool again = strikes || device_->struck().total > struck_;
    return again ? "" : "and nothing can be read any more: " + status.ToString();
  }
  const std::string difference = model_.difference_to(found);
  return difference.empty() ? difference : "failed, and changed something: " + difference;
}

void CheckedRun::let_go() {
  runner_.reset();
  place_ = {};
}

std::string CheckedRun::look() {
  if (!is_open()) return "";
  Tree found;
  const auto status = read_tree(*place_.files, "", &found);
  if (!status.ok()) return "cannot be read: " + status.ToString();
  if (!maybe_) return model_.difference_to(found);
  return model_.problem_with(found, *maybe_);
}

std::string CheckedRun::open_again() {
  auto opened = open_place(device_);
  if (!opened) {
    return fmt::format("cannot be opened again: {}: {}", to_string(opened.error().code),
                       opened.error().message);
  }
  place_ = std::move(*opened);
  Tree found;
  if (const auto status = read_tree(*place_.files, "", &found); !status.ok()) {
    return "cannot be read after it was opened again: " + status.ToString();
  }
  const Identities identities = read_identities(*place_.files, found);
  std::string problem = model_.problem_with(found, ceiling(), identities);
  if (problem.empty()) problem = problem_with(place_);
  // From now on that is what was acknowledged.
  model_ = model_.settled_as(found, ceiling(), identities);
  maybe_.reset();
  attach(runner_.emplace(place_.files, "", model_.serial()), place_);
  return problem;
}

std::string CheckedRun::cut_power(const CrashPlan& plan) {
  if (keeps_trace_) trace_ += "power cut, " + plan.describe() + "\n";
  const DiskImage left = device_->moment().crash(plan);
  let_go();
  device_ = std::make_shared<SimulatedDevice>(left);
  const std::string problem = open_again();
  return problem.empty() ? problem : fmt::format("power cut, {}: {}", plan.describe(), problem);
}

std::string CheckedRun::end_process() {
  if (keeps_trace_) trace_ += "end of the process\n";
  device_->heal();
  // What happens when the objects go does not matter to a process that was killed.
  const Moment moment = device_->moment();
  const DiskImage shown = device_->image();
  let_go();
  device_ = std::make_shared<SimulatedDevice>(moment, shown);
  const std::string problem = open_again();
  return problem.empty() ? problem : "the process ended: " + problem;
}

}  // namespace once::testing
