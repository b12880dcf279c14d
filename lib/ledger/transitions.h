// A record's life: what each request does to a record, as pure functions.
//
//   (record or none, request, now) -> (what to write, what to answer)
//
// They know no engine, no thread and no clock, and tests/ledger tries every request on every state:
//
//   now                        | reserve                        | with the token   | another token
//   ---------------------------+--------------------------------+------------------+--------------
//   none, or past retention    | granted                        | fenced           | fenced
//   in progress, held          | mismatch, else busy            | done             | fenced
//   in progress, abandoned     | mismatch, else on_abandon:     | done             | fenced
//                              | taken over, or put in doubt    |                  |
//   completed, failed          | mismatch, else replay          | fenced; the same | fenced
//                              |                                | outcome: done    |
//   in doubt                   | in doubt                       | fenced           | fenced
//   released                   | granted, one more attempt      | fenced           | fenced
//
// "Held": the lease holds and the owner is not known to be dead. "Past retention" counts for
// finished records only. A released key is free, so its next reservation may ask a new question.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/engine.h"
#include "once/error.h"
#include "once/holder.h"
#include "once/key.h"
#include "once/options.h"
#include "once/outcome.h"
#include "once/record.h"
#include "once/reservation.h"

namespace once::ledger {

template <class T>
struct Decision {
  engine::Change change{};
  Result<T> answer;
};

// What is known when a transition is made.
struct Moment {
  const Key& key;
  const std::optional<Record>& record;
  Time now{};
  Token fresh;                         // to grant
  Holder self;                         // who asks
  Liveness owner = Liveness::unknown;  // of record->holder; only asked about when in progress
};

// True when the record is in progress and its owner still has the right to it.
[[nodiscard]] bool is_held(const Record& record, Time now, Liveness owner);

// The provenance of a finished record, as a replay.
[[nodiscard]] Provenance provenance_of(const Record& record);

using ReserveDecision = std::variant<Reservation, Provenance>;
[[nodiscard]] Decision<ReserveDecision> reserve(const Moment& moment,
                                                const ReserveOptions& options);

// Ends a reservation with an outcome; success completes, everything else fails the record.
[[nodiscard]] Decision<Provenance> finish(const Moment& moment, Token token, const Outcome& outcome,
                                          std::optional<Duration> retention);

// Reserves and finishes in one step, for work whose effect is in the same commit.
using TransactDecision = Provenance;  // replayed: what was there already
[[nodiscard]] Decision<TransactDecision> transact(const Moment& moment,
                                                  const ReserveOptions& options,
                                                  const Outcome& outcome,
                                                  std::optional<Duration> retention);

[[nodiscard]] Decision<Reservation> renew(const Moment& moment, Token token, Duration lease);
[[nodiscard]] Decision<std::monostate> release(const Moment& moment, Token token,
                                               std::string_view reason);
[[nodiscard]] Decision<std::monostate> doubt(const Moment& moment, Token token,
                                             std::string_view reason);
[[nodiscard]] Decision<std::monostate> resolve(const Moment& moment, Verdict verdict,
                                               const Outcome& outcome);
[[nodiscard]] Decision<bool> remove(const Moment& moment);
[[nodiscard]] Decision<std::monostate> save_checkpoint(const Moment& moment, Token token,
                                                       Checkpoint checkpoint);

}  // namespace once::ledger
