// Workflow::run(): reserve, go on from the checkpoints, and do what the end of it asks for.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"
#include "base/utf8.h"
#include "ledger/heartbeat.h"
#include "ledger/question.h"
#include "once/execute.h"
#include "once/question.h"
#include "store/limit_checks.h"
#include "workflow/graph_run.h"
#include "workflow/run_access.h"
#include "workflow/step_run.h"

namespace once {

using internal::RunAccess;
using workflow::Ending;
using workflow::LoadedRun;
using workflow::Recorder;
using workflow::RunRow;
using workflow::RunScope;

namespace {

// Errors after which nothing can or may be written for the run.
bool ends_writing(ErrorCode code) {
  return code == ErrorCode::fenced || code == ErrorCode::closed || code == ErrorCode::forked ||
         code == ErrorCode::poisoned || code == ErrorCode::unknown;
}

// Renews the lease while the run is at work. Shares the recorder, since the last beat may end after
// the run. Null: the system has no thread to give.
std::unique_ptr<ledger::Heartbeat::Beat> start_beat(Store::Impl& store,
                                                    const std::shared_ptr<Recorder>& recorder) {
  const Duration interval = recorder->reservation().lease / 3;
  return store.heartbeat.start(interval, [store = &store, recorder] {
    if (recorder->broken()) return false;
    const Reservation& mine = recorder->reservation();
    auto renewed = store->transition<Reservation>(
        mine.key, Durability::buffered, [&](const ledger::Moment& moment) {
          return ledger::renew(moment, mine.token, mine.lease);
        });
    if (renewed) return true;
    const ErrorCode code = renewed.error().code;
    // Any other failure may pass, and the lease is worth another try.
    if (code != ErrorCode::fenced && code != ErrorCode::closed) return true;
    recorder->lose(renewed.error());
    return false;
  });
}

// Steps take their places anew. That the function went on from a failure, which in rows of earlier
// versions shows by the step after it alone, must not be lost with them.
void take_places_anew(Recorder& recorder) {
  const auto rows = recorder.nodes();
  std::uint32_t last = 0;
  for (const auto& [name, row] : rows) last = std::max(last, row.order);
  for (const auto& [name, row] : rows) {
    workflow::NodeRow moved = row;
    moved.gone_on_from =
        row.gone_on_from || (row.status == NodeStatus::failed && row.order < last && row.order > 0);
    moved.order = 0;
    recorder.change(name, moved);
  }
}

// What to tell who asks with other input; names the fields where both are JSON objects.
std::unexpected<Error> other_input(const Key& key, const std::optional<Bytes>& kept,
                                   const Bytes& asked) {
  ledger::Difference difference;
  if (const auto before = question_of(kept.value_or("")), now = question_of(asked); before && now) {
    difference = ledger::difference_of(before->fields, now->fields);
    if (before->fingerprint == now->fingerprint)
      difference.told = "the same JSON, written differently";
  }
  auto error =
      fail(ErrorCode::mismatch, "run {} was begun with other input{}; use a new id for a new run",
           key.to_string(), difference.told.empty() ? "" : fmt::format(" ({})", difference.told));
  error.error().differing_fields = std::move(difference.names);
  return error;
}

std::unexpected<Error> no_run(const Key& key) {
  return fail(ErrorCode::not_found,
              "there is no run {} to resume: it was not begun, was removed, or its retention is "
              "over; begin it with run()",
              key.to_string());
}

// One call of run() or resume(), or one run that resume_all() goes on with.
class Attempt {
 public:
  // Not `may_begin`: only a run that was begun is gone on with.
  Attempt(const Workflow::Impl& definition, Store::Impl& inside, Key key, const RunOptions& options,
          bool may_begin)
      : definition_(definition),
        inside_(inside),
        key_(std::move(key)),
        options_(options),
        may_begin_(may_begin),
        outline_(definition.outline()) {}

  Result<WorkflowRun> run();

 private:
  [[nodiscard]] Result<void> check(const LoadedRun& loaded) const;
  Result<ReserveAnswer> reserve(const LoadedRun& loaded);
  Result<WorkflowRun> reserved(const Reservation& reservation);
  void leave_broken_off(const Reservation& reservation);
  Result<WorkflowRun> carry_out(const Reservation& reservation, LoadedRun&& loaded);
  Ending run_form(RunScope& scope, WorkflowRun& result);
  Result<WorkflowRun> settle(Recorder& recorder, Ending ending, const WorkflowRun& result);
  Result<WorkflowRun> settle_failure(Recorder& recorder, const Ending& ending);
  [[nodiscard]] static Result<WorkflowRun> replayed(const Replay& replay);

