// Workflow: work in several steps that goes on where it was broken off.
//
//   once::Workflow order("order");
//   order.node("reserve", {}, [&] { return stock.reserve(sku); })
//       .node("charge", {}, [&](once::NodeContext& node) { return gateway.charge(node.step_key());
//       },
//             {.retry = {.attempts = 5}})
//       .node("ship", {"reserve", "charge"}, [&](once::NodeContext& node) ->
//       once::Result<once::Bytes> {
//         auto receipt = node.input<once::Bytes>("charge");
//         if (!receipt) return std::unexpected(receipt.error());
//         return carrier.ship(*receipt);
//       });
//   auto shipped = order.run(store, "order-42");     // runs once; asked again it is replayed
//
// The same in steps, one after the other:
//
//   once::Workflow order("order", [&](once::StepContext& run) -> once::Result<once::Bytes> {
//     auto receipt = run.step("charge", [&] { return gateway.charge(sku); });
//     if (!receipt) return std::unexpected(receipt.error());
//     if (auto slept = run.sleep("cool-off", std::chrono::hours(24)); !slept)
//       return std::unexpected(slept.error());
//     return run.step("ship", [&] { return carrier.ship(*receipt); });
//   });
//
// A run is the key tenant/"workflow:NAME"/ID: it is reserved while at work and its lease renewed;
// its result is the key's outcome. What is done is kept as checkpoints of that key, each with the
// run's fencing token: a run that lost its lease to another one cannot write any more, and stops
// with ErrorCode::fenced.
//
// Exactly once means here: a node whose checkpoint was acknowledged is never repeated, and its
// output is what every later node sees. A node that was at work, or whose checkpoint was not made
// yet, when the process died is run again. Hand step_key() to the other side, so that it can
// recognise the second call; or put the effect into the store with transact(), where it commits
// together with its checkpoint and so happens once whatever dies.
//
// What a node's failure does: work_failed() is definite, the run fails with it and that is kept.
// work_retryable() and work_not_started() are tried again (NodeOptions::retry); if it still fails,
// the run is given back (released): run() or resume_all() goes on with what failed, and nothing
// that is done is repeated. work_unknown() puts the run in doubt; `once resolve` decides, and
// `rerun` means that the node is run again. Any other error, and an exception, counts as
// retryable, without being tried again in the same run. Of a graph the nodes that do not depend on
// what failed are finished first; only timers are not waited for, unless they are due within
// RunOptions::wait_for_timers. What comes after such a timer runs when a run that was given back is
// gone on with, and never if the failure was definite.
//
// Source of the form with steps: the durable functions of Azure (S. Burckhardt et al., "Durable
// Functions: Semantics for Stateful Serverless", 2021).
#pragma once

#include <concepts>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "once/codec.h"
#include "once/error.h"
#include "once/reservation.h"
#include "once/store.h"
#include "once/transaction.h"
#include "once/workflow_types.h"

namespace once {

namespace internal {

// The output of a node, or the value of a variable, as bytes; nullopt stands for null.
using Output = std::optional<Bytes>;

// Calls `call` and encodes what it returns: T, void or Result<T>.
template <class Call>
Result<Output> output_of(Call&& call) {
  using R = std::invoke_result_t<Call&>;
  using W = WorkType<R>;
  using T = typename W::type;
  if constexpr (std::is_void_v<R>) {
    call();
    return Output{};
  } else if constexpr (W::fallible) {
    R result = call();
    if (!result) return std::unexpected(std::move(result.error()));
    if constexpr (std::is_void_v<typename R::value_type>) {
      return Output{};
    } else {
      return Output(Codec<T>::encode(std::move(*result)));
    }
  } else {
    return Output(Codec<T>::encode(call()));
  }
}

// What get() of a variable returns, of what is kept for it, if anything is.
template <class T>
Result<std::optional<T>> variable_as(const std::optional<Output>& kept) {
  if (!kept) return std::optional<T>{};
  auto value = Codec<T>::decode(*kept);
  if (!value) return std::unexpected(std::move(value.error()));
  return std::optional<T>(std::move(*value));
}

class RunAccess;

}  // namespace internal

class Executor;

// What a node, or the work of a step, gets to see. Used by the thread that runs it.
class NodeContext {
 public:
  class Impl;
  explicit NodeContext(Impl& impl) : impl_(impl) {}
  NodeContext(const NodeContext&) = delete;
  NodeContext& operator=(const NodeContext&) = delete;

