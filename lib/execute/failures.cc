// What a failure counts as, what it leaves, and when the work is tried again.
#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/saturating.h"
#include "execute/executor_impl.h"
#include "store/limit_checks.h"

namespace once {
namespace {

// What the library says of an exception that it keeps.
std::string describe(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

// In [0, 1).
double random_fraction() {
  std::uint64_t bits = 0;
  for (int i = 0; const std::uint8_t byte : random_id()) {
    if (i++ < 7) bits = bits << 8 | byte;
  }
  return static_cast<double>(bits >> 3) * 0x1p-53;
}

FailureClass usual_class(const Error& error) {
  switch (error.code) {
    case ErrorCode::work_failed:
    case ErrorCode::work_timed_out:
    case ErrorCode::work_killed:
      return FailureClass::definite;
    case ErrorCode::work_not_started:
      return FailureClass::not_started;
    case ErrorCode::work_retryable:
      return FailureClass::retryable;
    case ErrorCode::work_unknown:
      return FailureClass::unknown;
    default:
      return FailureClass::abandoned;
  }
}

// The failure that is kept and replayed.
Outcome definite_outcome(const Error& error, const std::exception_ptr& thrown) {
  Error kept = error;
  if (thrown) {
    kept.failure_code = "exception";
    kept.message = describe(thrown);
  } else if (kept.failure_code.empty() && kept.code != ErrorCode::work_failed) {
    kept.failure_code = to_string(error.code);
  }
  return failure_outcome(kept);
}

}  // namespace

std::string_view to_string(FailureClass failure) noexcept {
  switch (failure) {
    case FailureClass::not_started:
      return "not_started";
    case FailureClass::definite:
      return "definite";
    case FailureClass::retryable:
      return "retryable";
    case FailureClass::unknown:
      return "unknown";
    case FailureClass::abandoned:
      return "abandoned";
  }
  return "unnamed";
}

Result<void> check_policy(const FailurePolicy& policy) {
  const auto refuse = [](std::string_view why) {
    return fail(ErrorCode::invalid_argument, "of the failure policy, {}", why);
  };
  for (const auto& retention :
       {policy.definite_retention, policy.not_started_retention, policy.retryable_retention}) {
    if (auto checked = check_retention(retention.value_or(Duration(0))); !checked) return checked;
  }
  if (policy.attempts == 0) return refuse("attempts is 0; give 1 for a single try");
  if (policy.initial_pause < Duration::zero() || policy.longest_pause < Duration::zero()) {
    return refuse("a pause is less than none; give 0 or more");
  }
  // Written so that what is not a number is refused.
  if (!(policy.multiplier >= 1 && std::isfinite(policy.multiplier))) {
    return refuse("the multiplier is less than 1, or has no end; give 1 or more");
  }
  if (!(policy.jitter >= 0 && policy.jitter <= 1)) {
    return refuse("the jitter is not from 0 to 1; give 0 for none");
  }
  return {};
}

Duration Executor::Impl::retention_of(const Outcome& outcome, const ExecuteOptions& call) const {
  if (outcome.kind == OutcomeKind::success) return call.retention;
  return options.failures.definite_retention.value_or(call.failure_retention);
}

FailureClass Executor::Impl::classify(const Error& error, const std::exception_ptr& thrown,
                                      std::exception_ptr& hook_threw) const {
  const FailurePolicy& policy = options.failures;
  try {
    std::optional<FailureClass> said;
    if (thrown && policy.classify_exception) said = policy.classify_exception(thrown);
    if (!thrown && policy.classify_error) said = policy.classify_error(error);
    if (said) return *said;
  } catch (...) {
    hook_threw = std::current_exception();
    return FailureClass::abandoned;
  }
  return thrown ? FailureClass::abandoned : usual_class(error);
}

Leaving Executor::Impl::leaving_of(FailureClass failure, const Error& error,
                                   const std::exception_ptr& thrown,
                                   const ExecuteOptions& call) const {
  const FailurePolicy& policy = options.failures;
  switch (failure) {
    case FailureClass::not_started:
      return {.retention = policy.not_started_retention};
    case FailureClass::retryable:
      return {.retention = policy.retryable_retention};
    case FailureClass::definite:
      return {.outcome = definite_outcome(error, thrown),
              .retention = policy.definite_retention.value_or(call.failure_retention)};
    case FailureClass::unknown:
      return {.in_doubt = true};
    default:
      return {.in_doubt = call.on_abandon == OnAbandon::in_doubt};
  }
}

void Executor::Impl::tell_failure(const Reservation& reservation, const Error& error,
                                  FailureClass failure, bool work_threw) const {
  for (const Observer& observer : options.observers) {
    if (!observer.on_failure) continue;
    try {
      observer.on_failure(reservation, error, failure);
    } catch (...) {
      // One exception can reach the caller, and the work's own says more.
      if (!work_threw) throw;
    }
  }
}

bool Executor::Impl::try_again(const Key& key, const Tried& tried, const Tries& tries,
                               const std::stop_token& stop) const {
  const bool may_pass = tried.begun && (tried.failure == FailureClass::retryable ||
                                        tried.failure == FailureClass::not_started);
  return may_pass && tries.done < tries.most && pause(key, tries.done, stop);
}

bool Executor::Impl::pause(const Key& key, std::uint32_t tries, const std::stop_token& stop) const {
  const FailurePolicy& policy = options.failures;
  const auto initial = static_cast<double>(policy.initial_pause.count());
  // Infinity, for many tries, is cut as well; a pause of nothing stays one.
  const double whole =
      initial == 0 ? 0
                   : std::min(initial * std::pow(policy.multiplier, static_cast<double>(tries) - 1),
                              static_cast<double>(policy.longest_pause.count()));
  const double part = 1.0 - policy.jitter * random_fraction();
  Store::Impl& inner = inside();
  const Duration deadline = after(inner.clock->since_boot(), duration_of(whole * part));
  const std::stop_callback wake(stop, [&] { inner.waiters.notify(key); });
  while (true) {
    const std::uint64_t ticket = inner.waiters.ticket(key);
    if (stop.stop_requested() || inner.closed) return false;
    if (inner.clock->since_boot() >= deadline) return true;
    inner.waiters.wait(key, ticket, *inner.clock, deadline);
  }
}

}  // namespace once
