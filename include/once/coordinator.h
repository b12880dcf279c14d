// Coordinator: one transaction over several places, all of it or nothing, whatever dies when.
//
//   auto coordinator = once::Coordinator::open(      // and recovers what a crash left
//       store, {once::store_participant("debit", north, take),
//               once::store_participant("credit", south, give)});
//   if (!coordinator) return handle(coordinator.error());
//   auto moved = coordinator->run("tx-9", {{"debit", "alice 30"}, {"credit", "bob 30"}});
//   if (moved && moved->commits()) tell_alice();
//
// Transaction::transact() is all that is needed within one store. A coordinator is for effects in
// several: every participant is asked to prepare, which it must then be able to either commit or
// abort; when all have voted yes, the decision to commit is one synced write in the coordinator's
// store, and from then on commit is called until every participant has acknowledged it. No decision
// on disk means abort, so that whoever finds a transaction without one calls abort ("presumed
// abort": C. Mohan, B. Lindsay and R. Obermarck, "Transaction Management in the R* Distributed
// Database Management System", 1986). A step of a saga has its effect at once and is compensated
// instead (H. Garcia-Molina and K. Salem, "Sagas", 1987); both kinds go together in one
// transaction. Commits run in the order of the parts, aborts and compensations in reverse.
//
// A transaction is a key of the store. Its record is in progress until every participant has
// acknowledged, then completed (committed) or failed (aborted), and who asks again with the same
// key and the same parts gets that answer. Plan, votes, decision and acknowledgements are
// checkpoints of the key, fenced by the token of whoever drives it: a coordinator that lost its
// lease to another writes nothing more. What it does to participants, they can refuse by the token.
//
// What participants must promise, since a crash may come between their work and the note of it:
//   - prepare, commit and abort are idempotent, by ParticipantCall::key; but a call with another
//     ParticipantCall::nonce is of another transaction, and must not get this one's answers;
//   - abort may come for what was never prepared, even before a prepare that is still on its way,
//     and that prepare must be refused then;
//   - having voted yes they can commit, however often that has to be tried.
// store_participant() and store_saga_step() keep these promises for effects in a Store.
//
// Recovery. A coordinator recovers by itself what a crash left, as
// CoordinatorOptions::self_recovery says: by default before its first transaction, once, on the
// thread that opens it or calls run() first; or on a thread of its own, again and again as long as
// something is pending; or not at all. recover() and recover_all() do it by hand at any time.
//
// Thread-safe, but for moving and destroying. The Store must outlive the Coordinator. Functions
// give the errors of once/store.h too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "once/bytes.h"
#include "once/clock.h"
#include "once/error.h"
#include "once/key.h"
#include "once/record.h"
#include "once/store.h"
#include "once/transaction.h"

namespace once {

class Executor;

inline constexpr std::size_t max_participant_name_bytes = 64;
inline constexpr std::size_t max_participants = 1000;

// What a participant is asked to do.
enum class Ask : std::uint8_t {
  prepare = 1,  // of a saga step: do it
  commit = 2,
  abort = 3,  // of a saga step: compensate
};

// "prepare", "commit", "abort". Never null.
[[nodiscard]] std::string_view to_string(Ask ask) noexcept;

// One call of a participant. Valid during the call.
struct ParticipantCall {
  Key transaction{};
  std::string participant{};
  Ask ask = Ask::prepare;
  // Names this participant's part of this transaction, in all of its calls: tenant and operation of
  // the transaction, and as id `<id>-<participant>`, e.g. "tx-9-debit". No two meet, since names of
  // participants have no '-'. To be the idempotency key, or the name of the hold, downstream.
  Key key{};
  // Who drives: greater than that of everyone who drove this transaction before. Downstream may
  // refuse calls with a token less than one it has seen.
  Token token{};
  // 16 random bytes, drawn when the transaction was begun and the same in all of its calls: by
  // these a transaction is told apart from another one under the same key, of another coordinator
  // or begun when this one was forgotten. Empty for one that was begun by a version that had none.
  Bytes nonce{};
  Bytes payload{};              // the part's, as given to run()
  std::optional<Bytes> vote{};  // commit and abort: what prepare gave, if that is known
  // How often this was asked in this drive, this time included; a crash starts from 1 again.
  std::uint32_t attempt = 1;
  // What is left of the time for this phase. A participant is never cut off: it has to keep it.
  Duration time_left{};