  // The output of a node that this one depends on. Errors: invalid_argument (it does not depend on
  // such a node), wrong_type.
  template <class T>
  Result<T> input(std::string_view node) const {
    auto found = output_of(node);
    if (!found) return std::unexpected(std::move(found.error()));
    return Codec<T>::decode(*found);
  }
  // What the run was begun with (RunOptions::input).
  [[nodiscard]] const std::optional<Bytes>& run_input() const;

  // A variable of the run as nodes that finished before left it; nullopt if there is none. In a
  // graph depend on the node that sets it, else it may or may not be there. Errors: wrong_type.
  template <class T>
  Result<std::optional<T>> get(std::string_view variable) const {
    return internal::variable_as<T>(variable_of(variable));
  }
  // Sets a variable; kept with the node's own checkpoint, and only if the node succeeds.
  template <class T>
    requires(!std::convertible_to<const T&, std::string_view>)
  void set(std::string_view variable, const T& value) {
    set_variable(variable, Codec<T>::encode(value));
  }
  void set(std::string_view variable, std::string_view bytes) {
    set_variable(variable, Bytes(bytes));
  }

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const std::string& run_id() const;
  [[nodiscard]] const Key& key() const;
  // Which try of this node it is, from 1, over all runs as far as they are known: what failed is
  // kept with its tries. Tries at which the process died count with the strategy after_each, which
  // notes each as it begins (a power cut may take the note away), and not with the others.
  [[nodiscard]] std::uint32_t attempt() const;
  // The run's fencing token: systems downstream may refuse a smaller one.
  [[nodiscard]] Token token() const;
  // The same for every try of this node of this run, and for no other: an idempotency key for the
  // other side. "tenant/workflow:NAME/ID@ORIGIN#NODE", escaped as Key::to_string() does; ORIGIN is
  // the token that the run was begun with, so that a run begun anew under the id of one that was
  // removed, or whose retention is over, has keys of its own.
  [[nodiscard]] std::string step_key() const;
  // Asked to end early: the run was stopped, or has lost its lease.
  [[nodiscard]] std::stop_token stop() const;

 private:
  [[nodiscard]] Result<internal::Output> output_of(std::string_view node) const;
  [[nodiscard]] std::optional<internal::Output> variable_of(std::string_view variable) const;
  void set_variable(std::string_view variable, internal::Output value);

  Impl& impl_;
};

// The run of a workflow that is written in steps. The function is run from its beginning whenever
// the run is resumed, and steps that are done give what they gave. So it must do the same each
// time: whatever is not the same (the time, chance, the world) belongs into steps. Used by the
// thread that the function runs on.
class StepContext {
 public:
  class Impl;
  explicit StepContext(Impl& impl) : impl_(impl) {}
  StepContext(const StepContext&) = delete;
  StepContext& operator=(const StepContext&) = delete;

  // Runs `work` unless the step is done already; then what it returned. `work` takes nothing or a
  // NodeContext&, and returns T, void or Result<T>, for a T with a Codec. Names are given once in
  // a run: put a number into the name within a loop.
  // Errors: the work's own, after its retries; mismatch (another step stood here when the run
  // began, or a definition changed); invalid_argument (a name given twice, or a step within the
  // work of a step); wrong_type; fenced, cancelled and errors of the store, which end the run
  // whatever the function makes of them. A definite failure is kept, and so is any other that the
  // function went on from: before the next step begins, whatever the strategy.
  template <class F>
  auto step(std::string_view name, F&& work, const NodeOptions& options = {}) {
    using R = typename Invoke<F>::type;
    return typed<R>(run_step(
        name,
        [&work](NodeContext& node) {
          return internal::output_of([&] {
            if constexpr (std::invocable<F&, NodeContext&>) {
              return work(node);
            } else {
              return work();
            }
          });
        },
        options));
  }

  // A step whose effect is in the store's own data: what `work` writes commits together with the
  // step's checkpoint, so that it happens exactly once whatever dies. `work` takes a Transaction&
  // (see once/transaction.h: it may run more than once), and a NodeContext& if it wants.
  template <class F>
  auto transact(std::string_view name, F&& work, const NodeOptions& options = {}) {
    using R = typename InvokeIn<F>::type;
    return typed<R>(run_transact(
        name,
        [&work](Transaction& tx, NodeContext& node) {
          return internal::output_of([&] {
            if constexpr (std::invocable<F&, Transaction&, NodeContext&>) {
              return work(tx, node);
            } else {
              return work(tx);
            }
          });
        },
        options));
  }

