// Store: makes an operation happen exactly once, and gives everyone who asks again the first
// answer.
//
//   auto store = once::Store::open("payments.once").value();
//   auto paid = store.execute("charge:order-42", [&] { return gateway.charge(order); });
//   if (!paid) return handle(paid.error());
//   use(paid->value(), paid->replayed());
//
// A Store may be used from many threads at once; moving and destroying it may not overlap with
// other use. One process at a time has a store open for writing; any number may look
// (Options::read_only). After fork() the child's calls give ErrorCode::forked, also those of what
// was made on the store; it may destroy them, and close() does nothing there.
//
// Rules for all functions, which are not repeated below:
//
// - Errors. A key is checked first: invalid_argument (empty id), limit_exceeded. Any function may
//   give io, damaged, poisoned, unknown, no_space, forked or closed for what happened to the disk
//   or to the process, and what changes anything `unsupported` when the store was opened to read.
//   no_space says that nothing was written, unknown that it may be there or not after opening
//   again. After any other error nothing has changed, unless it is said otherwise.
// - Durability. What takes a Durability, itself or in its options, keeps it: when the call returns,
//   the change survives a power cut (synced, the default) or the end of the process (buffered).
//   What takes none and changes something is synced. What only looks sees what was committed before
//   the call, synced or not, and writes nothing.
// - Ownership. Keys, views, spans and options are read during the call only, and what is returned
//   is the caller's own. What a visitor is shown is valid until it returns; to keep it, copy it.
// - Visitors run on the calling thread, see the store as of the call, and go on until they return
//   false; that is no error. They may call the store, but not close() it. What they throw is passed
//   on.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "once/checkpoint.h"
#include "once/codec.h"
#include "once/error.h"
#include "once/event.h"
#include "once/figures.h"
#include "once/history.h"
#include "once/key.h"
#include "once/options.h"
#include "once/outcome.h"
#include "once/record.h"
#include "once/report.h"
#include "once/reservation.h"
#include "once/row.h"
#include "once/transaction.h"

namespace once {

// What execute() and transact() return: the result, and where it comes from.
template <class T>
class Executed {
 public:
  Executed(T value, Provenance provenance) : value_(std::move(value)), provenance_(provenance) {}
  [[nodiscard]] const T& value() const& { return value_; }
  [[nodiscard]] T&& value() && { return std::move(value_); }
  // True when the work did not run for this call.
  [[nodiscard]] bool replayed() const { return provenance_.replayed; }
  [[nodiscard]] const Provenance& provenance() const { return provenance_; }

 private:
  T value_;
  Provenance provenance_;
};

struct ReserveRequest {
  Key key{};
  ReserveOptions options{};  // `wait` does not count in a batch; `durability` is the batch's
};
struct CompleteRequest {
  Reservation reservation{};
  Outcome outcome{};
  CompleteOptions options{};  // `durability` is the batch's
};

struct ScanOptions {
  // Of the written form of the key (see once/key.h). "tenant/" and "tenant/operation/" are found
  // without reading the others.
  Bytes prefix{};
  std::optional<Status> status{};  // only these
  // Instead of the live ones, those past retention that no sweep has removed yet
  // (KeyStatus::expired).
  bool expired = false;
};

struct EventOptions {
  std::optional<EventStatus> status{};
  std::uint64_t after = 0;  // only events with a greater sequence
};

struct HistoryOptions {
  std::optional<Key> key{};  // only of this key
  std::uint64_t after = 0;   // only entries with a greater sequence
};

class Store {
 public:
  class Impl;

  // Opens the store at `where`, making it if it is missing (Options::create_if_missing). `where` is
  // the path of a file (or of a directory: Options::layout), or "memory:" for a store that lives as
  // long as the Store.
  // Errors: store_locked (names the holder), not_a_store, newer_format, permission, store_missing,
  // damaged (says what can be done), unsupported (a network file system), invalid_argument (an URL
  // of an engine that is not built in).
  // Nothing that the store holds is changed when opening fails. An opening to write that comes as
  // far as RocksDB, and fails there (on a full disk, say), may leave files that RocksDB had begun:
  // in a directory a log and a MANIFEST. They mean nothing, and do not keep the next opening from
  // working.
  static Result<Store> open(std::string_view where, const Options& options = {});

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  // As close(), for whoever does not ask how that went. Does nothing after close(), and in a child
  // that inherited the store by fork().
  ~Store();

  // Lets go of the store and reports what the destructor cannot. Waits for calls under way on other
  // threads (not for the work of an execute(), whose outcome is then not kept: `closed`); who waits
  // for a key gets `closed` at once. Not to be called from within work or a visitor.
  Result<void> close();

