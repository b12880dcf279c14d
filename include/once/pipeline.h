// Pipeline: a base class for operations that go in stages, each of which happens once.
//
//   class Checkout : public once::Pipeline<Order, Priced, Receipt> {
//    public:
//     using Pipeline::Pipeline;
//    protected:
//     once::Result<void> validate(const Order& order) override;               // no effects
//     once::Result<Priced> process(const Order& order) override;              // stage "process"
//     once::Result<Receipt> execute(const Priced& priced, const once::Reservation&) override;
//   };
//   Checkout checkout(executor);
//   auto receipt = checkout.run({"shop", "checkout", "order-42"}, order);
//
// The run has its key, and each stage one of its own, derived from it (stage_key()): a run that
// died is run again from the start, and the stages that are finished are replayed. What a stage
// that died leaves is up to its options, as for any execute(); by default it is in doubt, and so
// the run gives in_doubt until it is resolved.
//
// A stage asks the question of its run (fingerprint and fields) and is kept as long. So a run that
// was released and is asked a different question is a mismatch while there is a stage that was
// finished for the one before; and since stages finish before their run, none outlives it, as long
// as all runs of a key are given the same retention. To have a run carried out anew that is kept,
// remove its stages too.
//
// A Pipeline may be used from many threads at once if its hooks may. It may not outlive the
// executor.
#pragma once

#include <future>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "once/execute.h"

namespace once {

// The key of a stage: of the same tenant and id, with the operation `OPERATION.STAGE` (or `STAGE`
// where the run has none).
[[nodiscard]] inline Key stage_key(const Key& run, std::string_view stage) {
  Key key = run;
  if (!key.operation.empty()) key.operation += '.';
  key.operation += stage;
  return key;
}

// Prepared and Output need a Codec.
template <class Input, class Prepared, class Output>
class Pipeline {
 public:
  // `stages` are the options of each stage. Only lease, heartbeat, on_abandon and durability count,
  // all else is as the run has it. Without: ExecutorOptions::defaults.
  Pipeline(Executor& executor, ExecuteOptions stages)
      : executor_(executor), stages_(std::move(stages)) {}
  explicit Pipeline(Executor& executor) : Pipeline(executor, executor.options().defaults) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  virtual ~Pipeline() = default;

  // Validates, processes and executes, or replays the run's outcome. An input that validate()
  // refuses leaves no trace. A stage that fails for good makes the run fail so; any other failure
  // of a stage releases the run, so that it can be tried again (a stage's work_unknown arrives as
  // in_doubt, which the stage is). FailurePolicy::attempts is how often each stage is tried.
  // Errors: those of Executor::execute(), of the run or of a stage, whose message names the key of
  // it.
  Result<Executed<Output>> run(const Key& key, const Input& input, ExecuteOptions options) {
    if (auto valid = validate(input); !valid) return std::unexpected(std::move(valid.error()));
    // Nothing in a run happens but in its stages, so that to repeat it is safe.
    options.on_abandon = OnAbandon::rerun;
    return executor_.execute_once(
        key,
        [&]() -> Result<Output> {
          const Under under(*this, key, options);
          auto prepared = stage(key, "process", [&] { return process(input); });
          if (!prepared) return std::unexpected(std::move(prepared.error()));
          return stage(key, "execute",
                       [&](const Reservation& mine) { return execute(*prepared, mine); });
        },
        options);
  }
  Result<Executed<Output>> run(const Key& key, const Input& input) {
    return run(key, input, executor_.options().defaults);
  }
  // run() on one of the executor's threads, on the terms of Executor::execute_async(): all stages
  // of it on the same one. This pipeline must outlive the call.
  std::future<Result<Executed<Output>>> run_async(Key key, Input input, ExecuteOptions options) {
    std::string of = key.to_string();
    const std::stop_token stop = options.stop;
    return executor_.call_async(
        std::move(of),
        [this, key = std::move(key), input = std::move(input), options = std::move(options)] {
          return run(key, input, options);
        },
        stop);
  }
  std::future<Result<Executed<Output>>> run_async(Key key, Input input) {
    return run_async(std::move(key), std::move(input), executor_.options().defaults);
  }

 protected:
  // Whether the input can be worked on. Runs before the key is looked up, on every call.
  virtual Result<void> validate(const Input&) { return {}; }
  // Makes of the input what is to be executed; its result is kept, so that what it has read does
  // not change under a repetition.
  virtual Result<Prepared> process(const Input& input) = 0;
  // The effect. `mine` has the fencing token to hand on.
  virtual Result<Output> execute(const Prepared& prepared, const Reservation& mine) = 0;

  // A further stage, for use within the hooks: runs `work` under stage_key(run, name), once, where
  // `run` is the key of the run or of a stage. Gives a Result of what the work returns.
  template <class F>
  auto stage(const Key& run, std::string_view name, F&& work) {
    const Key key = stage_key(run, name);
    const ExecuteOptions options = options_under(run);
    const Under under(*this, key, options);
    auto done = executor_.execute(key, std::forward<F>(work), options);
    using T = std::decay_t<decltype(done->value())>;
    if (!done) return Result<T>(std::unexpected(failure_of_run(std::move(done.error()))));
    return Result<T>(std::move(*done).value());
  }

  [[nodiscard]] Executor& executor() const { return executor_; }

 private:
  // While it lives, stages under `key` are of a run with these options.
  class Under {
   public:
    Under(Pipeline& pipeline, const Key& key, const ExecuteOptions& options) : pipeline_(pipeline) {
      const std::lock_guard lock(pipeline.mutex_);
      place_ = pipeline.running_.emplace(key, options);
    }
    Under(const Under&) = delete;
    Under& operator=(const Under&) = delete;
    ~Under() {
      const std::lock_guard lock(pipeline_.mutex_);
      pipeline_.running_.erase(place_);
    }

   private:
    Pipeline& pipeline_;
    typename std::multimap<Key, ExecuteOptions>::iterator place_{};
  };

  [[nodiscard]] ExecuteOptions options_under(const Key& run) {
    ExecuteOptions options = stages_;
    options.conflict = Conflict::previous;
    const std::lock_guard lock(mutex_);
    auto last = running_.upper_bound(run);
    if (last == running_.begin() || (--last)->first != run) return options;
    const ExecuteOptions& of_run = last->second;
    options.retention = of_run.retention;
    options.failure_retention = of_run.failure_retention;
    options.fingerprint = of_run.fingerprint;
    options.fields = of_run.fields;
    options.wait = of_run.wait;
    options.stop = of_run.stop;
    return options;
  }

  // What the failure of a stage is to the run: definite if the stage keeps it, and otherwise one
  // that releases the run, since the stage remembers by itself what must not be repeated.
  static Error failure_of_run(Error error) {
    if (error.code == ErrorCode::work_unknown) error.code = ErrorCode::in_doubt;
    error.replayed = false;  // it is new to the run
    return error;
  }

  Executor& executor_;
  const ExecuteOptions stages_;
  std::mutex mutex_;
  // By key, the newest last: more than one only where the lease of a run has lapsed meanwhile.
  std::multimap<Key, ExecuteOptions> running_{};
};

}  // namespace once