  // A timer that outlives the process: when it is due is kept. Until then the run sleeps and holds
  // no thread, unless it is due within RunOptions::wait_for_timers: this returns an error, which
  // the function passes on, and run() says until when (WorkflowRun::sleeping_until()).
  // By the store's time (see once/clock.h).
  Result<void> sleep(std::string_view name, Duration duration);
  Result<void> sleep_until(std::string_view name, Time due);

  // As NodeContext has them. What is set here is kept with the next step; more than
  // Options::max_outcome_bytes of it fails the run for good.
  template <class T>
  Result<std::optional<T>> get(std::string_view variable) const {
    return internal::variable_as<T>(variable_of(variable));
  }
  template <class T>
    requires(!std::convertible_to<const T&, std::string_view>)
  void set(std::string_view variable, const T& value) {
    set_variable(variable, Codec<T>::encode(value));
  }
  void set(std::string_view variable, std::string_view bytes) {
    set_variable(variable, Bytes(bytes));
  }
  [[nodiscard]] const std::optional<Bytes>& run_input() const;
  [[nodiscard]] const std::string& run_id() const;
  [[nodiscard]] const Key& key() const;
  [[nodiscard]] Token token() const;
  [[nodiscard]] std::stop_token stop() const;
  // The store's time. Not the same on each run: use it within steps.
  [[nodiscard]] Time now() const;

 private:
  using Work = std::function<Result<internal::Output>(NodeContext&)>;
  using TransactWork = std::function<Result<internal::Output>(Transaction&, NodeContext&)>;

  template <class F, bool takes_context = std::invocable<F&, NodeContext&>>
  struct Invoke {
    using type = std::invoke_result_t<F&, NodeContext&>;
  };
  template <class F>
  struct Invoke<F, false> {
    using type = std::invoke_result_t<F&>;
  };
  template <class F, bool takes_context = std::invocable<F&, Transaction&, NodeContext&>>
  struct InvokeIn {
    using type = std::invoke_result_t<F&, Transaction&, NodeContext&>;
  };
  template <class F>
  struct InvokeIn<F, false> {
    using type = std::invoke_result_t<F&, Transaction&>;
  };

  // What work that returns R stands for: Result<void> for nothing, else Result<T>.
  template <class R>
  static auto typed(Result<internal::Output> output) {
    using T = typename internal::WorkType<R>::type;
    if constexpr (std::same_as<T, std::monostate>) {
      if (!output) return Result<void>(std::unexpected(std::move(output.error())));
      return Result<void>();
    } else {
      if (!output) return Result<T>(std::unexpected(std::move(output.error())));
      return Codec<T>::decode(*output);
    }
  }

  Result<internal::Output> run_step(std::string_view name, const Work& work,
                                    const NodeOptions& options);
  Result<internal::Output> run_transact(std::string_view name, const TransactWork& work,
                                        const NodeOptions& options);
  [[nodiscard]] std::optional<internal::Output> variable_of(std::string_view variable) const;
  void set_variable(std::string_view variable, internal::Output value);

  Impl& impl_;
};

// What run() returns: the result, or until when the run sleeps.
class WorkflowRun {
 public:
  // True when there is a result; false when the run sleeps.
  [[nodiscard]] bool finished() const { return !sleeping_until_; }
  [[nodiscard]] const std::optional<Time>& sleeping_until() const { return sleeping_until_; }
  // The result: of a graph what Workflow::result() names, else the output of the only node that no
  // other depends on, else null; of steps what the function returned. nullopt: null, or not
  // finished.
  [[nodiscard]] const std::optional<Bytes>& value() const { return value_; }
  // The same, typed. Errors: wrong_type.
  template <class T>
  [[nodiscard]] Result<T> as() const {
    return Codec<T>::decode(value_);
  }
  // True when it had finished before this call, and nothing ran.
  [[nodiscard]] bool replayed() const { return provenance_.replayed; }
  [[nodiscard]] const Provenance& provenance() const { return provenance_; }
  // Nodes that ran in this call, and nodes that were done before it.
  [[nodiscard]] std::uint32_t executed() const { return executed_; }
  [[nodiscard]] std::uint32_t skipped() const { return skipped_; }