  // ---- Executing ----------------------------------------------------------------------------

  // Runs `work` unless `key` has an outcome already, in which case that outcome is returned. For
  // effects outside the store: the reservation is on disk before `work` starts, the outcome before
  // this returns (two syncs). `work` takes nothing, or a const Reservation&; it returns T, void or
  // Result<T>, for a T with a Codec. With T = Outcome it says itself what is kept, of whichever
  // kind (a failure or timeout as long as failure_retention says), and the outcome is the value
  // that is returned. A failing `work` (see work_failed() and its siblings in once/error.h) decides
  // by its error what becomes of the key; an error of another code, or an exception, counts as
  // abandoning: released if on_abandon is rerun, in doubt otherwise. Exceptions are passed on to
  // the caller. Errors: mismatch, busy (after `wait`), in_doubt, fenced (another took over while
  // `work` ran; its answer stands), outcome_omitted, wrong_type (names the key), already_done
  // (there is an outcome, and options.conflict rejects), cancelled (by options.stop, while
  // waiting), and the stored failure, timeout or killing (Error::replayed).
  template <class F>
  auto execute(const Key& key, F&& work, const ExecuteOptions& options = {}) {
    using W = internal::WorkType<work_result<F>>;
    return typed<typename W::type>(key,
                                   execute_outcome(key, erase<F>(std::forward<F>(work)), options));
  }

  // Runs `work` on a Transaction and commits what it wrote together with the outcome, in one sync;
  // or returns the outcome that `key` has already. `work` takes a Transaction& and returns T, void
  // or Result<T>. A work_failed() error is kept as the outcome, without any of the writes; every
  // other error and every exception leaves the store untouched. Do not call the store from within
  // `work`. Errors: as execute(); invalid_argument for a transact() inside a transact().
  template <class F>
  auto transact(const Key& key, F&& work, const TransactOptions& options = {}) {
    using W = internal::WorkType<std::invoke_result_t<F&, Transaction&>>;
    return typed<typename W::type>(key, transact_outcome(
                                            key,
                                            [&work](Transaction& tx) -> Result<Outcome> {
                                              return outcome_of([&] { return work(tx); });
                                            },
                                            options));
  }

  // ---- By hand ------------------------------------------------------------------------------

  // Asks for the right to carry `key` out: a Reservation when granted, a Replay when it is done.
  // Waits up to ReserveOptions::wait while somebody else is at work. Finding the key abandoned may
  // put it in doubt, which is written although the answer is an error.
  // Errors: mismatch (told before busy), busy, in_doubt, outcome_omitted, invalid_argument (a lease
  // that is not positive, a negative retention).
  Result<ReserveAnswer> reserve(const Key& key, const ReserveOptions& options = {});
  // Keeps the outcome and ends the reservation. The same outcome sent twice is answered as done.
  // Errors: fenced, limit_exceeded (the reservation stays).
  Result<void> complete(const Reservation& reservation, const Outcome& outcome,
                        const CompleteOptions& options = {});
  // complete() with a definite failure.
  Result<void> fail(const Reservation& reservation, std::string code, std::string message,
                    const CompleteOptions& options = {});
  // Lengthens the lease: it holds for `lease` from now. Returns the reservation with its new
  // deadline. Errors: fenced.
  Result<Reservation> renew(const Reservation& reservation, Duration lease,
                            Durability durability = Durability::synced);
  // Gives the key back: the next to ask carries it out, as one more attempt. Errors: fenced.
  Result<void> release(const Reservation& reservation, std::string_view reason = {},
                       Durability durability = Durability::synced);
  // Says that it may have happened: in doubt until resolve(). Errors: fenced.
  Result<void> doubt(const Reservation& reservation, std::string_view reason = {},
                     Durability durability = Durability::synced);
  // Decides a key that is in doubt, or in progress with an owner that is gone or let its lease
  // lapse. `outcome` counts for success and failure. Synced. Of a transaction that a coordinator
  // has not finished (once/coordinator.h) only the coordinator decides: one in doubt takes
  // Verdict::rerun, which leaves it to Coordinator::recover(). Errors: not_found, busy (the owner
  // is at work, or the coordinator has to go on), conflict (it is finished already),
  // invalid_argument (an outcome that does not go with the verdict), limit_exceeded.
  Result<void> resolve(const Key& key, Verdict verdict, const Outcome& outcome = {});
  // Removes the record, its outcome and its checkpoints. False when there was none. Synced. Errors:
  // busy (the owner is at work, or it is a transaction that its coordinator has not finished).
  Result<bool> remove(const Key& key, const RemoveOptions& options = {});