  // `key` with ":prepare", ":commit" or ":abort" behind its id, for a downstream that wants an
  // idempotency key of its own for each request.
  [[nodiscard]] Key key_of_ask() const;
};

// Somebody who takes part in transactions, under a name by which recovery finds it again.
struct Participant {
  // 1 to 64 letters, digits, '_' and '.'.
  std::string name{};
  // False: nobody sees what is prepared until commit. True: a step of a saga, whose `prepare` has
  // its effect at once and whose `abort` compensates it; then each vote is synced before the next
  // participant is asked, so that what never ran is not compensated, but for the one step at which
  // a crash came, and the one behind participants that are no steps whose votes the crash took.
  bool saga = false;
  // Votes: bytes (handed to commit and abort again) for yes, an error for no. work_failed and
  // work_not_started say that there is nothing to abort here; work_retryable and busy are tried
  // again while time is left; after every other error abort is called here too.
  std::function<Result<Bytes>(const ParticipantCall&)> prepare{};
  // Any error, or an exception, says: try again later.
  std::function<Result<void>(const ParticipantCall&)> commit{};  // of a saga step: may be missing
  std::function<Result<void>(const ParticipantCall&)> abort{};
  // Why it cannot take part, from whoever made it: Coordinator::add() gives this.
  std::optional<Error> wrong{};
};

// A participant and what it is told.
struct Part {
  std::string participant{};
  Bytes payload{};
};

enum class TransactionState : std::uint8_t {
  preparing = 1,   // not decided: after a crash this will be aborted
  committing = 2,  // decided; somebody has not acknowledged yet
  aborting = 3,
  committed = 4,  // all have acknowledged
  aborted = 5,
};

// "preparing", "committing", "aborting", "committed", "aborted". Never null.
[[nodiscard]] std::string_view to_string(TransactionState state) noexcept;

enum class ParticipantState : std::uint8_t {
  open = 1,      // not asked, or voted no, or its answer is not known
  prepared = 2,  // voted yes
  settled = 3,   // acknowledged the decision
};

// "open", "prepared", "settled". Never null.
[[nodiscard]] std::string_view to_string(ParticipantState state) noexcept;

struct ParticipantReport {
  std::string name{};
  bool saga = false;
  ParticipantState state = ParticipantState::open;
  Bytes payload{};
  std::optional<Bytes> vote{};
  std::uint32_t failures = 0;  // commits or aborts that failed, in all drives
  std::string trouble{};       // what the last of these said
};

// Where a transaction stands.
struct TransactionReport {
  Key key{};
  TransactionState state = TransactionState::preparing;
  std::string reason{};  // why it is aborted
  std::vector<ParticipantReport> participants{};
  Token token{};          // of who drove it last
  bool replayed = false;  // it was finished before this call

  // Decided to commit, though somebody may not have acknowledged yet: it will happen.
  [[nodiscard]] bool commits() const noexcept {
    return state == TransactionState::committing || state == TransactionState::committed;
  }
  [[nodiscard]] bool finished() const noexcept {
    return state == TransactionState::committed || state == TransactionState::aborted;
  }
  // Who is known to have been asked and has not acknowledged the decision: will be called again.
  [[nodiscard]] std::vector<std::string> pending() const;
};

// When a coordinator recovers, without being told to, what a crash left. Each transaction is gone
// on with as by recover(), but every participant is called once only, whatever settle_timeout says:
// who does not acknowledge holds up nobody for longer than that call takes. What fails, or throws,
// keeps nothing else; CoordinatorOptions::recovered is told.
enum class SelfRecovery : std::uint8_t {
  // Only recover() and recover_all() do.
  none = 1,
  // Once: within open(); else within the first run(), before its transaction begins, so that all
  // participants have to be registered by then. Calls of run() on other threads do not wait for it,
  // and the transaction that is run itself is left to that. recover_all() by hand before that, of
  // what self_recovery_prefix names, takes its place. What stays pending is left to recover_all().
  // If the store cannot be looked through, the next run() does it.
  before_first = 2,
  // On a thread, from open() or the first run() on: participants are called from it, also while
  // run() calls others of them, or the same. At once, and then each recovery_interval as long as
  // anything is pending, of what it found and of what run() has left since.
  background = 3,
};

// What recover_all() found.
struct RecoveryReport {
  std::vector<TransactionReport> finished{};
  std::vector<TransactionReport> pending{};  // decided; somebody does not acknowledge
  std::vector<Key> busy{};                   // somebody who is alive drives them
  std::vector<std::pair<Key, Error>> failed{};
  // Records that cannot be read. Each may be that of a transaction that is not finished, of another
  // prefix too.
  std::vector<Error> unreadable{};
};

// Before and after everything that lasts, for logs and for tests that kill a process right there.
struct CoordinatorMoment {
  const Key& transaction;
  bool before = true;            // else after it was done
  std::string_view what;         // "plan", "vote", "decision", "settled", "trouble", "outcome": a
                                 // write; "prepare", "commit", "abort": a call
  std::string_view participant;  // empty for plan, decision and outcome
};

struct CoordinatorOptions {
  // How long whoever drives a transaction holds it without being renewed; renewed every third of
  // it. When its process dies, another finds out at once.
  Duration lease = std::chrono::minutes(5);
  bool heartbeat = true;  // false: never renewed, the lease is a time limit
  // How long a finished transaction answers.
  Duration retention = std::chrono::hours(24 * 7);
  // For all votes together; a vote that comes later counts as no.
  Duration prepare_timeout = std::chrono::seconds(30);
  // How long run() and recover() try to have a decision acknowledged before they leave the rest to
  // a later recover(). Everybody is called once, whatever this says.
  Duration settle_timeout = std::chrono::seconds(30);
  // How long run() waits for somebody else who drives the same transaction.
  Duration wait = std::chrono::seconds(30);
  // Once it asks to stop, nobody waits any more: run() gives `cancelled` instead of waiting for
  // somebody else, who was to be asked again to prepare counts as no, and what is decided and not
  // acknowledged is left to a later recover(). Who is being called is not cut off.
  std::stop_token stop{};
  SelfRecovery self_recovery = SelfRecovery::before_first;
  // Of what it looks for: the beginning of written keys (see ScanOptions::prefix). The first look
  // costs one at each record that begins so, and at all there are without it.
  Bytes self_recovery_prefix{};
  Duration recovery_interval = std::chrono::seconds(30);  // in the background; longer than 0
  // Told what came of each transaction that was gone on with so: on the thread that did. Must not
  // throw.
  std::function<void(const Key&, const Result<TransactionReport>&)> recovered{};
  // Between tries: the first pause, what each multiplies the one before by, and the longest. Of
  // each a random half is left out, so that many do not come at once.
  Duration first_pause = std::chrono::milliseconds(50);
  double pause_factor = 2;
  Duration longest_pause = std::chrono::seconds(5);
  // May be called from many threads at once. An exception ends the drive as a crash would.
  std::function<void(const CoordinatorMoment&)> observer{};
};

class Coordinator {
 public:
  class Impl;

