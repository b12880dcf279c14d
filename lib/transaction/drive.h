// Drives one transaction, from wherever its log stands, for as long as its reservation holds.
//
//   ask all to prepare ─ all yes ─> decision: commit (synced) ─> commit all ─> completed
//          └──────────── one no ──> decision: abort ───────────> abort those asked ─> failed
//   without a decision and not fresh (somebody died) ──────────> abort those that may have been
//
// Every write is fenced by the reservation's token. What goes wrong after the first prepare leaves
// the transaction as it is, abandoned, for recover(): nothing is guessed. In particular, when the
// write of a decision to commit fails, nobody is told anything, since it may be on disk.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <vector>

#include "ledger/heartbeat.h"
#include "once/coordinator.h"
#include "once/reservation.h"
#include "store/store_impl.h"
#include "transaction/transaction_log.h"

namespace once::transaction {

// In the order of the plan.
using Participants = std::vector<std::shared_ptr<const Participant>>;

// The key of a participant's part of a transaction.
[[nodiscard]] Key part_key(const Key& transaction, std::string_view participant);

// Lets the lease lapse now, so that the next can take over at once. The record stays in progress:
// it must not be forgotten.
void give_back(Store::Impl& store, const Reservation& reservation);

// Used by one thread, once.
class Drive {
 public:
  Drive(Store::Impl& store, const CoordinatorOptions& options, Participants participants,
        Reservation reservation, Log log);
  // Gives the transaction up, if it is not finished, so that the next can take it over at once.
  ~Drive();
  Drive(const Drive&) = delete;
  Drive& operator=(const Drive&) = delete;

  // Begins, or goes on with what somebody else left. Ok: finished, or decided and not acknowledged
  // by all. Passes on what participants and the observer throw.
  Result<void> run(bool fresh);
  // Where it stands now.
  [[nodiscard]] TransactionReport report() const;

 private:
  enum class Vote : std::uint8_t { yes, no, no_and_nothing_held };

  Result<void> start_beat();

  // Asks all to prepare. Sets decision_ when one votes no; leaves it when all vote yes.
  Result<void> ask_all();
  Result<Vote> ask(std::size_t part);
  Result<void> keep_vote(std::size_t part, const Bytes& vote);
  Result<void> decide(Decided decided);
  // Whom a decision to abort must be told, when this drive did not ask itself.
  void presume_asked();

  // Calls for the decision until all have acknowledged or time is up.
  Result<void> settle();
  Result<void> settle_one(std::size_t part, std::uint32_t attempt, Duration deadline);
  [[nodiscard]] std::vector<std::size_t> unsettled() const;
  Result<void> finish();

  struct Called {
    Result<Bytes> answer;
    bool threw = false;
  };
  // One call of a participant. Of exceptions the first is kept in thrown_.
  Called call(std::size_t part, Ask ask, std::uint32_t attempt, Duration deadline);
  Result<void> save(Checkpoint checkpoint, Durability durability, std::string_view what,
                    std::string_view participant);
  void observe(bool before, std::string_view what, std::string_view participant) const;
  // Pauses after try number `attempt`, not beyond `deadline`.
  void pause(std::uint32_t attempt, Duration deadline);
  [[nodiscard]] Duration deadline_after(Duration time) const;
  [[nodiscard]] const std::string& name(std::size_t part) const;

  Store::Impl& store_;
  const CoordinatorOptions& options_;
  const Participants participants_;
  const Reservation reservation_;
  Log log_;
  std::vector<bool> asked_;    // may hold something that abort must free
  std::exception_ptr thrown_;  // the first
  int throws_ = 0;
  bool finished_ = false;
  // Once true, a renewal that is still on its way renews nothing.
  std::shared_ptr<std::atomic<bool>> over_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<ledger::Heartbeat::Beat> beat_;
};

}  // namespace once::transaction