  // Many at once, in one atomic commit: all of what was granted is on disk, or none of it. The
  // answers stand in the order of the requests. A key named twice is busy the second time. Nobody
  // is waited for. Errors of the whole, with nothing changed: a request with a key or options that
  // reserve() would not take (invalid_argument, limit_exceeded). Errors of one answer: mismatch,
  // busy, in_doubt, outcome_omitted.
  Result<std::vector<Result<ReserveAnswer>>> reserve_many(
      std::span<const ReserveRequest> requests, Durability durability = Durability::synced);
  // The same for outcomes: what is not fenced is kept, in one atomic commit. Errors of the whole,
  // with nothing changed: limit_exceeded, invalid_argument. Errors of one answer: fenced.
  Result<std::vector<Result<void>>> complete_many(std::span<const CompleteRequest> requests,
                                                  Durability durability = Durability::synced);

  // ---- Looking ------------------------------------------------------------------------------

  // The record and its outcome, or nullopt when there is none or its retention is over. Errors:
  // damaged (a record without its outcome).
  Result<std::optional<Found>> find(const Key& key);
  // How things stand with a key; cheaper than find(), and tells `expired` from `none`.
  Result<KeyStatus> status(const Key& key);
  // Visits live records, or expired ones, in key order. Errors: invalid_argument (a prefix with a
  // broken %-escape); damaged at the first row that does not decode, after those before it were
  // visited.
  Result<void> scan(const ScanOptions& options,
                    const std::function<bool(const Key&, const Record&)>& visit);
  // Visits what happened, oldest first. Reads all of it, also for one key. Errors: damaged, as
  // scan().
  Result<void> history(const HistoryOptions& options,
                       const std::function<bool(const HistoryEntry&)>& visit);
  // The application's own row, outside a transaction; nullopt: there is none. Errors:
  // invalid_argument (a key that is not 1 to 4,096 bytes).
  Result<std::optional<Bytes>> data(ByteView key);
  // Counts, by reading all rows. Errors: damaged (a row that does not decode).
  Result<Stats> stats();
  // What was done since the store was opened, by tenant and operation, and stats() if asked for;
  // see once/figures.h. Without stats() it costs microseconds.
  Result<Figures> figures(const FiguresOptions& options = {});

  // ---- Events and checkpoints ---------------------------------------------------------------

  // Commits an event by itself and returns its sequence; Transaction::publish() commits it with an
  // outcome. An empty id becomes a fresh UUIDv7. Errors: limit_exceeded.
  Result<std::uint64_t> publish(Event event, Durability durability = Durability::synced);
  // Visits events in the order of their commits. Errors: damaged, as scan().
  Result<void> events(const EventOptions& options, const std::function<bool(const Event&)>& visit);

  // Keeps a finished step. Errors: fenced (the reservation was lost), limit_exceeded.
  Result<void> save_checkpoint(const Reservation& reservation, ByteView name, ByteView data,
                               Durability durability = Durability::synced);
  // The finished steps of this life of the key, in the order in which they were saved; none when
  // there is no record. Errors: damaged, as find() and scan().
  Result<std::vector<Checkpoint>> load_checkpoints(const Key& key);

  // ---- Upkeep -------------------------------------------------------------------------------

  // Removes for good what has expired and gives the space back. Never needed for a right answer.
  // Writers go on meanwhile; `progress` is told on the calling thread. What the report counts is
  // gone from disk when this returns; an error or a crash in between leaves the rest for the next
  // time. Errors: no_space.
  Result<SweepReport> sweep(const Progress& progress = {});
  // As sweep(), and moves what is left together, so that a store in one file is no longer than what
  // it holds and what it keeps for the next writes. Synced: what is moved is on disk in its new
  // place before the old one is given up. Errors: no_space (what could be given back was, and
  // nothing is lost).
  Result<CompactReport> compact(const Progress& progress = {});
  // Reads everything and checks every checksum, every block of a store in one file, and every
  // invariant between the tables. What is wrong is in the report, and no error; writes nothing.
  Result<VerifyReport> verify(const Progress& progress = {});
  // Writes a whole copy, as of now, to the fresh path `destination`, while the store is in use.
  // All of it is synced before anything is at `destination`.
  // Errors: invalid_argument when something is there already, and what Loader::create() gives;
  // damaged at the first row that does not decode. Nothing is left behind on failure.
  Result<void> backup(std::string_view destination, const Progress& progress = {});
  // Visits the live rows of a table, in key order; of all: the store's own, then table by table.
  // Errors: damaged, as scan().
  Result<void> rows(Table table, const std::function<bool(const Row&)>& visit);

