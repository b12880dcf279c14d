// Executor: one call, from reserving to answering; and its asynchronous form.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "base/saturating.h"
#include "execute/executor_impl.h"

namespace once {

Executor::Executor(Store& store, ExecutorOptions options)
    : impl_(std::make_unique<Impl>(store, std::move(options))) {}
Executor::~Executor() {
  if (impl_->generation != fork_generation()) {
    (void)impl_.release();  // the parent's; see Store::let_go()
    return;
  }
  impl_->pool.close();  // while what runs can still use the rest
}

Store& Executor::store() const {
  return impl_->store;
}

const ExecutorOptions& Executor::options() const {
  return impl_->options;
}

Result<void> Executor::Impl::check_options() const {
  if (options.threads < 1 || options.threads > max_executor_threads) {
    return fail(ErrorCode::invalid_argument,
                "an executor of {} threads (ExecutorOptions::threads); give 1 to {}",
                options.threads, max_executor_threads);
  }
  return check_policy(options.failures);
}

Result<void> Executor::Impl::check(const ExecuteOptions& call) const {
  if (auto checked = check_options(); !checked) return checked;
  return check_execute(call);
}

Duration Executor::Impl::deadline_of(const ExecuteOptions& call) const {
  return after(inside().clock->since_boot(), call.wait);
}

Result<ReserveAnswer> Executor::Impl::reserve(const Key& key, const ExecuteOptions& call) {
  std::optional<Token> decided;  // by the resolver: to run it again
  ReserveHooks hooks;
  if (options.is_safe_to_retry) {
    hooks.may_repeat = [&](const Found& found) { return may_repeat(key, found, decided); };
  }
  if (!options.observers.empty()) {
    hooks.on_wait = [&](const Error& busy) { tell_wait(key, busy); };
  }
  const Duration deadline = deadline_of(call);
  while (true) {
    auto reserved = inside().reserve(key, reserve_options(call), hooks);
    const bool ask = !reserved && reserved.error().code == ErrorCode::in_doubt && options.resolver;
    if (!ask) return reserved;
    if (auto settled = settle(key, reserved.error(), deadline, call.stop, decided); !settled) {
      return pass(settled);
    }
  }
}

Result<Store::Answer> Executor::Impl::duplicate(const Key& key, Replay&& replay,
                                                Conflict conflict) const {
  for (const Observer& observer : options.observers) {
    if (observer.on_duplicate) observer.on_duplicate(key, replay.outcome, replay.provenance);
  }
  if (conflict == Conflict::reject) return already_done(key, replay.provenance);
  return Store::Answer{.outcome = std::move(replay.outcome), .provenance = replay.provenance};
}

Executor::Impl::Tried Executor::Impl::attempt(const Reservation& reservation,
                                              const Store::Work& work, const ExecuteOptions& call) {
  Tried tried;
  Error failed_with;
  std::exception_ptr hook_threw;
  const Store::Work watched = [&](const Reservation& mine) {
    tell_before(mine);
    tried.begun = true;
    return work(mine);
  };
  const CarryOut how{
      .heartbeat = call.heartbeat,
      .retention = call.retention,
      .failure_retention = options.failures.definite_retention.value_or(call.failure_retention),
      .durability = call.durability,
      .leaving = [&](const Error& error, const std::exception_ptr& thrown) {
        failed_with = error;
        tried.failure =
            tried.begun ? classify(error, thrown, hook_threw) : FailureClass::not_started;
        return leaving_of(*tried.failure, error, thrown, call);
      }};
  try {
    tried.answer = inside().carry_out(reservation, watched, how);
  } catch (...) {
    tried.thrown = std::current_exception();
  }
  if (tried.answer && !tried.thrown) {
    tell_after(reservation.key, *tried.answer);
  } else if (tried.failure && tried.begun) {
    // The error is another one when the key could not be left.
    const bool left = tried.thrown || tried.answer.error().message == failed_with.message;
    if (left) tell_failure(reservation, failed_with, *tried.failure, tried.thrown != nullptr);
    if (hook_threw && !tried.thrown) std::rethrow_exception(hook_threw);
  }
  return tried;
}

Result<std::variant<Store::Answer, Replay>> Executor::Impl::run(const Key& key,
                                                                const Store::Work& work,
                                                                const ExecuteOptions& call,
                                                                Tries& tries) {
  while (true) {
    auto reserved = reserve(key, call);
    if (!reserved) return pass(reserved);
    if (auto* replay = std::get_if<Replay>(&*reserved)) return std::move(*replay);
    auto tried = attempt(std::get<Reservation>(*reserved), work, call);
    ++tries.done;
    if (try_again(key, tried, tries, call.stop)) continue;
    if (tried.thrown) std::rethrow_exception(tried.thrown);
    if (!tried.answer) return pass(tried.answer);
    return std::move(*tried.answer);
  }
}

Result<Store::Answer> Executor::Impl::run_or_replay(const Key& asked, const Store::Work& work,
                                                    const ExecuteOptions& call, Tries tries) {
  // A copy: the work may change what the caller's key was made of.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Key key = asked;
  if (auto valid = key.validate(); !valid) return pass(valid);
  if (auto checked = check(call); !checked) return pass(checked);
  auto answer = run(key, work, call, tries);
  if (!answer) return pass(answer);
  if (auto* replay = std::get_if<Replay>(&*answer)) {
    return duplicate(key, std::move(*replay), call.conflict);
  }
  return std::get<Store::Answer>(std::move(*answer));
}

Result<Store::Answer> Executor::run(const Key& key, const Store::Work& work,
                                    const ExecuteOptions& options) {
  return impl_->run_or_replay(key, work, options, {.most = impl_->options.failures.attempts});
}

Result<Store::Answer> Executor::run_once(const Key& key, const Store::Work& work,
                                         const ExecuteOptions& options) {
  return impl_->run_or_replay(key, work, options, {.most = 1});
}

void Executor::submit(Task task) {
  if (auto checked = impl_->inside().check_process(); !checked) return task(checked.error());
  if (auto checked = impl_->check_options(); !checked) return task(checked.error());
  impl_->pool.submit(std::move(task));
}

Error Executor::cancelled_before(const std::string& of) {
  return {.code = ErrorCode::cancelled,
          .message = fmt::format(
              "the call for {} was cancelled by its stop token before it began; the work did not "
              "run",
              of)};
}

}  // namespace once