  // A coordinator with these participants, that has recovered what a crash left, or has begun to
  // (SelfRecovery). Errors: those of add(); of self-recovery only that the store cannot be looked
  // through.
  static Result<Coordinator> open(Store& store, std::vector<Participant> participants,
                                  CoordinatorOptions options = {});
  // Without participants: add() them before the first run(). Not checked here: every function gives
  // invalid_argument for options that cannot be.
  explicit Coordinator(Store& store, CoordinatorOptions options = {});
  Coordinator(Coordinator&&) noexcept;
  Coordinator& operator=(Coordinator&&) noexcept;
  // Ends its thread, if it has one, after the transaction that it is at, each participant of which
  // is called once.
  ~Coordinator();

  // Registers a participant. Recovery needs all that unfinished transactions name, so do this
  // before anything else: a transaction that names another one is left as it is. Errors:
  // invalid_argument (name malformed or taken, a callable missing), Participant::wrong.
  Result<void> add(Participant participant);

  // Carries the transaction `key` out, or answers what became of it. Returns when all have
  // acknowledged, or with what is `pending()` after settle_timeout. A transaction that a crash left
  // is finished first as recover() would, and that is the answer: without a decision it is aborted,
  // and a new attempt needs a new key.
  // What a participant throws in prepare is passed on when the transaction is aborted; in commit
  // and abort, after all others were called once, and the transaction stays pending.
  // Errors, before anything is changed: invalid_argument (no parts, a participant named twice or
  // not registered), limit_exceeded (more than 1,000 parts; an id too long for the derived keys),
  // mismatch (the key was used with other parts), busy (after `wait`), cancelled
  // (CoordinatorOptions::stop asked for it before somebody else was done), in_doubt (the key was
  // put in doubt by hand; Verdict::rerun leaves it to the coordinator again). Errors later: fenced
  // (another took over; its answer stands), and whatever the store gives. A transaction that ends
  // so is finished by recover().
  Result<TransactionReport> run(const Key& key, std::span<const Part> parts);
  Result<TransactionReport> run(const Key& key, std::initializer_list<Part> parts) {
    return run(key, std::span<const Part>(parts.begin(), parts.size()));
  }
  // run() on a thread of `executor` (once/execute.h), on the terms of Executor::call_async(): a
  // call that CoordinatorOptions::stop cancels before it has begun does not run, and the future has
  // the error `cancelled` at once. The coordinator must outlive the call, and not be moved
  // meanwhile.
  std::future<Result<TransactionReport>> run_async(Executor& executor, Key key,
                                                   std::vector<Part> parts);

