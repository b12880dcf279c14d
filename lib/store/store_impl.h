// What a Store is made of: an engine, and what this process adds to it (waiting, heartbeats,
// counts).
//
// Lock order, outermost first: transact door and gate, in-flight table, then the engine's own.
#pragma once

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "base/thread_number.h"
#include "engine/caching/caching_engine.h"
#include "engine/engine.h"
#include "ledger/heartbeat.h"
#include "ledger/transitions.h"
#include "ledger/waiters.h"
#include "metrics/kept_tallies.h"
#include "metrics/meters.h"
#include "once/store.h"

namespace once {

// What becomes of a key whose work failed: an outcome is kept, or it goes in doubt, or it is
// released.
struct Leaving {
  std::optional<Outcome> outcome{};
  bool in_doubt = false;
  std::optional<Duration> retention{};  // of the outcome, or of a released key's attempt count
  std::string reason{};                 // for the history, of a key that is not finished
};
// By the class that the error itself is of.
[[nodiscard]] Leaving usual_leaving(const Error& error, const ExecuteOptions& options);

// How a reservation is carried out.
struct CarryOut {
  bool heartbeat = true;
  Duration retention{};
  Duration failure_retention{};
  Durability durability = Durability::synced;
  // Asked when the work has failed, or has thrown what `thrown` holds. Does not throw itself.
  std::function<Leaving(const Error& error, const std::exception_ptr& thrown)> leaving{};
};

// What a caller with wishes is asked and told while it reserves; without locks.
struct ReserveHooks {
  // Before a key that was tried before is granted again. An error refuses, and leaves it as it is.
  std::function<Result<void>(const Found&)> may_repeat{};
  std::function<void(const Error& busy)> on_wait{};  // once, before the first wait
  // Adds to the commit that grants the key. Called under the key's lock, and as often as the engine
  // tries: must be pure.
  std::function<void(const ledger::Moment& moment, engine::Change& granted)> on_grant{};
  // False: only what is there is gone on with. A key without a record is not_found.
  bool may_begin = true;
};

// Errors: invalid_argument.
[[nodiscard]] Result<void> check_reserve(const ReserveOptions& options);
// Errors: invalid_argument, limit_exceeded.
[[nodiscard]] Result<void> check_execute(const ExecuteOptions& options);
[[nodiscard]] ReserveOptions reserve_options(const ExecuteOptions& options);
[[nodiscard]] std::unexpected<Error> already_done(const Key& key, const Provenance& provenance);
[[nodiscard]] std::unexpected<Error> cancelled(const Key& key);

class Store::Impl {
 public:
  Impl(std::unique_ptr<engine::Engine> engine, Options options);
  [[nodiscard]] static Store store_of(std::unique_ptr<Impl> impl) { return Store(std::move(impl)); }

  // Keeps the engine open while it lives: close() waits for it. May be nested.
  class Use {
   public:
    explicit Use(std::atomic<int>& users) : users_(&users) {}
    Use(Use&& other) noexcept : users_(std::exchange(other.users_, nullptr)) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (users_ != nullptr && users_->fetch_sub(1) == 1) users_->notify_all();
    }

   private:
    std::atomic<int>* users_;
  };
  // Errors: forked, in a process that is a fork of the one that opened the store. There a mutex may
  // be held for ever: to be asked before one is locked.
  [[nodiscard]] Result<void> check_process() const;
  // Errors: closed, and those of check_process().
  [[nodiscard]] Result<Use> use();
  // The same, and whether the key can be one.
  [[nodiscard]] Result<Use> use(const Key& key);

  // Runs a transition of the ledger on the record of `key` and returns its answer.
  template <class T>
  Result<T> transition(const Key& key, Durability durability,
                       const std::function<ledger::Decision<T>(const ledger::Moment&)>& decide,
                       const engine::DataChanges* data = nullptr);
  [[nodiscard]] ledger::Moment moment(const Key& key, const engine::Current& current) const;

