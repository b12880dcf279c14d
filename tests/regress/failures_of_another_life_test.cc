// When a run that had not ended was removed, or expired, and was begun anew under the same id, what
// had been seen of the earlier one was taken away again from the time between failures.
#include <doctest/doctest.h>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("what was seen of a run counts when another one is begun under its id") {
  for (const bool expires : {false, true}) {
    CAPTURE(expires);
    const Simulation simulation;
    Store store = simulation.open();
    Workflow workflow(
        "w", {.strategy = CheckpointStrategy::adaptive(1h), .heartbeat = false, .retention = 2h});
    workflow.node("a", {}, [&]() -> Result<void> {
      simulation.clock->advance(10h);
      return std::unexpected(work_retryable("later"));
    });
    for (int life = 1; life <= 3; ++life) {
      (void)error_of(workflow.run(store, "1"));
      CHECK(state_of(store, workflow, "1").figures.mtbf == 1h + life * Duration(10h));
      if (expires) {
        simulation.clock->advance(3h);
      } else {
        CHECK(value_of(store.remove(Workflow::key("w", "1"))));
      }
    }
  }
}

TEST_CASE("failures that were seen of a run count when another one is begun under its id") {
  const Simulation simulation;
  Store store = simulation.open();
  const Workflow workflow(
      "w",
      [&](StepContext& run) -> Result<void> {
        return run.step("a", [&]() -> Result<void> {
          simulation.clock->advance(10h);
          return std::unexpected(work_retryable("later"));
        });
      },
      {.strategy = CheckpointStrategy::adaptive(2h), .lease = 24h, .heartbeat = false});
  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("a", NodeMoment::before_effect);
  CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
  simulation.clock->advance(25h);
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  const CheckpointFigures before = state_of(store, workflow, "1").figures;
  CHECK(before.failures == 1);
  CHECK(before.mtbf == Duration(12h) / 2);
  CHECK(value_of(store.remove(Workflow::key("w", "1"))));
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  const CheckpointFigures after = state_of(store, workflow, "1").figures;
  CHECK(after.failures == 0);
  CHECK(after.mtbf == Duration(22h) / 2);
}
