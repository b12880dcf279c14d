#include "workflow/step_run.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"

namespace once {

using workflow::Ending;
using workflow::NodeRow;
using workflow::Tried;

StepContext::Impl::Impl(workflow::RunScope& run_scope) : scope(run_scope) {
  for (const auto& [name, row] : scope.recorder.nodes()) {
    // No place: of an earlier definition, and accepted as that.
    if (row.order != 0) recorded_[row.order] = name;
  }
}

// From here on the function gets this error for all that it asks.
std::unexpected<Error> StepContext::Impl::end(Ending ending) {
  if (!ended_) ended_ = std::move(ending);
  return std::unexpected(ended_->error);
}

std::unexpected<Error> StepContext::Impl::end_stopped() {
  if (auto why = scope.recorder.broken()) {
    return end({.kind = Ending::Kind::failed, .error = std::move(*why)});
  }
  return end({.kind = Ending::Kind::stopped,
              .error = {.code = ErrorCode::cancelled,
                        .message = fmt::format("run {} was stopped; run it again to go on",
                                               scope.recorder.reservation().key.to_string())}});
}

Result<void> StepContext::Impl::check_not_within(std::string_view name) const {
  if (at_work_ == nullptr) return {};
  return fail(ErrorCode::invalid_argument,
              "step '{}' is asked for within the work of step '{}'; ask for it in the function "
              "itself, before that one or after it",
              name, *at_work_);
}

Result<void> StepContext::Impl::take_place(const std::string& name) {
  if (auto checked = check_not_within(name); !checked) return checked;
  if (ended_) return std::unexpected(ended_->error);
  if (scope.stopping()) return end_stopped();
  if (auto checked = workflow::check_node_name(name); !checked) return checked;
  if (!asked_.insert(name).second) {
    return fail(ErrorCode::invalid_argument,
                "step '{}' is asked for twice in one run; give each a name of its own, with a "
                "number in it within a loop",
                name);
  }
  ++place_;
  if (scope.options.accept_changes) return {};
  const auto known = recorded_.find(place_);
  const auto row = scope.recorder.node(name);
  const std::uint32_t before = row ? row->order : 0;
  const bool other_here = known != recorded_.end() && known->second != name;
  const bool elsewhere = before != 0 && before != place_;
  if (!other_here && !elsewhere) return {};
  std::string what =
      other_here ? fmt::format("step {} was '{}' and is now '{}'", place_, known->second, name)
                 : fmt::format("step '{}' was step {} and is now step {}", name, before, place_);
  return end({.kind = Ending::Kind::changed,
              .error = {.code = ErrorCode::mismatch,
                        .message = fmt::format(
                            "run {} was begun with other steps: {}; finish it with the definition "
                            "that began it, or resume it with RunOptions::accept_changes",
                            scope.recorder.reservation().key.to_string(), what)}});
}

// That a step failed is on disk by now, but not that it is to be answered so: without that the
// function would take the other way when it is run again.
void StepContext::Impl::go_on() {
  if (!failed_) return;
  const std::string name = *std::exchange(failed_, std::nullopt);
  auto row = scope.recorder.node(name);
  if (!row) return;
  row->gone_on_from = true;
  scope.recorder.change(name, *row);
  unkept_ = true;
}

Result<void> StepContext::Impl::check_variables() {
  auto fits = scope.recorder.check_loose();
  if (fits) return fits;
  return end({.kind = Ending::Kind::failed,
              .error = work_failed("variables_too_large",
                                   "the variables that were set since the last step cannot be "
                                   "kept: " +
                                       fits.error().message +
                                       "; keep large ones elsewhere and set a reference")});
}

std::optional<Result<internal::Output>> StepContext::Impl::answer(const std::string& name,
                                                                  NodeRow& row) {
  const bool moved = std::exchange(row.order, place_) != place_;
  if (row.status == NodeStatus::done) {
    if (moved) scope.recorder.change(name, row);
    ++skipped_;
    scope.recorder.passed(row.variables);
    return Result<internal::Output>(std::move(row.output));
  }
  if (row.status != NodeStatus::failed || !row.error) return std::nullopt;
  // A failure that the function went on from must be the same again. Earlier versions did not note
  // that: it shows only by the step after it, if that is there.
  const bool gone_on_from = row.gone_on_from || recorded_.upper_bound(place_) != recorded_.end();
  if (row.error->code != ErrorCode::work_failed && !gone_on_from) return std::nullopt;
  if (moved) scope.recorder.change(name, row);
  ++skipped_;
  scope.recorder.passed(row.variables);
  Error error = *row.error;
  error.replayed = true;
  return Result<internal::Output>(std::unexpected(std::move(error)));
}

Result<internal::Output> StepContext::Impl::step(const Asked& asked) {
  if (auto checked = workflow::check_retry(asked.name, asked.options.retry); !checked) {
    return pass(checked);
  }
  if (auto taken = take_place(asked.name); !taken) return pass(taken);
  go_on();
  NodeRow row = scope.recorder.node(asked.name).value_or(NodeRow{.order = place_});
  if (auto known = answer(asked.name, row)) return std::move(*known);
  return run_step(asked, std::move(row));
}

Result<internal::Output> StepContext::Impl::run_step(const Asked& asked, NodeRow row) {
  static const std::vector<std::string> nothing;
  const workflow::NodeCall call{
      .name = asked.name, .after = nothing, .work = asked.work, .transact = asked.transact};
  if (auto fits = check_variables(); !fits) return pass(fits);
  // What the function went on from is kept before this step can have any effect.
  if (std::exchange(unkept_, false)) {
    if (auto kept = scope.recorder.flush(); !kept) return end_stopped();
  }
  for (std::uint32_t tries = 1;; ++tries) {
    if (scope.stopping()) return end_stopped();
    row.status = NodeStatus::running;
    ++row.attempts;
    row.started_at = scope.recorder.now();
    if (auto noted = scope.recorder.started(asked.name, row); !noted) return end_stopped();
    if (tries == 1) ++executed_;
    at_work_ = &asked.name;
    Tried tried = workflow::try_node(scope, call, row);
    at_work_ = nullptr;
    if (scope.recorder.broken()) return end_stopped();
    if (tried.output) {
      if (asked.transact == nullptr) {
        auto kept = scope.recorder.ended(asked.name, std::move(row), asked.options.critical);
        if (!kept) return end_stopped();
      }
      return std::move(tried.output);
    }
    const bool again = !tried.thrown && workflow::is_retryable(tried.output.error()) &&
                       tries < asked.options.retry.attempts;
    if (!again) return fail_step(asked, std::move(row), std::move(tried));
    row.error = tried.output.error();
    const Duration until =
        after(scope.store.clock->since_boot(), workflow::backoff(asked.options.retry, tries));
    if (!workflow::wait_until(*scope.store.clock, until, scope.stop.get_token())) {
      return end_stopped();
    }
  }
}

Result<internal::Output> StepContext::Impl::fail_step(const Asked& asked, NodeRow row,
                                                      Tried tried) {
  row.status = NodeStatus::failed;
  row.variables.clear();  // of an earlier try, which go into it anew
  row.finished_at = scope.recorder.now();
  row.error = workflow::error_to_keep(tried.output.error());
  auto kept = scope.recorder.ended(asked.name, std::move(row), true);
  if (!kept) return end_stopped();
  if (!tried.thrown) {
    if (tried.output.error().code != ErrorCode::work_failed) failed_ = asked.name;
    return std::move(tried.output);
  }
  // Whatever the function makes of it, it cannot be had the same again: the run ends.
  (void)end({.kind = Ending::Kind::failed,
             .error = workflow::error_of_node(asked.name, tried.output.error()),
             .thrown = tried.thrown});
  std::rethrow_exception(tried.thrown);
}

Result<void> StepContext::Impl::sleep(std::string_view asked,
                                      const std::function<Time(Time)>& due_at) {
  const std::string name(asked);
  if (auto taken = take_place(name); !taken) return taken;
  go_on();
  NodeRow row = scope.recorder.node(name).value_or(NodeRow{.order = place_});
  if (auto known = answer(name, row)) {
    if (!*known) return pass(*known);
    return {};
  }
  if (row.status == NodeStatus::sleeping) {
    scope.recorder.passed(row.variables);
  } else {
    row.status = NodeStatus::sleeping;
    row.attempts = 1;
    row.started_at = scope.recorder.now();
    row.due = due_at(row.started_at);
    if (auto fits = check_variables(); !fits) return fits;
    if (auto kept = scope.recorder.ended(name, row, true); !kept) return end_stopped();
    row = scope.recorder.node(name).value_or(row);  // with what was set before it
  }
  const Time now = scope.recorder.now();
  if (row.due > now) {
    const bool waits = row.due <= after(now, scope.options.wait_for_timers);
    if (!waits) {
      return end({.kind = Ending::Kind::sleeping,
                  .error = {.code = ErrorCode::work_retryable,
                            .message = fmt::format("run {} sleeps for another {} ms",
                                                   scope.recorder.reservation().key.to_string(),
                                                   (row.due - now).count())},
                  .until = row.due});
    }
    const Duration until = scope.store.engine->since_boot_at(row.due);
    if (!workflow::wait_until(*scope.store.clock, until, scope.stop.get_token())) {
      (void)end_stopped();
      ended_->until = row.due;
      return std::unexpected(ended_->error);
    }
  }
  row.status = NodeStatus::done;
  row.finished_at = scope.recorder.now();
  if (auto kept = scope.recorder.ended(name, std::move(row), false); !kept) return end_stopped();
  return {};
}

Ending StepContext::Impl::returned(Result<internal::Output> result) {
  if (ended_) return std::move(*ended_);
  if (auto why = scope.recorder.broken()) {
    return {.kind = Ending::Kind::failed, .error = std::move(*why)};
  }
  if (!result) {
    const Error& error = result.error();
    const bool gave_up = scope.stopping() && error.code != ErrorCode::work_failed &&
                         error.code != ErrorCode::work_unknown;
    if (gave_up) return {.kind = Ending::Kind::stopped};
    return {.kind = Ending::Kind::failed, .error = error};
  }
  if (!check_variables()) return std::move(*ended_);
  const auto left = recorded_.upper_bound(place_);
  if (left != recorded_.end() && !scope.options.accept_changes) {
    return {
        .kind = Ending::Kind::changed,
        .error = {.code = ErrorCode::mismatch,
                  .message = fmt::format(
                      "run {} was begun with other steps: step {} was '{}' and was not asked "
                      "for; finish it with the definition that began it, or resume it with "
                      "RunOptions::accept_changes",
                      scope.recorder.reservation().key.to_string(), left->first, left->second)}};
  }
  return {.kind = Ending::Kind::finished, .value = std::move(*result)};
}

Ending StepContext::Impl::run() {
  StepContext context(*this);
  try {
    return returned(scope.definition.steps(context));
  } catch (...) {
    // The function threw because of what ended the run, as far as can be told.
    if (ended_ || scope.recorder.broken()) return returned(internal::Output{});
    return {.kind = Ending::Kind::failed,
            .error = {.code = ErrorCode::unknown, .message = "the steps threw an exception"},
            .thrown = std::current_exception()};
  }
}

Result<internal::Output> StepContext::run_step(std::string_view name, const Work& work,
                                               const NodeOptions& options) {
  return impl_.step({.name = std::string(name), .work = &work, .options = options});
}

Result<internal::Output> StepContext::run_transact(std::string_view name, const TransactWork& work,
                                                   const NodeOptions& options) {
  return impl_.step({.name = std::string(name), .transact = &work, .options = options});
}

Result<void> StepContext::sleep(std::string_view name, Duration duration) {
  if (duration < Duration::zero()) {
    return fail(ErrorCode::invalid_argument, "timer '{}' is less than none", name);
  }
  return impl_.sleep(name, [duration](Time now) { return after(now, duration); });
}

Result<void> StepContext::sleep_until(std::string_view name, Time due) {
  return impl_.sleep(name, [due](Time) { return due; });
}

std::optional<internal::Output> StepContext::variable_of(std::string_view variable) const {
  return impl_.scope.recorder.variable(variable);
}

void StepContext::set_variable(std::string_view variable, internal::Output value) {
  impl_.scope.recorder.set_variable(variable, std::move(value));
}

const std::optional<Bytes>& StepContext::run_input() const {
  return impl_.scope.input;
}

const std::string& StepContext::run_id() const {
  return impl_.scope.id;
}

const Key& StepContext::key() const {
  return impl_.scope.recorder.reservation().key;
}

Token StepContext::token() const {
  return impl_.scope.recorder.reservation().token;
}

std::stop_token StepContext::stop() const {
  return impl_.scope.stop.get_token();
}

Time StepContext::now() const {
  return impl_.scope.recorder.now();
}

}  // namespace once
