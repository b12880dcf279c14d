// execute(): reserve, run, record; and what becomes of a key whose work failed.
#include <utility>

#include "base/error.h"
#include "store/limit_checks.h"
#include "store/store_impl.h"

namespace once {
namespace {

// What a failed run leaves, by the class of its failure.
Result<void> leave(Store& store, const Reservation& reservation, const Error& error,
                   const ExecuteOptions& options) {
  const std::string reason = error.message.substr(0, 1024);
  switch (error.code) {
    case ErrorCode::work_failed:
      return store.complete(
          reservation, failure_outcome(error),
          {.retention = options.failure_retention, .durability = options.durability});
    case ErrorCode::work_not_started:
    case ErrorCode::work_retryable:
      return store.release(reservation, reason, options.durability);
    case ErrorCode::work_unknown:
      return store.doubt(reservation, reason, options.durability);
    default:
      return options.on_abandon == OnAbandon::rerun
                 ? store.release(reservation, reason, options.durability)
                 : store.doubt(reservation, reason, options.durability);
  }
}

// An outcome too large to keep leaves a tombstone: it was done, and must not be done again.
Result<void> keep_tombstone(Store& store, const Reservation& reservation, const Outcome& outcome,
                            const ExecuteOptions& options) {
  Outcome tombstone = Outcome::success();
  tombstone.omitted_bytes = outcome.value->size();
  auto kept = store.complete(reservation, tombstone,
                             {.retention = options.retention, .durability = options.durability});
  if (!kept) return kept;
  return fail(ErrorCode::outcome_omitted,
              "key {} was carried out, but its outcome of {} bytes was too large to keep "
              "(Options::max_outcome_bytes); it does not run again; keep large results elsewhere "
              "and return a reference",
              reservation.key.to_string(), outcome.value->size());
}

}  // namespace

Error Store::failure_of(const Answer& answer) {
  return {.code = ErrorCode::work_failed,
          .message = answer.outcome.message,
          .failure_code = answer.outcome.code,
          .replayed = answer.provenance.replayed};
}

Result<Store::Answer> Store::execute_outcome(const Key& asked, const Work& work,
                                             const ExecuteOptions& options) {
  // A copy: the work may change what the caller's key was made of.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Key key = asked;
  auto reserved = reserve(key, {.lease = options.lease,
                                .retention = options.retention,
                                .fingerprint = options.fingerprint,
                                .on_abandon = options.on_abandon,
                                .wait = options.wait,
                                .durability = options.durability});
  if (!reserved) return pass(reserved);
  if (auto* replay = std::get_if<Replay>(&*reserved)) {
    return Answer{.outcome = std::move(replay->outcome), .provenance = replay->provenance};
  }
  const Reservation reservation = std::get<Reservation>(std::move(*reserved));

  Result<Outcome> outcome;
  {
    std::unique_ptr<ledger::Heartbeat::Beat> beat;
    if (options.heartbeat) {
      beat = impl_->heartbeat.start(options.lease / 3, [impl = impl_.get(), reservation] {
        auto renewed = impl->transition<Reservation>(
            reservation.key, Durability::buffered, [&](const ledger::Moment& moment) {
              return ledger::renew(moment, reservation.token, reservation.lease);
            });
        // Any other failure may pass, and the lease is worth another try.
        return renewed || (renewed.error().code != ErrorCode::fenced &&
                           renewed.error().code != ErrorCode::closed);
      });
      if (!beat) {
        (void)release(reservation, "no thread could be started to renew the lease",
                      options.durability);
        return once::fail(ErrorCode::io,
                          "key {}: no thread could be started to renew its lease; the work did not "
                          "run; try again when the system has threads to spare",
                          key.to_string());
      }
    }
    try {
      outcome = work(reservation);
    } catch (...) {
      beat.reset();
      // The caller hears of its own exception; that the key could not be left shows on the next
      // try.
      (void)leave(*this, reservation,
                  {.code = ErrorCode::unknown, .message = "the work threw an exception"}, options);
      throw;
    }
  }
  if (!outcome) {
    if (auto left = leave(*this, reservation, outcome.error(), options); !left) return pass(left);
    return pass(outcome);
  }
  if (outcome->value && outcome->value->size() > impl_->options.max_outcome_bytes) {
    return pass(keep_tombstone(*this, reservation, *outcome, options));
  }
  auto finished =
      impl_->transition<Provenance>(key, options.durability, [&](const ledger::Moment& moment) {
        return ledger::finish(moment, reservation.token, *outcome, options.retention);
      });
  if (!finished) return pass(finished);
  return Answer{.outcome = std::move(*outcome), .provenance = *finished};
}

}  // namespace once
