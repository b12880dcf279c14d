// transact(): the work's own writes and its outcome in one commit.
#include <algorithm>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "store/limit_checks.h"
#include "store/store_impl.h"
#include "store/transaction_impl.h"

namespace once {
namespace {

// After so many conflicts a transaction runs alone.
constexpr int conflicts_before_alone = 8;

// The stores whose transactions this thread is in the work of.
thread_local std::vector<const void*> in_transact;

class InTransact {
 public:
  explicit InTransact(const void* store) { in_transact.push_back(store); }
  InTransact(const InTransact&) = delete;
  InTransact& operator=(const InTransact&) = delete;
  ~InTransact() { in_transact.pop_back(); }
};

// Holds the gate shared while committing, or alone for all of one attempt.
class ONCE_SCOPED_CAPABILITY AloneLock {
 public:
  AloneLock(Mutex& door, SharedMutex& gate, bool alone) ONCE_NO_ANALYSIS : door_(door),
                                                                           gate_(gate),
                                                                           alone_(alone) {
    if (!alone_) return;
    door_.lock();
    gate_.lock();
  }
  AloneLock(const AloneLock&) = delete;
  AloneLock& operator=(const AloneLock&) = delete;
  ~AloneLock() ONCE_NO_ANALYSIS {
    if (!alone_) return;
    gate_.unlock();
    door_.unlock();
  }
  template <class Commit>
  auto commit(Commit&& call) ONCE_NO_ANALYSIS {
    if (alone_) return call();
    door_.lock();
    std::shared_lock lock(gate_);
    door_.unlock();
    return call();
  }

 private:
  Mutex& door_;
  SharedMutex& gate_;
  const bool alone_;
};

}  // namespace

bool Store::Impl::enter(const Key& key) {
  MutexLock lock(in_flight_mutex_);
  return in_flight_.insert(key).second;
}

void Store::Impl::leave(const Key& key) {
  {
    MutexLock lock(in_flight_mutex_);
    in_flight_.erase(key);
  }
  waiters.notify(key);
}

namespace {

// One try of a transaction whose turn it is.
class Attempt {
 public:
  Attempt(Store::Impl& store, const Key& key, const TransactOptions& options)
      : store_(store),
        key_(key),
        options_(options),
        reserve_{.retention = options.retention,
                 .fingerprint = options.fingerprint,
                 .fields = options.fields} {}

  // Whether the ledger would let it run now: a replay, nothing (go on), or an error.
  Result<std::optional<Replay>> look();
  // Runs `work` and commits. conflict: try again. A provenance that is a replay: look() again.
  Result<Provenance> run(const std::function<Result<Outcome>(Transaction&)>& work, Outcome& outcome,
                         bool alone);
  // The error of the last run() is the work\'s own, whatever its code.
  [[nodiscard]] bool failed_in_work() const { return failed_in_work_; }

 private:
  Result<Outcome> outcome_of(Result<Outcome> worked) const;
  Result<Provenance> commit(Transaction::Impl& transaction, const Outcome& outcome);

  Store::Impl& store_;
  const Key& key_;
  const TransactOptions& options_;
  const ReserveOptions reserve_;
  bool failed_in_work_ = false;
};

Result<std::optional<Replay>> Attempt::look() {
  auto replay = store_.try_replay(key_, reserve_);
  if (!replay || *replay) return replay;
  auto decided = store_.transition<ledger::ReserveDecision>(
      key_, options_.durability, [&](const ledger::Moment& moment) {
        auto decision = ledger::reserve(moment, reserve_);
        // Not granted on disk: a crash leaves nothing behind, so there is nothing to guard.
        if (decision.answer) decision.change = {};
        return decision;
      });
  if (!decided) return pass(decided);
  return std::nullopt;
}

Result<Provenance> Attempt::run(const std::function<Result<Outcome>(Transaction&)>& work,
                                Outcome& outcome, bool alone) {
  auto in_use = store_.use();
  if (!in_use) return pass(in_use);
  AloneLock lock(store_.transact_door, store_.transact_gate, alone);
  auto view = store_.engine->view();
  if (!view) return pass(view);
  Transaction::Impl impl(std::move(*view), store_.options);
  Transaction transaction(impl);
  Result<Outcome> worked;
  {
    const InTransact mark(&store_);
    worked = work(transaction);
  }
  auto kept = outcome_of(std::move(worked));
  if (!kept) {
    failed_in_work_ = true;
    return pass(kept);
  }
  outcome = std::move(*kept);
  return lock.commit([&] { return commit(impl, outcome); });
}

// A definite failure is an outcome too; every other error leaves nothing.
Result<Outcome> Attempt::outcome_of(Result<Outcome> worked) const {
  if (!worked) {
    const ErrorCode code = worked.error().code;
    if (code != ErrorCode::work_failed && code != ErrorCode::work_timed_out &&
        code != ErrorCode::work_killed) {
      return worked;
    }
    worked = failure_outcome(worked.error());
  }
  if (auto checked = check_outcome(*worked, store_.options); !checked) return pass(checked);
  return worked;
}

Result<Provenance> Attempt::commit(Transaction::Impl& transaction, const Outcome& outcome) {
  const bool success = outcome.kind == OutcomeKind::success;
  const engine::DataChanges changes = transaction.changes(success);
  const Duration retention = success ? options_.retention : options_.failure_retention;
  return store_.transition<Provenance>(
      key_, options_.durability,
      [&](const ledger::Moment& moment) {
        auto decision = ledger::transact(moment, reserve_, outcome, retention);
        if (!decision.change.apply_data || !success) return decision;
        decision.change.events = transaction.events();
        for (Event& event : decision.change.events) {
          if (event.id.empty()) event.id = uuid_v7(moment.now);
          event.created_at = moment.now;
        }
        decision.change.checkpoints = transaction.checkpoints();
        for (Checkpoint& checkpoint : decision.change.checkpoints) {
          checkpoint.token = decision.change.put->token;
          checkpoint.created_at = moment.now;
        }
        return decision;
      },
      &changes);
}

// Lets go of the key however the transaction ends.
class Turn {
 public:
  Turn(Store::Impl& store, const Key& key) : store_(store), key_(key) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { store_.leave(key_); }