 private:
  friend class internal::RunAccess;
  std::optional<Bytes> value_{};
  std::optional<Time> sleeping_until_{};
  Provenance provenance_{};
  std::uint32_t executed_ = 0;
  std::uint32_t skipped_ = 0;
};

struct WorkflowListOptions {
  std::optional<std::string> tenant{};    // only of this tenant
  std::optional<std::string> workflow{};  // only of this name; of all tenants reads all keys
  std::optional<Status> status{};         // only these
};

// A definition. Copies share it. Build it in one thread; from then on it may be run from many
// threads at once, and for different ids at the same time.
class Workflow {
 public:
  class Impl;

  // A graph; add nodes with node(), transact() and sleep(), in any order.
  explicit Workflow(std::string name, const WorkflowOptions& options = {});
  // In steps. `steps` takes a StepContext& and returns T, void or Result<T>, for a T with a Codec.
  template <class F>
    requires std::invocable<F&, StepContext&>
  Workflow(std::string name, F steps, const WorkflowOptions& options = {})
      : Workflow(std::move(name), options) {
    set_steps([steps = std::move(steps)](StepContext& run) mutable {
      return internal::output_of([&] { return steps(run); });
    });
  }

  // Adds a node that runs when those named in `after` are done. `work` takes nothing or a
  // NodeContext&, and returns T, void or Result<T>, for a T with a Codec. It must be copyable, and
  // may run on any thread.
  template <class F>
  Workflow& node(std::string name, std::vector<std::string> after, F work,
                 const NodeOptions& options = {}) {
    return add_node(
        std::move(name), std::move(after),
        [work = std::move(work)](NodeContext& node) mutable {
          return internal::output_of([&] {
            if constexpr (std::invocable<F&, NodeContext&>) {
              return work(node);
            } else {
              return work();
            }
          });
        },
        options);
  }
  // Adds a node whose effect is in the store's own data; see StepContext::transact().
  template <class F>
  Workflow& transact(std::string name, std::vector<std::string> after, F work,
                     const NodeOptions& options = {}) {
    return add_transact(
        std::move(name), std::move(after),
        [work = std::move(work)](Transaction& tx, NodeContext& node) mutable {
          return internal::output_of([&] {
            if constexpr (std::invocable<F&, Transaction&, NodeContext&>) {
              return work(tx, node);
            } else {
              return work(tx);
            }
          });
        },
        options);
  }
  // Adds a timer: done so long after those named in `after` are; see StepContext::sleep().
  Workflow& sleep(std::string name, std::vector<std::string> after, Duration duration);
  // Names the node whose output is the result of the run.
  Workflow& result(std::string node);

  // Checks the definition. run() does so too, before anything is changed. Errors: invalid_argument
  // naming the node that is there twice, depends on one that is not there, or is part of a cycle;
  // that has no name or whose options make no sense; limit_exceeded.
  [[nodiscard]] Result<void> validate() const;
  [[nodiscard]] const std::string& name() const;
  // By which a changed definition is noticed: of version, names and dependencies.
  [[nodiscard]] Fingerprint definition() const;

  // Runs the workflow for `id`, or goes on with what a crash, a failure or a timer left; returns
  // the result at once when it has finished already. Errors: invalid_argument; mismatch (the
  // definition has changed since the run began, telling what; or other input); busy (after
  // RunOptions::wait); in_doubt; fenced; cancelled; the failure of a node. Exceptions of the work
  // are passed on, after what is done was kept and the run given back.
  Result<WorkflowRun> run(Store& store, std::string_view id, const RunOptions& options = {}) const;
  // As run(), but begins none: goes on with the run of `id` if it was broken off, stopped, given
  // back after a failure or has slept until its timer; gives its result, or the failure that is
  // kept, at once if it has finished; waits for RunOptions::wait if somebody is at work on it. The
  // input is the one that it was begun with, and need not be given. Errors besides: not_found
  // (there is no run of that id, or its retention is over; nothing is changed).
  Result<WorkflowRun> resume(Store& store, std::string_view id,
                             const RunOptions& options = {}) const;
  // run() and resume() on a thread of `executor` (once/execute.h), in its store, on the terms of
  // Executor::call_async(): a call that RunOptions::stop cancels before it has begun does not run,
  // and the future has the error `cancelled` at once; afterwards the stop is that of run(). The
  // future keeps a copy of this definition.
  std::future<Result<WorkflowRun>> run_async(Executor& executor, std::string id,
                                             RunOptions options = {}) const;
  std::future<Result<WorkflowRun>> resume_async(Executor& executor, std::string id,
                                                RunOptions options = {}) const;

