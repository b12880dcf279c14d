#include "ledger/transitions.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"
#include "ledger/question.h"
#include "model/record_codec.h"

namespace once::ledger {
namespace {

// The record, unless there is none that counts at this moment.
const Record* live(const Moment& moment) {
  const bool there = moment.record && !is_expired(*moment.record, moment.now);
  return there ? &*moment.record : nullptr;
}

template <class T>
Decision<T> refuse(std::unexpected<Error>&& error) {
  return {.answer = std::move(error)};
}

std::unexpected<Error> busy(const Moment& moment) {
  return fail(ErrorCode::busy,
              "key {} is being carried out by {} (attempt {}, for another {} ms unless renewed); "
              "ask again later, or wait longer",
              moment.key.to_string(), to_string(moment.record->holder), moment.record->attempt,
              std::max<std::int64_t>((moment.record->lease_until - moment.now).count(), 0));
}

// Refuses what would take an unfinished transaction out of the hands of its coordinator.
Result<void> leave_to_coordinator(const Moment& moment) {
  if (moment.has_plan == nullptr) return {};
  auto planned = (*moment.has_plan)(moment.key, moment.record->origin);
  if (!planned) return pass(planned);
  if (!*planned) return {};
  return fail(ErrorCode::busy,
              "key {} is a transaction that is not finished, and only its coordinator may go on "
              "with it: have it do so (Coordinator::recover or recover_all); `once transaction "
              "show STORE {}` tells whom it waits for",
              moment.key.to_string(), moment.key.to_string());
}

std::unexpected<Error> in_doubt(const Key& key) {
  return fail(ErrorCode::in_doubt,
              "key {} is in doubt: its owner ended after it may have acted; find out whether it "
              "happened and say so: once resolve STORE {} --as success|failure|rerun",
              key.to_string(), key.to_string());
}

std::unexpected<Error> fenced(const Moment& moment, Token token) {
  const Record* record = live(moment);
  std::string now = "the key has no record any more";
  if (record != nullptr && record->token == token) {
    now = fmt::format("the key is {}", to_string(record->status));
  } else if (record != nullptr) {
    now =
        fmt::format("the key is {} under token {}", to_string(record->status), record->token.value);
  }
  return fail(ErrorCode::fenced,
              "token {} does not hold key {} any more: {}; nothing was changed; reserve again to "
              "see the answer",
              token.value, moment.key.to_string(), now);
}

// The record in progress under `token`, or null: whoever has it may go on, lapsed lease or not,
// as long as nobody took over.
const Record* owned(const Moment& moment, Token token) {
  const Record* record = live(moment);
  const bool mine =
      record != nullptr && record->status == Status::in_progress && record->token == token;
  return mine ? record : nullptr;
}

// Writes `record` and the row of history that tells what happened to it. What its owner does is
// told of the record's holder: the owner may have been named by the one who asks for it, as `once
// run` names the guardian of its command.
engine::Change put(const Moment& moment, Record record, What what, std::string_view note) {
  record.updated_at = moment.now;
  engine::Change change;
  change.history = HistoryEntry{
      .previous = moment.record ? moment.record->last_history : 0,
      .time = moment.now,
      .deadline = record.status == Status::in_progress ? record.lease_until : record.expires_at,
      .key = moment.key,
      .what = what,
      .status = record.status,
      .token = record.token,
      .attempt = record.attempt,
      .holder = is_by_owner(what) ? record.holder : moment.self,
      .note = std::string(note)};
  change.put = std::move(record);
  return change;
}

Record granted_record(const Moment& moment, const ReserveOptions& options) {
  Record record{.status = Status::in_progress,
                .on_abandon = options.on_abandon,
                .token = moment.fresh,
                .origin = moment.fresh,
                .attempt = 1,
                .created_at = moment.now,
                .lease_until = after(moment.now, options.lease),
                .expires_at = {},
                .retention = options.retention,
                .holder = options.holder.value_or(moment.self),
                .fingerprint = options.fingerprint,
                .fields = model::bind_fields(moment.key, options.fields),
                .outcome = {}};
  if (const Record* before = live(moment)) {
    record.origin = before->origin;
    record.created_at = before->created_at;
    record.attempt = before->attempt == std::numeric_limits<std::uint32_t>::max()
                         ? before->attempt
                         : before->attempt + 1;
  }
  return record;
}

Decision<ReserveDecision> grant(const Moment& moment, const ReserveOptions& options) {
  const Record* before = live(moment);
  const bool takes_over = before != nullptr && before->status == Status::in_progress;
  Record record = granted_record(moment, options);
  const Reservation reservation{.key = moment.key,
                                .token = record.token,
                                .attempt = record.attempt,
                                .lease_until = record.lease_until,
                                .lease = options.lease,
                                .taken_over = takes_over};
  const std::string_view note = !takes_over                      ? ""
                                : moment.owner == Liveness::dead ? "the owner before has ended"
                                                                 : "the lease before has lapsed";
  engine::Change change =
      put(moment, std::move(record), takes_over ? What::taken_over : What::reserved, note);
  // What an earlier life of the key, or a resolve, left as its outcome does not belong to this one.
  change.drop_outcome = moment.record && moment.record->outcome;
  return {.change = std::move(change), .answer = ReserveDecision(reservation)};
}

Record finished(Record record, const Outcome& outcome, Duration retention, Time now) {
  record.status = outcome.kind == OutcomeKind::success ? Status::completed : Status::failed;
  record.lease_until = {};
  record.expires_at = after(now, retention);
  record.outcome = outcome.digest();
  return record;
}

What what_of(const Outcome& outcome) {
  return outcome.kind == OutcomeKind::success ? What::completed : What::failed;
}

std::string note_of(const Outcome& outcome) {
  if (outcome.omitted_bytes != 0) {
    return fmt::format("outcome of {} bytes not kept", outcome.omitted_bytes);
  }
  return outcome.kind == OutcomeKind::success ? "" : outcome.code;
}

}  // namespace

bool is_by_owner(What what) {
  switch (what) {
    case What::reserved:
    case What::taken_over:
    case What::completed:
    case What::failed:
    case What::released:
      return true;
    case What::in_doubt:
    case What::resolved:
    case What::removed:
      break;
  }
  return false;
}

bool is_held(const Record& record, Time now, Liveness owner) {
  return record.status == Status::in_progress && record.lease_until > now &&
         owner != Liveness::dead;
}

Provenance provenance_of(const Record& record, Time now) {
  return {.token = record.token,
          .attempt = record.attempt,
          .replayed = true,
          .created_at = record.created_at,
          .finished_at = record.updated_at,
          .expires_at = record.expires_at,
          .time_to_live = record.expires_at == Time::max() ? forever : record.expires_at - now};
}

Decision<ReserveDecision> reserve(const Moment& moment, const ReserveOptions& options) {
  using Answer = ReserveDecision;
  const Record* record = live(moment);
  if (record == nullptr || record->status == Status::released) return grant(moment, options);
  if (asks_differently(moment.key, *record, options)) {
    return refuse<Answer>(mismatch(moment.key, *record, options));
  }
  if (record->status == Status::in_doubt) return refuse<Answer>(in_doubt(moment.key));
  if (is_finished(record->status)) return {.answer = Answer(provenance_of(*record, moment.now))};
  if (is_held(*record, moment.now, moment.owner)) return refuse<Answer>(busy(moment));
  if (auto free = leave_to_coordinator(moment); !free) return refuse<Answer>(pass(free));
  if (record->on_abandon == OnAbandon::rerun) return grant(moment, options);

  Record abandoned = *record;
  abandoned.status = Status::in_doubt;
  abandoned.lease_until = {};
  const std::string_view note =
      moment.owner == Liveness::dead ? "the owner has ended" : "the lease has lapsed";
  return {.change = put(moment, std::move(abandoned), What::in_doubt, note),
          .answer = in_doubt(moment.key)};
}

Decision<Provenance> finish(const Moment& moment, Token token, const Outcome& outcome,
                            std::optional<Duration> retention) {
  if (const Record* mine = owned(moment, token)) {
    Record record = finished(*mine, outcome, retention.value_or(mine->retention), moment.now);
    Decision<Provenance> decision{.answer = Provenance{}};
    decision.change = put(moment, record, what_of(outcome), note_of(outcome));
    decision.change.outcome = outcome;
    decision.answer = provenance_of(*decision.change.put, moment.now);
    decision.answer->replayed = false;
    return decision;
  }
  const Record* record = live(moment);
  const bool same = record != nullptr && is_finished(record->status) && record->token == token &&
                    record->outcome == outcome.digest();
  if (!same) return refuse<Provenance>(fenced(moment, token));
  Provenance provenance = provenance_of(*record, moment.now);
  provenance.replayed = false;
  return {.answer = provenance};
}

Decision<TransactDecision> transact(const Moment& moment, const ReserveOptions& options,
                                    const Outcome& outcome, std::optional<Duration> retention) {
  Decision<ReserveDecision> reserved = reserve(moment, options);
  if (!reserved.answer) {
    return {.change = std::move(reserved.change), .answer = pass(reserved.answer)};
  }
  if (const auto* replay = std::get_if<Provenance>(&*reserved.answer)) return {.answer = *replay};
  Record record = finished(std::move(*reserved.change.put), outcome,
                           retention.value_or(options.retention), moment.now);
  Decision<TransactDecision> decision{.answer = Provenance{}};
  decision.change = put(moment, std::move(record), what_of(outcome), note_of(outcome));
  decision.change.outcome = outcome;
  decision.change.apply_data = true;
  decision.answer = provenance_of(*decision.change.put, moment.now);
  decision.answer->replayed = false;
  return decision;
}

Decision<Provenance> replace(const Moment& moment, const Replacement& replacement,
                             const ReserveOptions& options, const Outcome& outcome) {
  const Record* before = live(moment);
  if (before != nullptr) {
    const bool kept = before->status == Status::completed || before->status == Status::failed;
    if (!kept || before->token != replacement.seen) {
      return refuse<Provenance>(fenced(moment, replacement.token));
    }
    if (asks_differently(moment.key, *before, options)) {
      return refuse<Provenance>(mismatch(moment.key, *before, options));
    }
  }
  Record record = granted_record(moment, options);
  // Another execution began after this one drew its token: tokens of a key grow all the same.
  const bool overtaken = before != nullptr && before->token > replacement.token;
  if (overtaken && !replacement.merged) {
    return refuse<Provenance>(fenced(moment, replacement.token));
  }
  if (!overtaken) record.token = replacement.token;
  if (before == nullptr) record.origin = record.token;
  // Who comes without a question does not take away the one that the key has.
  if (before != nullptr && !record.fingerprint) record.fingerprint = before->fingerprint;
  if (before != nullptr && record.fields.empty()) record.fields = before->fields;
  record = finished(std::move(record), outcome, replacement.retention.value_or(options.retention),
                    moment.now);
  Decision<Provenance> decision{.answer = Provenance{}};
  decision.change = put(moment, std::move(record), what_of(outcome),
                        before == nullptr    ? ""
                        : replacement.merged ? "merged"
                                             : "refreshed");
  decision.change.outcome = outcome;
  decision.answer = provenance_of(*decision.change.put, moment.now);
  decision.answer->replayed = false;
  return decision;
}

Decision<Reservation> renew(const Moment& moment, Token token, Duration lease) {
  const Record* mine = owned(moment, token);
  if (mine == nullptr) return refuse<Reservation>(fenced(moment, token));
  Record record = *mine;
  record.lease_until = after(moment.now, lease);
  record.updated_at = moment.now;
  const Reservation reservation{.key = moment.key,
                                .token = token,
                                .attempt = record.attempt,
                                .lease_until = record.lease_until,
                                .lease = lease,
                                .taken_over = false};
  // No row of history: nothing happened to the key.
  engine::Change change;
  change.put = std::move(record);
  change.from_reserve = true;
  return {.change = std::move(change), .answer = reservation};
}

namespace {

// A change that somebody waits for, and that takes little room.
Decision<std::monostate> settled(engine::Change&& change) {
  change.from_reserve = true;
  return {.change = std::move(change), .answer = std::monostate{}};
}

}  // namespace

Decision<std::monostate> release(const Moment& moment, Token token, std::string_view reason,
                                 std::optional<Duration> retention) {
  const Record* mine = owned(moment, token);
  if (mine == nullptr) return refuse<std::monostate>(fenced(moment, token));
  Record record = *mine;
  record.status = Status::released;
  record.lease_until = {};
  record.expires_at = after(moment.now, retention.value_or(record.retention));
  return settled(put(moment, std::move(record), What::released, reason));
}

Decision<std::monostate> doubt(const Moment& moment, Token token, std::string_view reason) {
  const Record* mine = owned(moment, token);
  if (mine == nullptr) return refuse<std::monostate>(fenced(moment, token));
  Record record = *mine;
  record.status = Status::in_doubt;
  record.lease_until = {};
  return settled(put(moment, std::move(record), What::in_doubt, reason));
}

Decision<std::monostate> resolve(const Moment& moment, Verdict verdict, const Outcome& outcome) {
  using Answer = std::monostate;
  const Record* record = live(moment);
  if (record == nullptr) {
    return refuse<Answer>(fail(ErrorCode::not_found,
                               "there is no record of key {}; nothing to decide",
                               moment.key.to_string()));
  }
  if (is_finished(record->status)) {
    return refuse<Answer>(fail(ErrorCode::conflict,
                               "key {} is {} already; remove it (once rm) to have it carried out "
                               "again",
                               moment.key.to_string(), to_string(record->status)));
  }
  if (is_held(*record, moment.now, moment.owner)) return refuse<Answer>(busy(moment));
  auto free = leave_to_coordinator(moment);
  const bool back_to_coordinator = !free && free.error().code == ErrorCode::busy &&
                                   record->status == Status::in_doubt && verdict == Verdict::rerun;
  if (!free && !back_to_coordinator) return refuse<Answer>(pass(free));

  // A token of its own, so that the owner before, should it come back, is fenced.
  Record decided = *record;
  decided.token = moment.fresh;
  decided.lease_until = {};
  if (back_to_coordinator) {
    // Not released: what is released may be forgotten, and anybody may take it.
    decided.status = Status::in_progress;
    return settled(put(moment, std::move(decided), What::resolved, "rerun"));
  }
  if (verdict == Verdict::rerun) {
    decided.status = Status::released;
    decided.expires_at = after(moment.now, decided.retention);
    return settled(put(moment, std::move(decided), What::resolved, "rerun"));
  }
  const Duration retention = decided.retention;
  decided = finished(std::move(decided), outcome, retention, moment.now);
  engine::Change change = put(moment, std::move(decided), What::resolved,
                              verdict == Verdict::success ? "success" : "failure");
  change.outcome = outcome;
  return settled(std::move(change));
}

Decision<bool> remove(const Moment& moment, const RemoveOptions& options) {
  const Record* record = live(moment);
  if (record == nullptr) return {.answer = false};
  if (is_held(*record, moment.now, moment.owner)) return refuse<bool>(busy(moment));
  if (!is_finished(record->status) && !options.unfinished_transaction) {
    if (auto free = leave_to_coordinator(moment); !free) return refuse<bool>(pass(free));
  }
  Decision<bool> decision{.answer = true};
  decision.change = put(moment, *record, What::removed, to_string(record->status));
  decision.change.history->deadline = {};
  decision.change.put.reset();
  decision.change.remove = true;
  decision.change.from_reserve = true;
  return decision;
}

Decision<std::monostate> save_checkpoint(const Moment& moment, Token token, Checkpoint checkpoint) {
  std::vector<Checkpoint> one;
  one.push_back(std::move(checkpoint));
  return save_checkpoints(moment, token, std::move(one));
}

Decision<std::monostate> save_checkpoints(const Moment& moment, Token token,
                                          std::vector<Checkpoint> checkpoints) {
  if (owned(moment, token) == nullptr) return refuse<std::monostate>(fenced(moment, token));
  for (Checkpoint& checkpoint : checkpoints) {
    checkpoint.token = token;
    checkpoint.created_at = moment.now;
  }
  Decision<std::monostate> decision{.answer = std::monostate{}};
  decision.change.checkpoints = std::move(checkpoints);
  return decision;
}

}  // namespace once::ledger