  const Workflow::Impl& definition_;
  Store::Impl& inside_;
  const Key key_;
  const RunOptions& options_;
  const bool may_begin_;
  RunRow outline_;
  std::optional<Bytes> input_{};
};

// Whether the definition and the input are those that the run was begun with.
Result<void> Attempt::check(const LoadedRun& loaded) const {
  if (loaded.lacks_input() && !options_.input) {
    return fail(ErrorCode::mismatch,
                "run {} was begun with an input that was not kept before its process ended, by an "
                "earlier version of Once; run it with that input",
                key_.to_string());
  }
  if (!loaded.run || !loaded.found) return {};
  const Status status = loaded.found->record.status;
  if (options_.input && loaded.run->input != options_.input) {
    return other_input(key_, loaded.run->input, *options_.input);
  }
  const bool finished = status == Status::completed || status == Status::failed;
  if (finished || options_.accept_changes || loaded.run->definition == outline_.definition) {
    return {};
  }
  return fail(ErrorCode::mismatch,
              "the definition of workflow '{}' has changed since run {} was begun: {}; finish it "
              "with the definition that began it, or resume it with RunOptions::accept_changes",
              definition_.name, key_.to_string(), workflow::differences(*loaded.run, outline_));
}

Result<WorkflowRun> Attempt::replayed(const Replay& replay) {
  if (replay.outcome.kind == OutcomeKind::success) {
    return RunAccess::finished(replay.outcome.value, replay.provenance);
  }
  return std::unexpected(Error{.code = ErrorCode::work_failed,
                               .message = replay.outcome.message,
                               .failure_code = replay.outcome.code,
                               .replayed = true});
}

Result<WorkflowRun> Attempt::run() {
  auto loaded = workflow::load_run(inside_, key_);
  if (!loaded) return pass(loaded);
  if (auto checked = check(*loaded); !checked) return pass(checked);
  const auto sleeps = loaded->sleeping_until();
  if (sleeps && *sleeps > after(loaded->now, options_.wait_for_timers)) {
    return RunAccess::sleeping(*sleeps, 0, 0);
  }
  auto answer = reserve(*loaded);
  if (!answer && answer.error().code == ErrorCode::not_found) return no_run(key_);
  if (!answer) return pass(answer);
  if (const auto* replay = std::get_if<Replay>(&*answer)) return replayed(*replay);
  return reserved(std::get<Reservation>(*answer));
}

// Reserves the key, and keeps how the run is begun in the same commit: a record alone would not
// tell whoever goes on with it what its input was.
Result<ReserveAnswer> Attempt::reserve(const LoadedRun& loaded) {
  const std::optional<Bytes> input =
      options_.input || !loaded.run ? options_.input : loaded.run->input;
  ReserveOptions request{.lease = definition_.options.lease,
                         .retention = definition_.options.retention,
                         .on_abandon = OnAbandon::rerun,
                         .wait = options_.wait,
                         .durability = definition_.options.durability,
                         .stop = options_.stop};
  if (input) request.fingerprint = Fingerprint::of(*input);
  RunRow begun = outline_;
  begun.input = input;
  const Checkpoint row{.name = std::string(workflow::run_row), .data = workflow::encode_run(begun)};
  if (!loaded.run) {
    if (auto fits = check_checkpoint(row.name, row.data, inside_.options); !fits) {
      return fail(
          fits.error().code,
          "run {} cannot be kept with what it is begun with: {}; keep large input elsewhere "
          "and give a reference as RunOptions::input",
          key_.to_string(), fits.error().message);
    }
  }
  ReserveHooks hooks{.may_begin = may_begin_};
  hooks.on_grant = [&](const ledger::Moment& moment, engine::Change& granted) {
    // A record that goes on has a row, by whoever began it, unless one of an earlier version died
    // too early; it does if it has changed since it was looked at.
    const bool is_new = granted.put->origin == granted.put->token;
    const bool lacks_row = !loaded.run && loaded.found && moment.record &&
                           loaded.found->record.token == moment.record->token;
    if (!is_new && !lacks_row) return;
    granted.checkpoints.push_back(row);
    granted.checkpoints.back().token = granted.put->token;
    granted.checkpoints.back().created_at = moment.now;
  };
  return inside_.reserve(key_, request, hooks);
}

// Lets go of the key without a word about the run, which is at no end: as if the process had died.
// So it never expires, and whoever asks next takes it over at once.
void Attempt::leave_broken_off(const Reservation& reservation) {
  // If this fails the lease lapses by itself.
  (void)inside_.transition<Reservation>(
      key_, Durability::buffered, [&](const ledger::Moment& moment) {
        return ledger::renew(moment, reservation.token, Duration(0));
      });
}

Result<WorkflowRun> Attempt::reserved(const Reservation& reservation) {
  // Again, now that nobody else can change it.
  auto loaded = workflow::load_run(inside_, key_);
  if (!loaded) {
    leave_broken_off(reservation);
    return pass(loaded);
  }
  if (auto checked = check(*loaded); !checked) {
    // Somebody began or changed it in between. A key that is free asks for no input of its own.
    (void)inside_.transition<std::monostate>(
        key_, definition_.options.durability, [&](const ledger::Moment& moment) {
          return ledger::release(moment, reservation.token,
                                 cut_utf8(checked.error().message, max_reason_bytes), forever);
        });
    return pass(checked);
  }
  input_ = loaded->run ? loaded->run->input : options_.input;
  return carry_out(reservation, std::move(*loaded));
}

Result<WorkflowRun> Attempt::carry_out(const Reservation& reservation, LoadedRun&& loaded) {
  const std::stop_source stop;
  const std::stop_callback forward(options_.stop, [stop]() mutable { stop.request_stop(); });
  const bool known = loaded.run && loaded.run->definition == outline_.definition;
  const bool begun_before = loaded.run.has_value();
  auto recorder = std::make_shared<Recorder>(inside_, reservation, definition_, std::move(loaded),
                                             options_.faults, stop);
  std::unique_ptr<ledger::Heartbeat::Beat> beat;
  if (definition_.options.heartbeat) {
    beat = start_beat(inside_, recorder);
    if (!beat) {
      leave_broken_off(reservation);
      return fail(ErrorCode::io,
                  "run {}: no thread could be started to renew its lease; try again when the "
                  "system has threads to spare",
                  key_.to_string());
    }
  }
  RunScope scope{.store = inside_,
                 .definition = definition_,
                 .recorder = *recorder,
                 .options = options_,
                 .input = input_,
                 .stop = stop,
                 .id = key_.id};
  outline_.input = input_;
  if (begun_before && options_.accept_changes && definition_.steps) {
    take_places_anew(*recorder);
  }
  WorkflowRun result;
  Ending ending;
  if (auto begun = recorder->begin(known ? nullptr : &outline_); !begun) {
    ending = {.kind = Ending::Kind::failed, .error = begun.error()};
  } else {
    ending = run_form(scope, result);
  }
  const std::exception_ptr thrown = ending.thrown;
  auto settled = settle(*recorder, std::move(ending), result);
  beat.reset();
  // The caller hears of its own exception; that the run could not be left shows on the next try.
  if (thrown) std::rethrow_exception(thrown);
  return settled;
}

Ending Attempt::run_form(RunScope& scope, WorkflowRun& result) {
  if (definition_.steps) {
    StepContext::Impl steps(scope);
    Ending ending = steps.run();
    RunAccess::count(result, steps.executed(), steps.skipped());
    return ending;
  }
  workflow::GraphRun graph(scope);
  Ending ending = graph.run();
  RunAccess::count(result, graph.executed(), graph.skipped());
  return ending;
}

Result<WorkflowRun> Attempt::settle(Recorder& recorder, Ending ending, const WorkflowRun& result) {
  if (auto why = recorder.broken(); why && ends_writing(why->code)) {
    return std::unexpected(std::move(*why));
  }
  switch (ending.kind) {
    case Ending::Kind::finished: {
      Outcome outcome = Outcome::success(ending.value);
      const std::size_t bytes = outcome.value ? outcome.value->size() : 0;
      const bool too_large = bytes > inside_.options.max_outcome_bytes;
      if (too_large) outcome = {.omitted_bytes = bytes};
      auto done = recorder.complete(outcome, definition_.options.retention);
      if (!done) return pass(done);
      if (too_large) {
        return fail(ErrorCode::outcome_omitted,
                    "run {} is done, but its result of {} bytes was too large to keep "
                    "(Options::max_outcome_bytes); keep large results elsewhere and return a "
                    "reference",
                    key_.to_string(), bytes);
      }
      return RunAccess::finished(std::move(ending.value), *done, result.executed(),
                                 result.skipped());
    }
    case Ending::Kind::sleeping: {
      // Nobody may look for it for long after it is due: what it has done must count then.
      if (auto released = recorder.release("sleeps", forever, ending.until); !released) {
        return pass(released);
      }
      return RunAccess::sleeping(ending.until, result.executed(), result.skipped());
    }
    case Ending::Kind::stopped: {
      if (auto released = recorder.release("stopped", forever, ending.until); !released) {
        return pass(released);
      }
      return fail(ErrorCode::cancelled, "run {} was stopped; run it again to go on",
                  key_.to_string());
    }
    case Ending::Kind::failed:
    case Ending::Kind::changed:
      break;
  }
  return settle_failure(recorder, ending);
}

Result<WorkflowRun> Attempt::settle_failure(Recorder& recorder, const Ending& ending) {
  const Error& error = ending.error;
  Result<void> left;
  if (error.code == ErrorCode::work_failed) {
    auto kept = recorder.complete(failure_outcome(error), definition_.options.failure_retention);
    if (!kept) left = pass(kept);
  } else if (error.code == ErrorCode::work_unknown) {
    left = recorder.doubt(error.message);
  } else {
    // A definition that does not fit is no failure of the run: it waits for the one that does.
    const bool changed = ending.kind == Ending::Kind::changed;
    left = recorder.release(error.message, changed ? std::optional(forever) : std::nullopt);
  }
  if (!left) return pass(left);
  return std::unexpected(error);
}

}  // namespace

Result<WorkflowRun> Workflow::run(Store& store, std::string_view id,
                                  const RunOptions& options) const {
  if (auto valid = validate(); !valid) return pass(valid);
  return RunAccess::run(*this, store, key(name(), id, options.tenant), options);
}

Result<WorkflowRun> Workflow::resume(Store& store, std::string_view id,
                                     const RunOptions& options) const {
  if (auto valid = validate(); !valid) return pass(valid);
  return RunAccess::resume(*this, store, key(name(), id, options.tenant), options);
}

std::future<Result<WorkflowRun>> Workflow::run_async(Executor& executor, std::string id,
                                                     RunOptions options) const {
  const Key run = key(name(), id, options.tenant);
  const std::stop_token stop = options.stop;
  return executor.call_async(
      run.to_string(),
      [workflow = *this, &store = executor.store(), id = std::move(id),
       options = std::move(options)] { return workflow.run(store, id, options); },
      stop);
}

std::future<Result<WorkflowRun>> Workflow::resume_async(Executor& executor, std::string id,
                                                        RunOptions options) const {
  const Key run = key(name(), id, options.tenant);
  const std::stop_token stop = options.stop;
  return executor.call_async(
      run.to_string(),
      [workflow = *this, &store = executor.store(), id = std::move(id),
       options = std::move(options)] { return workflow.resume(store, id, options); },
      stop);
}

namespace {

Result<WorkflowRun> attempt(const Workflow::Impl& definition, Store::Impl& inside, Key key,
                            const RunOptions& options, bool may_begin) {
  if (auto valid = key.validate(); !valid) return pass(valid);
  if (auto checked = workflow::check_run(options); !checked) return pass(checked);
  return Attempt(definition, inside, std::move(key), options, may_begin).run();
}

}  // namespace

Result<WorkflowRun> internal::RunAccess::run(const Workflow& workflow, Store& store, Key key,
                                             const RunOptions& options) {
  return attempt(*workflow.impl_, Workflow::inside(store), std::move(key), options, true);
}

Result<WorkflowRun> internal::RunAccess::resume(const Workflow& workflow, Store& store, Key key,
                                                const RunOptions& options) {
  return attempt(*workflow.impl_, Workflow::inside(store), std::move(key), options, false);
}

}  // namespace once