 private:
  Store::Impl& store_;
  const Key& key_;
};

Error busy_here(const Key& key) {
  return {.code = ErrorCode::busy,
          .message = fmt::format("a transaction on key {} is under way in this process and did not "
                                 "finish in time; ask again later, or wait longer",
                                 key.to_string())};
}

}  // namespace

Result<void> Store::Impl::transact_step(const Reservation& reservation, Durability durability,
                                        const std::function<Result<void>(Transaction&)>& work) {
  if (std::ranges::find(in_transact, this) != in_transact.end()) {
    return once::fail(
        ErrorCode::invalid_argument,
        "a transaction within the work of a transaction on the same store; put both into one");
  }
  for (int conflicts = 0;; ++conflicts) {
    auto in_use = use(reservation.key);
    if (!in_use) return pass(in_use);
    AloneLock lock(transact_door, transact_gate, conflicts >= conflicts_before_alone);
    auto view = engine->view();
    if (!view) return pass(view);
    Transaction::Impl transaction(std::move(*view), options);
    {
      Transaction shown(transaction);
      const InTransact mark(this);
      if (auto worked = work(shown); !worked) return worked;
    }
    const engine::DataChanges changes = transaction.changes(true);
    auto done = lock.commit([&] {
      return transition<std::monostate>(
          reservation.key, durability,
          [&](const ledger::Moment& moment) {
            auto decision =
                ledger::save_checkpoints(moment, reservation.token, transaction.checkpoints());
            if (!decision.answer) return decision;
            decision.change.apply_data = true;
            decision.change.events = transaction.events();
            for (Event& event : decision.change.events) {
              if (event.id.empty()) event.id = uuid_v7(moment.now);
              event.created_at = moment.now;
            }
            return decision;
          },
          &changes);
    });
    if (done) return {};
    if (done.error().code != ErrorCode::conflict) return pass(done);
  }
}

Result<Store::Answer> Store::transact_outcome(const Key& asked, const TransactWork& work,
                                              const TransactOptions& options) {
  // A copy: the work may change what the caller's key was made of.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Key key = asked;
  if (auto valid = key.validate(); !valid) return pass(valid);
  for (const Duration retention : {options.retention, options.failure_retention}) {
    if (auto checked = check_retention(retention); !checked) return pass(checked);
  }
  if (auto checked = check_fields(options.fields); !checked) return pass(checked);
  if (auto checked = impl_->check_process(); !checked) return pass(checked);
  if (std::ranges::find(in_transact, impl_.get()) != in_transact.end()) {
    return once::fail(
        ErrorCode::invalid_argument,
        "transact() within the work of a transact() on the same store; put both into one");
  }
  const Duration deadline =
      impl_->clock->since_boot() +
      std::clamp<Duration>(options.wait, Duration(0), std::chrono::years(100));
  const std::stop_callback wake(options.stop, [&] { impl_->waiters.notify(key); });
  Attempt attempt(*impl_, key, options);
  int conflicts = 0;
  while (true) {
    const std::uint64_t ticket = impl_->waiters.ticket(key);
    auto seen = attempt.look();
    if (seen && !*seen && !impl_->enter(key)) seen = std::unexpected(busy_here(key));
    if (!seen && seen.error().code == ErrorCode::busy) {
      if (options.stop.stop_requested()) return cancelled(key);
      if (impl_->wait_for(key, ticket, deadline)) continue;
    }
    if (seen && !*seen) {
      const Turn turn(*impl_, key);
      // Again, now that nobody else in this process is at it: who was may have finished.
      seen = attempt.look();
      if (seen && !*seen) {
        Outcome outcome;
        metrics::Meters::Timer timer(impl_->meters, key, metrics::Timed::execute);
        auto done = attempt.run(work, outcome, conflicts >= conflicts_before_alone);
        if (!done || done->replayed) timer.drop();
        if (done && !done->replayed) {
          impl_->meters.count(key, metrics::Counted::executions);
          return Answer{.outcome = std::move(outcome), .provenance = *done};
        }
        if (attempt.failed_in_work()) return pass(done);
        if (!done && done.error().code == ErrorCode::conflict) ++conflicts;
        if (done || done.error().code == ErrorCode::conflict) continue;
        seen = pass(done);
      }
      if (!seen && seen.error().code == ErrorCode::busy) continue;
    }
    if (!seen) {
      impl_->count(key, seen.error());
      return pass(seen);
    }
    impl_->meters.count(key, metrics::Counted::replays);
    if (options.conflict == Conflict::reject) return already_done(key, (*seen)->provenance);
    return Answer{.outcome = std::move((*seen)->outcome), .provenance = (*seen)->provenance};
  }
}

}  // namespace once
