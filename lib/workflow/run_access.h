// What the parts of this folder need of the public classes.
#pragma once

#include "once/workflow.h"
#include "store/store_impl.h"

namespace once::internal {

class RunAccess {
 public:
  // A run of a definition that was validated.
  [[nodiscard]] static Result<WorkflowRun> run(const Workflow& workflow, Store& store, Key key,
                                               const RunOptions& options);
  // The same, but none is begun. Errors besides: not_found.
  [[nodiscard]] static Result<WorkflowRun> resume(const Workflow& workflow, Store& store, Key key,
                                                  const RunOptions& options);
  [[nodiscard]] static Store::Impl& inside(Store& store) { return Workflow::inside(store); }

  [[nodiscard]] static WorkflowRun finished(std::optional<Bytes> value,
                                            const Provenance& provenance,
                                            std::uint32_t executed = 0, std::uint32_t skipped = 0) {
    WorkflowRun run;
    run.value_ = std::move(value);
    run.provenance_ = provenance;
    count(run, executed, skipped);
    return run;
  }
  [[nodiscard]] static WorkflowRun sleeping(Time until, std::uint32_t executed,
                                            std::uint32_t skipped) {
    WorkflowRun run;
    run.sleeping_until_ = until;
    count(run, executed, skipped);
    return run;
  }
  static void count(WorkflowRun& run, std::uint32_t executed, std::uint32_t skipped) {
    run.executed_ = executed;
    run.skipped_ = skipped;
  }
};

}  // namespace once::internal
