// Carrying a granted reservation out: the lease renewed, the work run, its outcome kept.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "store/limit_checks.h"
#include "store/store_impl.h"

namespace once {
namespace {

// Does to the key what was decided on.
Result<void> leave_key(Store::Impl& store, const Reservation& reservation, const Error& error,
                       const Leaving& leaving, Durability durability) {
  const std::string reason(cut_utf8(error.message, 1024));
  if (leaving.outcome) {
    auto kept = store.transition<Provenance>(
        reservation.key, durability, [&](const ledger::Moment& moment) {
          return ledger::finish(moment, reservation.token, *leaving.outcome, leaving.retention);
        });
    if (!kept) return pass(kept);
    return {};
  }
  auto left = store.transition<std::monostate>(
      reservation.key, durability, [&](const ledger::Moment& moment) {
        return leaving.in_doubt
                   ? ledger::doubt(moment, reservation.token, reason)
                   : ledger::release(moment, reservation.token, reason, leaving.retention);
      });
  if (!left) return pass(left);
  return {};
}

Error omitted(const Key& key, std::uint64_t bytes) {
  return {.code = ErrorCode::outcome_omitted,
          .message = fmt::format(
              "key {} was carried out, but its outcome of {} bytes was too large to keep "
              "(Options::max_outcome_bytes); it does not run again; keep large results elsewhere "
              "and return a reference",
              key.to_string(), bytes)};
}

}  // namespace

Leaving usual_leaving(const Error& error, const ExecuteOptions& options) {
  switch (error.code) {
    case ErrorCode::work_failed:
    case ErrorCode::work_timed_out:
    case ErrorCode::work_killed:
      return {.outcome = failure_outcome(error), .retention = options.failure_retention};
    case ErrorCode::work_not_started:
    case ErrorCode::work_retryable:
      return {};
    case ErrorCode::work_unknown:
      return {.in_doubt = true};
    default:
      return {.in_doubt = options.on_abandon == OnAbandon::in_doubt};
  }
}

std::unique_ptr<ledger::Heartbeat::Beat> Store::Impl::keep_renewed(const Reservation& reservation,
                                                                   std::function<void()> lost) {
  return heartbeat.start(reservation.lease / 3, [this, reservation, lost = std::move(lost)] {
    auto renewed = transition<Reservation>(
        reservation.key, Durability::buffered, [&](const ledger::Moment& moment) {
          return ledger::renew(moment, reservation.token, reservation.lease);
        });
    // Any other failure may pass, and the lease is worth another try.
    const bool go_on = renewed || (renewed.error().code != ErrorCode::fenced &&
                                   renewed.error().code != ErrorCode::closed);
    if (!go_on && lost) lost();
    return go_on;
  });
}

Result<Store::Answer> Store::Impl::carry_out(const Reservation& reservation, const Work& work,
                                             const CarryOut& how) {
  const metrics::Meters::Timer timer(meters, reservation.key, metrics::Timed::execute);
  Result<Outcome> outcome;
  {
    std::unique_ptr<ledger::Heartbeat::Beat> beat;
    if (how.heartbeat) {
      beat = keep_renewed(reservation);
      if (!beat) {
        Error error{.code = ErrorCode::io,
                    .message = fmt::format(
                        "key {}: no thread could be started to renew its lease; the work did not "
                        "run; try again when the system has threads to spare",
                        reservation.key.to_string())};
        (void)leave_key(*this, reservation, error, {}, how.durability);
        return std::unexpected(std::move(error));
      }
    }
    try {
      outcome = work(reservation);
    } catch (...) {
      beat.reset();
      // The caller hears of its own exception; that the key could not be left shows on the next
      // try.
      const Error error{.code = ErrorCode::unknown, .message = "the work threw an exception"};
      (void)leave_key(*this, reservation, error, how.leaving(error, std::current_exception()),
                      how.durability);
      throw;
    }
  }
  // An outcome too large to keep leaves a tombstone: it was done, and must not be done again.
  const bool too_large =
      outcome && outcome->value && outcome->value->size() > options.max_outcome_bytes;
  if (too_large) {
    outcome->omitted_bytes = outcome->value->size();
    outcome->value.reset();
  }
  // Work may hand an outcome over as it is; what cannot be kept is a failure of the work.
  if (outcome) {
    if (auto checked = check_outcome(*outcome, options); !checked) outcome = pass(checked);
  }
  if (!outcome) {
    const Leaving leaving = how.leaving(outcome.error(), nullptr);
    if (auto left = leave_key(*this, reservation, outcome.error(), leaving, how.durability);
        !left) {
      return pass(left);
    }
    return pass(outcome);
  }
  const bool success = outcome->kind == OutcomeKind::success;
  auto finished =
      transition<Provenance>(reservation.key, how.durability, [&](const ledger::Moment& moment) {
        return ledger::finish(moment, reservation.token, *outcome,
                              success ? how.retention : how.failure_retention);
      });
  if (!finished) return pass(finished);
  if (too_large) return std::unexpected(omitted(reservation.key, outcome->omitted_bytes));
  return Answer{.outcome = std::move(*outcome), .provenance = *finished};
}

}  // namespace once
