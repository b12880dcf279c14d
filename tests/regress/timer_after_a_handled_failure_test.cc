// Whether a run sleeps was guessed from its steps: one that had failed, and that the function went
// on from, made a timer behind it look like a failure, tried again at once or never.
#include <doctest/doctest.h>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a timer behind a failure that was handled is one, and is woken from when it is due") {
  const Simulation simulation;
  Store store = simulation.open();
  int calls = 0;
  const Workflow workflow("w", [&](StepContext& run) -> Result<Bytes> {
    ++calls;
    auto paid = run.step(
        "charge", []() -> Result<void> { return std::unexpected(work_failed("declined", "no")); });
    if (!paid && paid.error().code != ErrorCode::work_failed) return std::unexpected(paid.error());
    if (auto slept = run.sleep("pause", 1h); !slept) return std::unexpected(slept.error());
    return run.step("tell", [] { return Bytes("told"); });
  });
  const Time due = simulation.clock->wall() + 1h;
  CHECK(value_of(workflow.run(store, "1")).sleeping_until() == due);
  CHECK(state_of(store, workflow, "1").sleeping_until == due);
  // It is not gone on with before it is due, by nobody.
  CHECK(value_of(workflow.run(store, "1")).sleeping_until() == due);
  value_of(Workflow::resume_all(store, {workflow}));
  CHECK(calls == 1);
  simulation.clock->advance(1h);
  int finished = 0;
  value_of(Workflow::resume_all(
      store, {workflow},
      [&](const Key&, const Result<WorkflowRun>& run) {
        if (value_of(run).finished()) ++finished;
        return true;
      },
      {}, std::nullopt));
  CHECK(finished == 1);
  CHECK(calls == 2);
}

TEST_CASE("a timer that the definition has given up does not make a failure look like sleep") {
  const Simulation simulation;
  Store store = simulation.open();
  const Workflow with_timer("w", [](StepContext& run) { return run.sleep("pause", 1h); });
  const Workflow without_timer("w",
                               [](StepContext&) -> Result<void> {
                                 return std::unexpected(work_retryable("the net is down"));
                               },
                               {.version = "2"});
  CHECK(value_of(with_timer.run(store, "1")).sleeping_until());
  simulation.clock->advance(1h);
  CHECK(error_of(without_timer.run(store, "1", {.accept_changes = true})) ==
        ErrorCode::work_retryable);
  CHECK(!state_of(store, without_timer, "1").sleeping_until);
}
