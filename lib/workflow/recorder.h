// What of a run is done, and how it gets to disk: the one place that writes for a run.
//
// A node that is done becomes a row that waits to be written; the strategy says when. One commit
// takes all rows that wait. While one is under way, further rows gather for the next.
//
// After a write has failed, and after a fault of the kind `die`, the run is broken: nothing more is
// written, every call gives the error, and the stop source is asked to stop.
//
// Lock order: commit_mutex_, then mutex_.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "base/mutex.h"
#include "once/reservation.h"
#include "store/store_impl.h"
#include "workflow/definition.h"
#include "workflow/loaded_run.h"

namespace once::workflow {

// Thread-safe.
class Recorder {
 public:
  Recorder(Store::Impl& store, Reservation reservation, const Workflow::Impl& definition,
           LoadedRun&& loaded, std::shared_ptr<WorkflowFaults> faults, std::stop_source stop);

  [[nodiscard]] const Reservation& reservation() const { return reservation_; }
  // Of the reservation that began the run: tells it from others that had its key.
  [[nodiscard]] Token origin() const { return origin_; }
  [[nodiscard]] Time now() const { return store_.engine->now(); }

  // ---- What is known ------------------------------------------------------------------------

  [[nodiscard]] std::optional<NodeRow> node(std::string_view name) const;
  [[nodiscard]] std::map<std::string, NodeRow> nodes() const;
  [[nodiscard]] std::optional<Output> variable(std::string_view name) const;
  // Variables that belong to no node; kept with the next checkpoint.
  void set_variable(std::string_view name, Output value);
  // A step in steps is passed that has a row already, with `kept` in it: its variables stand now,
  // and what was set before it waits for no other row.
  void passed(const Variables& kept);

  // ---- What happens -------------------------------------------------------------------------

  // Keeps how the run was begun, if that is new; and that it was broken off, if it was.
  Result<void> begin(const RunRow* run);
  // Notes that a node has begun, if the strategy is after_each: lost in a power cut. Errors:
  // fenced, so that a run that was taken over does not go on.
  Result<void> started(const std::string& name, const NodeRow& row);
  // A node has ended or a timer was set. `keep` makes a checkpoint whatever the strategy. Gives the
  // row an order if it has none. When it answers ok and made a checkpoint, the row is durable.
  Result<void> ended(const std::string& name, NodeRow row, bool keep);
  // Changes a row without a checkpoint of its own.
  void change(const std::string& name, const NodeRow& row);
  // Runs `work` in a transaction that commits `row`, completed by `work`, and everything that
  // waits. Gives the row an order as ended() does, before it commits: another node that ends at the
  // same time gets another one.
  Result<void> transact(const std::string& name,
                        const std::function<Result<NodeRow>(Transaction&)>& work);
  // Writes what waits, if anything does.
  Result<void> flush();

  // ---- How it ends --------------------------------------------------------------------------

  // Each writes what waits in the same commit.
  Result<Provenance> complete(const Outcome& outcome, Duration retention);
  // Gives the run back, for `retention` (its own, if none is given). `sleeps_until`: it does
  // nothing before then.
  Result<void> release(std::string_view reason, std::optional<Duration> retention,
                       std::optional<Time> sleeps_until = std::nullopt);
  Result<void> doubt(std::string_view reason);

  // The fault that is injected here, if any; it breaks the run if it dies.
  Result<void> strike(std::string_view node, NodeMoment moment);
  // Why nothing more is written, if so.
  [[nodiscard]] std::optional<Error> broken() const;
  // The lease was lost: found out by the heartbeat.
  void lose(const Error& error) { break_with(error); }
  // Whether the row can be kept at all, with the variables that go along with it.
  [[nodiscard]] Result<void> check_size(const std::string& name, const NodeRow& row) const;
  // Whether the variables that belong to no node can be kept.
  [[nodiscard]] Result<void> check_loose() const;

 private:
  using Rows = std::map<std::string, Bytes>;  // by the name of the checkpoint

  // With the row of progress, which is the last one. Those that wait go on waiting until forget()
  // is told.
  [[nodiscard]] std::vector<Checkpoint> waiting(std::optional<Time> sleeps_until = std::nullopt,
                                                bool and_loose = true);
  void forget(const std::vector<Checkpoint>& written);
  void measured(std::chrono::microseconds cost);
  [[nodiscard]] NodeRow with_loose(NodeRow row) const ONCE_REQUIRES(mutex_);
  [[nodiscard]] Result<void> loose_fits() const ONCE_REQUIRES(mutex_);
  void set_interval() ONCE_REQUIRES(mutex_);
  // Has the variables of a row stand. In a graph of each variable that of the last node by `order`
  // stands, whichever is noted last: so they stand as loading finds them.
  void stand(const Variables& variables, std::uint32_t order) ONCE_REQUIRES(mutex_);
  // Writes what waits, and progress.
  Result<void> commit() ONCE_REQUIRES(commit_mutex_);
  [[nodiscard]] bool is_due(bool keep) ONCE_REQUIRES(mutex_);
  void break_with(const Error& error);
  // Runs a transition that ends the run, with what waits in the same commit.
  template <class T>
  Result<T> settle(const std::function<ledger::Decision<T>(const ledger::Moment&)>& decide,
                   std::optional<Time> sleeps_until = std::nullopt);

  Store::Impl& store_;
  const Reservation reservation_;
  const Token origin_;
  const Workflow::Impl& definition_;
  const std::shared_ptr<WorkflowFaults> faults_;
  std::stop_source stop_;

  Mutex commit_mutex_;  // held while a checkpoint is made
  mutable Mutex mutex_;
  std::map<std::string, NodeRow, std::less<>> nodes_ ONCE_GUARDED_BY(mutex_);
  struct Variable {
    Output value{};
    std::uint32_t order = 0;  // of the row that set it
  };
  std::map<std::string, Variable, std::less<>> variables_ ONCE_GUARDED_BY(mutex_);
  std::map<std::string, Output> loose_ ONCE_GUARDED_BY(mutex_);  // that belong to no node
  Rows waiting_ ONCE_GUARDED_BY(mutex_);
  CheckpointFigures figures_ ONCE_GUARDED_BY(mutex_);
  Duration counted_until_ ONCE_GUARDED_BY(mutex_);        // since boot; of figures_.running
  Duration last_checkpoint_ ONCE_GUARDED_BY(mutex_);      // since boot
  std::uint32_t last_order_ ONCE_GUARDED_BY(mutex_) = 0;  // given to a row, written or not yet
  std::optional<Error> broken_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::workflow
