// A run that was removed, or whose retention was over, and that was begun anew under the same id
// had the same step keys: who keeps them to know a call again would have answered with the effect
// of the earlier run.
#include <doctest/doctest.h>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a run begun anew under an id that was used before has step keys of its own") {
  for (const bool expires : {false, true}) {
    for (const bool in_steps : {false, true}) {
      CAPTURE(expires);
      CAPTURE(in_steps);
      const Simulation simulation;
      Store store = simulation.open();
      std::vector<std::string> keys;
      const auto work = [&](NodeContext& node) -> Result<void> {
        keys.push_back(node.step_key());
        if (keys.size() % 2 == 1) return std::unexpected(work_retryable("later"));
        return {};
      };
      const WorkflowOptions options{.retention = 1h};
      Workflow graph("w", options);
      graph.node("a", {}, work);
      const Workflow steps("w", [&](StepContext& run) { return run.step("a", work); }, options);
      const Workflow& workflow = in_steps ? steps : graph;
      for (int life = 0; life < 2; ++life) {
        CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
        value_of(workflow.run(store, "1"));
        if (expires) {
          simulation.clock->advance(2h);
        } else {
          CHECK(value_of(store.remove(Workflow::key("w", "1"))));
        }
      }
      REQUIRE(keys.size() == 4);
      CHECK(keys[0] == keys[1]);
      CHECK(keys[2] == keys[3]);
      CHECK(keys[0] != keys[2]);
    }
  }
}

TEST_CASE("step keys stay the same over deaths, taking over and accepted changes") {
  const Simulation simulation;
  Store store = simulation.open();
  std::vector<std::string> keys;
  const Workflow workflow("w",
                          [&](StepContext& run) {
                            return run.step(
                                "a", [&](NodeContext& node) { keys.push_back(node.step_key()); });
                          },
                          {.heartbeat = false});
  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("a", NodeMoment::after_effect);
  CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
  let_leases_lapse(simulation);
  value_of(workflow.run(store, "1", {.accept_changes = true}));
  REQUIRE(keys.size() == 2);
  CHECK(keys[0] == keys[1]);
}