  // Finishes the transaction `key` if a crash or a participant left it: without a decision it is
  // aborted, with one that is called for again. One that is finished is reported as it is.
  // Errors: not_found (no such transaction), busy (somebody who is alive drives it),
  // invalid_argument (it names a participant that is not registered, or was of the other kind;
  // nothing is changed), in_doubt, fenced.
  Result<TransactionReport> recover(const Key& key);
  // recover() for all unfinished transactions whose written key begins with `prefix` (see
  // ScanOptions::prefix). One that fails does not keep the others, nor does a record that cannot be
  // read (RecoveryReport::unreadable), nor a participant that throws: the first exception is passed
  // on at the end, in the place of the report. Costs a look at every record under the prefix, and
  // at all there are when one of those cannot be read. To be called now and then while something is
  // pending, and after opening where SelfRecovery does not see to that.
  Result<RecoveryReport> recover_all(std::string_view prefix = {});

  // Where a transaction stands; nullopt when there is no such one.
  Result<std::optional<TransactionReport>> report(const Key& key);

 private:
  std::unique_ptr<Impl> impl_;
};

// The same without a coordinator, for looking at a store. Works on a store opened to read, too.
Result<std::optional<TransactionReport>> find_transaction(Store& store, const Key& key);
// Visits every transaction that the store has not forgotten, in key order, until `visit` returns
// false. Costs a look at every checkpoint. One that cannot be read does not keep the others: it is
// handed to `unreadable`, if there is one, and otherwise its error is given when all were visited.
// So is, at the end and with an empty key, a checkpoint that cannot be read and is of no
// transaction or of an unknown one.
Result<void> scan_transactions(
    Store& store, const std::function<bool(const TransactionReport&)>& visit,
    const std::function<bool(const Key&, const Error&)>& unreadable = {});

// ---- Participants whose effects are in a Store ----------------------------------------------

// What a participant does in its store, on the Transaction it gets. May run more than once before
// it commits, as all work of transact(); commits once for a transaction.
struct StoreWork {
  // Checks and holds, e.g. takes 30 from the balance and writes them down as held. work_failed
  // votes no, and nothing is written.
  std::function<Result<Bytes>(Transaction&, const ParticipantCall&)> prepare{};
  std::function<Result<void>(Transaction&, const ParticipantCall&)> commit{};
  std::function<Result<void>(Transaction&, const ParticipantCall&)> abort{};
};

struct StoreParticipantOptions {
  // How long the answers to prepare, commit and abort are kept. Has to be longer than any call can
  // be on its way, and than a coordinator can be away between a commit and the note of it. Should
  // be longer than CoordinatorOptions::retention: so long a key that the coordinator has forgotten
  // is refused here. What is prepared is held for as long as it takes, whatever this says. Not less
  // than 0, which Coordinator::add() refuses.
  Duration retention = std::chrono::hours(24 * 30);
  Durability durability = Durability::synced;
};

// Two-phase: each of the three is a transact() of `store`, prepare under key_of_ask(), commit and
// abort under keys of this transaction alone. Together with what prepare writes, a row
// "once.step/<32 hex digits>" of the application's data says that it is prepared; commit and abort
// take it away in their own commit. An abort that comes first makes a later prepare fail. commit
// gives not_found when nothing is prepared: then this is not the store that voted, or it is longer
// ago than `retention`.
// Two transactions of the same name do not meet: as long as `store` keeps the answer to prepare of
// one, prepare of another one (other parts, another coordinator, or the same one when it had
// forgotten the first) votes no with the code "mismatch", and so it is aborted.
// `store` must outlive the participant. It may be the coordinator's own.
[[nodiscard]] Participant store_participant(std::string name, Store& store, StoreWork work,
                                            StoreParticipantOptions options = {});
// A step of a saga: `prepare` has its effect at once, `abort` compensates, `commit` may be missing.
//
//   once::StoreWork seat;
//   seat.prepare = [](once::Transaction& tx, const once::ParticipantCall& call)
//       -> once::Result<once::Bytes> {
//     auto put = tx.put("seat/" + call.payload, "taken");   // everybody sees it from now on
//     if (!put) return std::unexpected(put.error());
//     return "";                                            // yes, with nothing to tell
//   };
//   seat.abort = [](once::Transaction& tx, const once::ParticipantCall& call) {
//     return tx.erase("seat/" + call.payload);
//   };
//   coordinator.add(once::store_saga_step("seat", flights, seat)).value();
[[nodiscard]] Participant store_saga_step(std::string name, Store& store, StoreWork work,
                                          StoreParticipantOptions options = {});

}  // namespace once