  // As resume(), for all: goes on with every run of `workflows` that was broken off, that sleeps
  // until a timer which is due, or, with `given_back`, that was given back after a failure or a
  // stop at least `given_back` ago: that does not sleep, whatever timers it has set. Those that
  // somebody is at work on are left alone. One after the other; tells `visit` what came of each,
  // until it returns false; passes the first exception of the work on at the end. `options`: stop,
  // wait_for_timers, accept_changes and faults count. Costs a look at every record of the store,
  // since keys are in the order of their tenants first, and besides that one at the checkpoints of
  // every run that is open. A run that cannot be read does not keep the others: `visit` is told;
  // without one, that is the error returned at the end, as is a record that does not decode. Left
  // alone too is what an earlier version of Once broke off before it had kept the run's input:
  // run() with that input goes on with it.
  static Result<void> resume_all(
      Store& store, const std::vector<Workflow>& workflows,
      const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit = {},
      const RunOptions& options = {}, std::optional<Duration> given_back = Duration{0});

  // The key of a run.
  [[nodiscard]] static Key key(std::string_view name, std::string_view id,
                               std::string_view tenant = {});
  // The state of a run, for which its definition is not needed; nullopt if there is none.
  static Result<std::optional<WorkflowState>> inspect(Store& store, const Key& key);
  // The same of a run of this workflow.
  Result<std::optional<WorkflowState>> state_of(Store& store, std::string_view id,
                                                std::string_view tenant = {}) const {
    return inspect(store, key(name(), id, tenant));
  }
  // Visits the states of runs in the order of their keys, until `visit` returns false. One that
  // cannot be read is visited all the same (WorkflowState::unreadable). Errors: damaged for a
  // record that does not decode, of whatever key, after all others were visited.
  static Result<void> list(Store& store, const WorkflowListOptions& options,
                           const std::function<bool(const WorkflowState&)>& visit);

 private:
  friend class internal::RunAccess;
  using Work = std::function<Result<internal::Output>(NodeContext&)>;
  using TransactWork = std::function<Result<internal::Output>(Transaction&, NodeContext&)>;
  using Steps = std::function<Result<internal::Output>(StepContext&)>;

  void set_steps(Steps steps);
  Workflow& add_node(std::string name, std::vector<std::string> after, Work work,
                     const NodeOptions& options);
  Workflow& add_transact(std::string name, std::vector<std::string> after, TransactWork work,
                         const NodeOptions& options);
  static Store::Impl& inside(Store& store);

  std::shared_ptr<Impl> impl_;
};

// Runs workflows in the background: goes on with what a crash left when it starts, and with timers
// when they are due, on one thread of its own, one run after the other. A look costs what
// resume_all() does; timers that it found are kept until they are due, and are woken without
// another look: at once, or when the run at hand has ended or gone to sleep.
//
//   once::WorkflowRunner runner(store, {order, refund});
//
// Stops when destroyed: the run at hand is stopped as by RunOptions::stop. The store must outlive
// it. Thread-safe.
class WorkflowRunner {
 public:
  struct Options {
    // How often to look for what other processes left; longer than 0. Timers known here do not wait
    // for that.
    Duration interval = std::chrono::seconds(30);
    // What failed and was given back is tried again after this, not less than 0; nullopt: never.
    std::optional<Duration> given_back = std::chrono::minutes(1);
    // Told what came of each run, on the runner's thread. Must not throw.
    std::function<void(const Key&, const Result<WorkflowRun>&)> observe{};
  };

  WorkflowRunner(Store& store, std::vector<Workflow> workflows, Options options);
  WorkflowRunner(Store& store, std::vector<Workflow> workflows);
  WorkflowRunner(const WorkflowRunner&) = delete;
  WorkflowRunner& operator=(const WorkflowRunner&) = delete;
  ~WorkflowRunner();

  // Looks at once: after a run went to sleep elsewhere in this process, say.
  void wake();
  // The error of the last look, if it failed; it is tried again. That of a run that cannot be read
  // counts too, though the others go on. io: there is no thread. invalid_argument: an option that
  // cannot be, because of which there is none.
  [[nodiscard]] Result<void> last_look() const;
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace once