 private:
  friend class Coordinator;
  friend class Loader;
  friend class Outbox;
  friend class Relay;
  friend class Workflow;
  explicit Store(std::unique_ptr<Impl> impl);
  void let_go();

  struct Answer {
    Outcome outcome;
    Provenance provenance;
  };
  using Work = std::function<Result<Outcome>(const Reservation&)>;
  using TransactWork = std::function<Result<Outcome>(Transaction&)>;

  friend class Executor;  // once/execute.h: the same, with more wishes
  friend class Lock;      // once/lock.h

  Result<Answer> execute_outcome(const Key& key, const Work& work, const ExecuteOptions& options);
  Result<Answer> transact_outcome(const Key& key, const TransactWork& work,
                                  const TransactOptions& options);
  // The stored failure as an error, marked as a replay if it is one.
  static Error failure_of(const Answer& answer);
  // The error of a codec that cannot read what `key` has, with the key in it.
  static Error unreadable(const Key& key, Error error);

  template <class F, bool takes_reservation = std::invocable<F&, const Reservation&>>
  struct Invoke {
    using type = std::invoke_result_t<F&, const Reservation&>;
  };
  template <class F>
  struct Invoke<F, false> {
    using type = std::invoke_result_t<F&>;
  };
  template <class F>
  using work_result = typename Invoke<F>::type;

  // Calls `call` and turns what it returns into an outcome.
  template <class Call>
  static Result<Outcome> outcome_of(Call&& call) {
    using R = std::invoke_result_t<Call&>;
    using W = internal::WorkType<R>;
    using T = typename W::type;
    if constexpr (std::is_void_v<R>) {
      call();
      return Outcome::success();
    } else if constexpr (std::same_as<T, Outcome>) {
      return call();
    } else if constexpr (W::fallible) {
      R result = call();
      if (!result) return std::unexpected(std::move(result.error()));
      if constexpr (std::is_void_v<typename R::value_type>) {
        return Outcome::success();
      } else {
        return Outcome::success(Codec<T>::encode(std::move(*result)));
      }
    } else {
      return Outcome::success(Codec<T>::encode(call()));
    }
  }

  template <class F>
  static Work erase(F&& work) {
    return [&work](const Reservation& reservation) -> Result<Outcome> {
      return outcome_of([&] {
        if constexpr (std::invocable<F&, const Reservation&>) {
          return work(reservation);
        } else {
          return work();
        }
      });
    };
  }

  template <class T>
  static Result<Executed<T>> typed(const Key& key, Result<Answer> answer) {
    if (!answer) return std::unexpected(std::move(answer.error()));
    if constexpr (std::same_as<T, Outcome>) {
      return Executed<T>(std::move(answer->outcome), answer->provenance);
    } else {
      return decoded<T>(key, *answer);
    }
  }
  template <class T>
  static Result<Executed<T>> decoded(const Key& key, const Answer& answer) {
    if (answer.outcome.kind != OutcomeKind::success) return std::unexpected(failure_of(answer));
    auto value = Codec<T>::decode(answer.outcome.value);
    if (!value) return std::unexpected(unreadable(key, std::move(value.error())));
    return Executed<T>(std::move(*value), answer.provenance);
  }

  std::unique_ptr<Impl> impl_;
};

// Makes a store out of rows: for `once load`, for copies, for moving to another engine.
//
//   auto loader = once::Loader::create("fresh.once").value();
//   loader.add(row).value();   // any number
//   loader.finish().value();   // only now does "fresh.once" exist
//
// Not thread-safe. When finish() is not reached, nothing is left behind.
class Loader {
 public:
  // Begins a store beside `where`, at `where`.partial. Errors: invalid_argument when something is
  // at `where` already (an empty directory may be), or when it is no path, or when a whole store is
  // at `where`.partial; what opening that one fails with; store_locked, permission.
  static Result<Loader> create(std::string_view where, const Options& options = {});
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;
  // Removes what was begun, unless it was finished.
  ~Loader();

  // Takes one row, as Store::rows() gives them. The limits of Options do not count, since the store
  // they come from may have had larger ones. Nothing of it is durable before finish(). Errors:
  // invalid_argument, limit_exceeded (what no store can hold): that row is left out, and others may
  // follow. A row that was given before takes the place of the earlier one. no_space, io: rows that
  // came before are lost with it, and so add() and finish() give that error from then on. closed
  // (after finish()).
  Result<void> add(const Row& row);
  // Syncs everything and puts the store in its place. Tokens given by the new store are greater
  // than all that the old one can have given, even if that one went on for a while. Errors:
  // invalid_argument (something has appeared at the path meanwhile), closed (the second time).
  Result<void> finish();

 private:
  class Impl;
  explicit Loader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace once
