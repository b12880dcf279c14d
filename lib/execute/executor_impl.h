// What an Executor is made of: the hooks, and how one call uses them. All that is kept goes through
// the store's own transitions (store/store_impl.h).
//
// Nothing here is locked while a hook runs, except that a key is entered (Store::Impl::enter) while
// its resolver or the work of a refresh does.
#pragma once

#include <exception>
#include <optional>
#include <variant>

#include "base/process.h"
#include "execute/pool.h"
#include "once/execute.h"
#include "store/store_impl.h"

namespace once {

// Lets go of a key that was entered.
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

// Errors: invalid_argument.
[[nodiscard]] Result<void> check_policy(const FailurePolicy& policy);

class Executor::Impl {
 public:
  Impl(Store& store_used, ExecutorOptions given)
      : store(store_used), options(std::move(given)), pool(options.threads, options.queue) {}

  // Errors: invalid_argument, for what the options cannot be. Of one call: those of
  // check_execute() too.
  [[nodiscard]] Result<void> check_options() const;
  [[nodiscard]] Result<void> check(const ExecuteOptions& call) const;

  // What is under the store; moved along with it.
  [[nodiscard]] Store::Impl& inside() const { return *store.impl_; }

  // One run of the work under a reservation, and what came of it.
  struct Tried {
    Result<Store::Answer> answer{};
    std::exception_ptr thrown{};            // by the work, or by an observer before it
    std::optional<FailureClass> failure{};  // what the work's failure counted as
    bool begun = false;                     // the work itself
  };
  Tried attempt(const Reservation& reservation, const Store::Work& work,
                const ExecuteOptions& call);

  // How often one call has run the work, and how often it may.
  struct Tries {
    std::uint32_t most = 1;
    std::uint32_t done = 0;
  };
  // Whether the work is to run again after `tried`, when the pause before that is over.
  [[nodiscard]] bool try_again(const Key& key, const Tried& tried, const Tries& tries,
                               const std::stop_token& stop) const;

  // Runs the work, as often as it may; or finds what is kept.
  Result<std::variant<Store::Answer, Replay>> run(const Key& key, const Store::Work& work,
                                                  const ExecuteOptions& call, Tries& tries);
  // The same, with what is kept as the answer.
  Result<Store::Answer> run_or_replay(const Key& key, const Store::Work& work,
                                      const ExecuteOptions& call, Tries tries);
  // Reserves with is_safe_to_retry and resolver.
  Result<ReserveAnswer> reserve(const Key& key, const ExecuteOptions& call);
  // Runs the work and replaces what is kept, with the key entered. Nullopt: it is not finished any
  // more, so look again.
  Result<std::optional<Tried>> replace(Executor& executor, const Key& key, const Store::Work& work,
                                       const Merge& merge, const ExecuteOptions& call);
  class Batch;  // see batch.cc

  // The answer of a key that has one.
  Result<Store::Answer> duplicate(const Key& key, Replay&& replay, Conflict conflict) const;

  // Failures, in failures.cc.
  // How long `outcome` is kept.
  [[nodiscard]] Duration retention_of(const Outcome& outcome, const ExecuteOptions& call) const;
  // The class of what failed; `hook_threw` takes what a classifier throws.
  [[nodiscard]] FailureClass classify(const Error& error, const std::exception_ptr& thrown,
                                      std::exception_ptr& hook_threw) const;
  [[nodiscard]] Leaving leaving_of(FailureClass failure, const Error& error,
                                   const std::exception_ptr& thrown,
                                   const ExecuteOptions& call) const;
  void tell_failure(const Reservation& reservation, const Error& error, FailureClass failure,
                    bool work_threw) const;
  // Before the repetition after `tries`; false when the call is to end instead.
  [[nodiscard]] bool pause(const Key& key, std::uint32_t tries, const std::stop_token& stop) const;

  // Whether `found` may be run again; retry_refused if not.
  Result<void> may_repeat(const Key& key, const Found& found,
                          const std::optional<Token>& decided) const;
  // Asks the resolver about a key in doubt. Ok: look again, it may be decided. `rerun` takes the
  // token of a decision to run it again.
  Result<void> settle(const Key& key, const Error& doubt, Duration deadline,
                      const std::stop_token& stop, std::optional<Token>& rerun);

  void tell_before(const Reservation& reservation) const {
    for (const Observer& observer : options.observers) {
      if (observer.before) observer.before(reservation);
    }
  }
  void tell_after(const Key& key, const Store::Answer& answer) const {
    for (const Observer& observer : options.observers) {
      if (observer.after) observer.after(key, answer.outcome, answer.provenance);
    }
  }
  void tell_wait(const Key& key, const Error& busy) const {
    for (const Observer& observer : options.observers) {
      if (observer.on_wait) observer.on_wait(key, busy);
    }
  }

  // When a wait of `call` that begins now is over, since boot.
  [[nodiscard]] Duration deadline_of(const ExecuteOptions& call) const;

  Store& store;
  const ExecutorOptions options;
  const std::uint32_t generation = fork_generation();
  Pool pool;  // last: its calls use all of the others

 private:
  Result<void> decide(const Key& key, const Error& doubt, std::optional<Token>& rerun);
};

}  // namespace once
