// What a coordinator holds: who takes part, and what drives its transactions.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "once/coordinator.h"
#include "store/store_impl.h"
#include "transaction/drive.h"
#include "transaction/self_recovery.h"
#include "transaction/transaction_log.h"

namespace once {

class Coordinator::Impl {
 public:
  Impl(Store& store, Store::Impl& inside, CoordinatorOptions chosen)
      : store_(store),
        inside_(inside),
        options_(std::move(chosen)),
        recoverer_(inside, options_,
                   {.find = [this] { return find_unfinished(); },
                    .go_on = [this](const Key& key) { return recover_by_itself(key); }}) {
    brief_.settle_timeout = Duration(0);
    brief_.stop = recoverer_.stop();
  }

  [[nodiscard]] Result<void> check_process() const { return inside_.check_process(); }
  [[nodiscard]] std::stop_token stop() const { return options_.stop; }
  Result<void> add(Participant participant);
  Result<TransactionReport> run(const Key& key, std::span<const Part> parts);
  Result<TransactionReport> recover(const Key& key) { return recover(key, options_); }
  Result<RecoveryReport> recover_all(std::string_view prefix);
  // Begins to recover by itself.
  Result<void> begin();
  Result<std::optional<TransactionReport>> report(const Key& key);

  // For the functions that need no coordinator.
  [[nodiscard]] static Store::Impl& inside(Store& store) { return *store.impl_; }

 private:
  using Started = std::variant<Reservation, Replay>;

  [[nodiscard]] Result<void> check_options() const;
  [[nodiscard]] Result<transaction::Plan> plan_of(const Key& key, std::span<const Part> parts);
  // Those that `plan` names. Errors: invalid_argument.
  [[nodiscard]] Result<transaction::Participants> participants_of(const Key& key,
                                                                  const transaction::Plan& plan);
  // Reserves the key and writes the plan and the nonce of `log` in the same commit, unless there is
  // a plan already.
  Result<Started> start(const Key& key, const transaction::Log& log, Duration wait);
  Result<Started> try_start(const Key& key, const ReserveOptions& request,
                            const transaction::Log& log);
  // As `options` say of times and stops.
  Result<TransactionReport> drive(const Reservation& reservation, bool fresh, transaction::Log log,
                                  const CoordinatorOptions& options);
  Result<TransactionReport> drive_on(const Reservation& reservation, const transaction::Plan& plan,
                                     const CoordinatorOptions& options);
  Result<TransactionReport> take_and_drive(const Key& key, const transaction::Plan& plan,
                                           Duration wait, const CoordinatorOptions& options);
  Result<TransactionReport> recover(const Key& key, const CoordinatorOptions& options);
  Result<std::optional<TransactionReport>> replayed(const Key& key);
  Result<std::optional<transaction::Log>> log_of(const Key& key);
  // The keys under `prefix` that are not finished. What cannot be read is told in `unreadable`.
  Result<std::vector<Key>> unfinished(std::string_view prefix, std::vector<Error>& unreadable);
  // A prefix of a written key as Key::to_string() spells it. An escape that is not whole yet ("%4")
  // is left as it is.
  [[nodiscard]] static Result<std::string> spelled(std::string_view prefix);
  void observe(bool before, const Key& key) const;

  // What the coordinator does without being told to.
  Result<std::vector<Key>> find_unfinished();
  bool recover_by_itself(const Key& key);

  Store& store_;
  Store::Impl& inside_;
  const CoordinatorOptions options_;
  CoordinatorOptions brief_ = options_;  // each participant is called once
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Participant>, std::less<>> participants_
      ONCE_GUARDED_BY(mutex_);
  transaction::SelfRecoverer recoverer_;  // last: its thread uses all of the others
};

}  // namespace once
