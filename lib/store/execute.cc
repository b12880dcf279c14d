// execute(): reserve, run, record. What is done with more wishes is in lib/execute.
#include <utility>

#include "base/error.h"
#include "store/limit_checks.h"
#include "store/store_impl.h"

namespace once {

Error Store::failure_of(const Answer& answer) {
  const OutcomeKind kind = answer.outcome.kind;
  return {.code = kind == OutcomeKind::timeout  ? ErrorCode::work_timed_out
                  : kind == OutcomeKind::killed ? ErrorCode::work_killed
                                                : ErrorCode::work_failed,
          .message = answer.outcome.message,
          .failure_code = answer.outcome.code,
          .replayed = answer.provenance.replayed};
}

Error Store::unreadable(const Key& key, Error error) {
  error.message = fmt::format("key {}: {}", key.to_string(), error.message);
  return error;
}

Result<Store::Answer> Store::execute_outcome(const Key& key, const Work& work,
                                             const ExecuteOptions& options) {
  if (auto valid = key.validate(); !valid) return pass(valid);
  if (auto checked = check_retention(options.failure_retention); !checked) return pass(checked);
  auto reserved = impl_->reserve(key, reserve_options(options));
  if (!reserved) return pass(reserved);
  if (auto* replay = std::get_if<Replay>(&*reserved)) {
    if (options.conflict == Conflict::reject) return already_done(key, replay->provenance);
    return Answer{.outcome = std::move(replay->outcome), .provenance = replay->provenance};
  }
  // From here on by the reservation's key: the work may change what the caller's was made of.
  return impl_->carry_out(std::get<Reservation>(*reserved), work,
                          {.heartbeat = options.heartbeat,
                           .retention = options.retention,
                           .failure_retention = options.failure_retention,
                           .durability = options.durability,
                           .leaving = [&](const Error& error, const std::exception_ptr&) {
                             return usual_leaving(error, options);
                           }});
}

}  // namespace once