  // Reserves, waiting for whoever holds the key.
  Result<ReserveAnswer> reserve(const Key& key, const ReserveOptions& options,
                                const ReserveHooks& hooks = {});
  // One try, without waiting.
  Result<ReserveAnswer> try_reserve(const Key& key, const ReserveOptions& request,
                                    const ReserveHooks& hooks = {});
  // Renews the lease until what this returns is destroyed, which must be before the store is. Calls
  // `lost`, on the heartbeat's thread, when the reservation is. Null when the system has no thread.
  [[nodiscard]] std::unique_ptr<ledger::Heartbeat::Beat> keep_renewed(
      const Reservation& reservation, std::function<void()> lost = {});
  // Runs `work` under `reservation`, whose lease is renewed, and keeps what came of it. Exceptions
  // of the work are passed on when the key was left.
  Result<Answer> carry_out(const Reservation& reservation, const Work& work, const CarryOut& how);
  // Decides on many requests in one commit; the caller holds a Use. With `veto`, which may look at
  // a decision and at the record that it is about, nothing comes of those for which it is true.
  using Veto = std::function<bool(std::size_t, const Result<ledger::ReserveDecision>&,
                                  const std::optional<Record>&)>;
  Result<std::vector<Result<ledger::ReserveDecision>>> decide_many(
      std::span<const ReserveRequest* const> requests, Durability durability, const Veto& veto);
  // Ends many reservations in one commit, each as it says. The provenance counts where an outcome
  // was kept.
  Result<std::vector<Result<Provenance>>> end_many(std::span<const Reservation> reservations,
                                                   std::span<const Leaving> leaving,
                                                   Durability durability);
  // A finished record as an answer, if there is one and it may answer the question.
  Result<std::optional<Replay>> try_replay(const Key& key, const ReserveOptions& request);
  // The same of many of which memory has nothing; the caller holds a Use.
  std::vector<Result<std::optional<Replay>>> try_replay_many(
      std::span<const ReserveRequest* const> requests);
  // The same without a look at the disk: nullopt may mean that it is only there. The caller holds a
  // Use.
  Result<std::optional<Replay>> try_replay_from_memory(const Key& key,
                                                       const ReserveOptions& request);
  struct Access {
    Time now{};
    std::uint64_t access_count = 0;
  };
  // A finished record as an answer, if it may answer the question.
  Result<std::optional<Replay>> replay_of(const Key& key, const ReserveOptions& request,
                                          const Record& record, Outcome&& outcome,
                                          const Access& access);
  Result<std::optional<Replay>> replay_of_found(const Key& key, const ReserveOptions& request,
                                                Result<std::optional<Found>>& found,
                                                const Access& access);
  void count(const Key& key, const Result<ReserveAnswer>& answer);
  void count(const Key& key, const Error& refusal);
  // Whether granting `record` anew would run again what was tried before.
  [[nodiscard]] bool would_repeat(const Record& record) const;
  // Waits for something to happen to `key`. False when `deadline` (since boot) has passed.
  [[nodiscard]] bool wait_for(const Key& key, std::uint64_t ticket, Duration deadline);

  [[nodiscard]] bool next_look(const Key& key, Duration& until);

  // The key by which the outbox is changed, and of which a relay holds a reservation; notified when
  // there is something to deliver.
  [[nodiscard]] static const Key& relay_key();
  // Runs `work` on a Transaction and commits what it wrote, its events and its checkpoints, under a
  // reservation that goes on. Runs it again when it met another transaction. Errors: fenced, and
  // the work's own; nothing is written then.
  Result<void> transact_step(const Reservation& reservation, Durability durability,
                             const std::function<Result<void>(Transaction&)>& work);

  // In-process transactions on one key come one after the other.
  [[nodiscard]] bool enter(const Key& key);
  void leave(const Key& key);

  const Options options;
  const std::shared_ptr<const Clock> clock;
  const std::shared_ptr<const Processes> processes;
  const Holder self;
  const std::uint32_t generation;
  std::atomic<bool> closed = false;
  struct alignas(cache_line_bytes) Users {
    std::atomic<int> count = 0;
  };
  std::array<Users, 4> users{};  // calls that touch the engine, by thread_number()

  std::atomic<std::uint64_t> outbox_edits = 0;  // changes of events by hand

  metrics::Meters meters;
  metrics::KeptTallies kept_tallies;
  const ledger::HasPlan has_plan;

  // Held shared while a transaction commits; a transaction that met too many conflicts runs with it
  // held alone. The door comes first: who wants to be alone shuts it, or those who share the gate
  // would keep it from them for ever by overlapping.
  Mutex transact_door;
  SharedMutex transact_gate;
  ledger::Waiters waiters;

  // Destroyed in this order's reverse: beats renew through the engine.
  std::unique_ptr<engine::CachingEngine> engine;
  ledger::Heartbeat heartbeat;

 private:
  Mutex in_flight_mutex_;
  std::set<Key> in_flight_ ONCE_GUARDED_BY(in_flight_mutex_);
};

template <class T>
Result<T> Store::Impl::transition(
    const Key& key, Durability durability,
    const std::function<ledger::Decision<T>(const ledger::Moment&)>& decide,
    const engine::DataChanges* data) {
  auto in_use = use(key);
  if (!in_use) return std::unexpected(std::move(in_use.error()));
  std::optional<Result<T>> answer;
  bool changed = false;
  bool publishes = false;
  metrics::Meters::Timer timer(meters, key, metrics::Timed::commit);
  const auto updated = engine->update(
      key,
      [&](const engine::Current& current) {
        auto decision = decide(moment(key, current));
        answer = std::move(decision.answer);
        changed = !decision.change.empty();
        publishes = !decision.change.events.empty();
        return std::move(decision.change);
      },
      durability, data);
  if (!updated || !changed) timer.drop();
  if (!updated) return std::unexpected(updated.error());
  if (changed) waiters.notify(key);
  if (publishes) waiters.notify(relay_key());
  if (!*answer && answer->error().code == ErrorCode::fenced) {
    meters.count(key, metrics::Counted::fenced);
  }
  return std::move(*answer);
}

}  // namespace once
