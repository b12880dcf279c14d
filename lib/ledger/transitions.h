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
//   in doubt                   | mismatch, else in doubt        | fenced           | fenced
//   released                   | granted, one more attempt      | fenced           | fenced
//
// "Held": the lease holds and the owner is not known to be dead. "Past retention" counts for
// finished records only. A released key is free, so its next reservation may ask a new question.
//
// An unfinished transaction of a coordinator (Moment::has_plan) is nobody else's: abandoned or in
// doubt, it is busy to who would reserve, resolve or remove it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/engine.h"
#include "once/error.h"
#include "once/history.h"
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

// Whether the key is a transaction that a coordinator drives (once/coordinator.h): it holds a plan
// of the life that began with `origin`. Costs a look at a row.
using HasPlan = std::function<Result<bool>(const Key&, Token origin)>;

// What is known when a transition is made.
struct Moment {
  const Key& key;
  const std::optional<Record>& record;
  Time now{};
  Token fresh;                         // to grant
  Holder self;                         // who asks
  Liveness owner = Liveness::unknown;  // of record->holder; only asked about when in progress
  // Asked only when a record that is not finished would change hands: such a transaction is its
  // coordinator's, decided or not, also while nobody holds it. Null: the coordinator itself asks.
  const HasPlan* has_plan = nullptr;
};

// True for what only the owner of a reservation does: history tells it of the record's holder. The
// rest may be anybody's, and is told of who asked for it.
[[nodiscard]] bool is_by_owner(What what);

// True when the record is in progress and its owner still has the right to it.
[[nodiscard]] bool is_held(const Record& record, Time now, Liveness owner);

// The provenance of a finished record, as a replay at `now`.
[[nodiscard]] Provenance provenance_of(const Record& record, Time now);

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

// Puts `outcome` in the place of the one that is kept under `seen`, or of none that counts any
// more, in one step and under `token`, which was drawn before the work ran. With `merged` a record
// whose token is greater than `token` is given the fresh one. Without a question of its own it
// keeps the one that is there. Errors: fenced when the record is another one than was seen,
// mismatch.
struct Replacement {
  Token seen{};
  Token token{};
  bool merged = false;
  std::optional<Duration> retention{};  // of the outcome; nullopt: that of the request
};
[[nodiscard]] Decision<Provenance> replace(const Moment& moment, const Replacement& replacement,
                                           const ReserveOptions& options, const Outcome& outcome);

[[nodiscard]] Decision<Reservation> renew(const Moment& moment, Token token, Duration lease);
// The attempt count is kept for `retention`, the record's own by default.
[[nodiscard]] Decision<std::monostate> release(const Moment& moment, Token token,
                                               std::string_view reason,
                                               std::optional<Duration> retention = std::nullopt);
[[nodiscard]] Decision<std::monostate> doubt(const Moment& moment, Token token,
                                             std::string_view reason);
[[nodiscard]] Decision<std::monostate> resolve(const Moment& moment, Verdict verdict,
                                               const Outcome& outcome);
[[nodiscard]] Decision<bool> remove(const Moment& moment, const RemoveOptions& options = {});
[[nodiscard]] Decision<std::monostate> save_checkpoint(const Moment& moment, Token token,
                                                       Checkpoint checkpoint);
// The same for several, in one commit.
[[nodiscard]] Decision<std::monostate> save_checkpoints(const Moment& moment, Token token,
                                                        std::vector<Checkpoint> checkpoints);

}  // namespace once::ledger
