// What a Store is made of: an engine, and what this process adds to it (waiting, heartbeats,
// counts).
//
// Lock order, outermost first: transact door and gate, in-flight table, then the engine's own.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "engine/engine.h"
#include "ledger/heartbeat.h"
#include "ledger/transitions.h"
#include "ledger/waiters.h"
#include "once/store.h"

namespace once {

class Store::Impl {
 public:
  Impl(std::unique_ptr<engine::Engine> engine, Options options);
  [[nodiscard]] static Store store_of(std::unique_ptr<Impl> impl) { return Store(std::move(impl)); }

  // Keeps the engine open while it lives: close() waits for it. May be nested.
  class Use {
   public:
    explicit Use(Impl& impl) : impl_(&impl) {}
    Use(Use&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (impl_ != nullptr && impl_->users.fetch_sub(1) == 1) impl_->users.notify_all();
    }

   private:
    Impl* impl_;
  };
  // Errors: closed, and forked in a process that is a fork of the one that opened the store.
  [[nodiscard]] Result<Use> use();
  // The same, and whether the key can be one.
  [[nodiscard]] Result<Use> use(const Key& key);

  // Runs a transition of the ledger on the record of `key` and returns its answer.
  template <class T>
  Result<T> transition(const Key& key, Durability durability,
                       const std::function<ledger::Decision<T>(const ledger::Moment&)>& decide,
                       const engine::DataChanges* data = nullptr);
  [[nodiscard]] ledger::Moment moment(const Key& key, const engine::Current& current) const;

  // One try, without waiting.
  Result<ReserveAnswer> try_reserve(const Key& key, const ReserveOptions& request);
  // A finished record as an answer, if there is one and it may answer the question.
  Result<std::optional<Replay>> try_replay(const Key& key, const ReserveOptions& request);
  void count(const Result<ReserveAnswer>& answer);
  // Waits for something to happen to `key`. False when `deadline` (since boot) has passed.
  [[nodiscard]] bool wait_for(const Key& key, std::uint64_t ticket, Duration deadline);

  [[nodiscard]] bool next_look(const Key& key, Duration& until);

  // In-process transactions on one key come one after the other.
  [[nodiscard]] bool enter(const Key& key);
  void leave(const Key& key);

  const Options options;
  const std::shared_ptr<const Clock> clock;
  const std::shared_ptr<const Processes> processes;
  const Holder self;
  const std::uint32_t generation;
  std::atomic<bool> closed = false;
  std::atomic<int> users = 0;  // calls that touch the engine

  std::atomic<std::uint64_t> executions = 0;
  std::atomic<std::uint64_t> replays = 0;
  std::atomic<std::uint64_t> busy = 0;
  std::atomic<std::uint64_t> mismatches = 0;

  // Held shared while a transaction commits; a transaction that met too many conflicts runs with it
  // held alone. The door comes first: who wants to be alone shuts it, or those who share the gate
  // would keep it from them for ever by overlapping.
  Mutex transact_door;
  SharedMutex transact_gate;
  ledger::Waiters waiters;

  // Destroyed in this order's reverse: beats renew through the engine.
  std::unique_ptr<engine::Engine> engine;
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
  const auto updated = engine->update(
      key,
      [&](const engine::Current& current) {
        auto decision = decide(moment(key, current));
        answer = std::move(decision.answer);
        changed = !decision.change.empty();
        return std::move(decision.change);
      },
      durability, data);
  if (!updated) return std::unexpected(updated.error());
  if (changed) waiters.notify(key);
  return std::move(*answer);
}

}  // namespace once
