// The input of a run went to disk one commit after its reservation. A run that was broken off in
// between was gone on with without its input, and who asked again with it got a mismatch for good.
#include <doctest/doctest.h>

#include "once/testing.h"
#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

Workflow counting(int& runs, int& without_input) {
  Workflow workflow("w", {.threads = 1});
  const auto work = [&](NodeContext& node) {
    ++runs;
    if (node.run_input() != "order 42") ++without_input;
  };
  workflow.node("a", {}, work).node("b", {"a"}, work);
  return workflow;
}

}  // namespace

TEST_CASE("a run that dies at any of its syncs is gone on with as it was begun") {
  bool finished = false;
  for (std::uint64_t nth = 1; !finished; ++nth) {
    CAPTURE(nth);
    REQUIRE(nth < 100);
    MemoryDisk disk;
    const auto clock = std::make_shared<ManualClock>();
    int runs = 0;
    int without_input = 0;
    const Workflow workflow = counting(runs, without_input);
    {
      Store store = value_of(
          disk.open({.clock = clock, .processes = std::make_shared<SimulatedProcesses>(100)}));
      disk.fail({.call = DiskCall::sync, .nth = nth, .for_ever = true});
      finished = workflow.run(store, "1", {.input = "order 42"}).has_value();
      disk.power_cut();
    }
    clock->advance(1h);
    Store store = value_of(
        disk.open({.clock = clock, .processes = std::make_shared<SimulatedProcesses>(101)}));
    const bool begun = value_of(store.find(Workflow::key("w", "1"))).has_value();
    int resumed = 0;
    value_of(
        Workflow::resume_all(store, {workflow}, [&](const Key&, const Result<WorkflowRun>& run) {
          CHECK(value_of(run).finished());
          return ++resumed > 0;
        }));
    CHECK(resumed == (begun && !finished ? 1 : 0));
    CHECK(value_of(workflow.run(store, "1", {.input = "order 42"})).finished());
    CHECK(error_of(workflow.run(store, "1", {.input = "other"})) == ErrorCode::mismatch);
    CHECK(state_of(store, workflow, "1").input == "order 42");
    CHECK(without_input == 0);
    CHECK(runs >= 2);
  }
}

TEST_CASE("a run of an earlier version that died before its input was kept waits for it") {
  const Simulation simulation;
  Store store = simulation.open();
  int runs = 0;
  int without_input = 0;
  const Workflow workflow = counting(runs, without_input);
  (void)reserved(store.reserve(Workflow::key("w", "1"), {.fingerprint = Fingerprint::of("order 42"),
                                                         .on_abandon = OnAbandon::rerun}));
  let_leases_lapse(simulation);
  int visited = 0;
  value_of(Workflow::resume_all(
      store, {workflow}, [&](const Key&, const Result<WorkflowRun>&) { return ++visited > 0; }));
  CHECK(visited == 0);
  const auto without = workflow.run(store, "1");
  CHECK(error_of(without) == ErrorCode::mismatch);
  CHECK(without.error().message.find("input") != std::string::npos);
  CHECK(error_of(workflow.run(store, "1", {.input = "other"})) == ErrorCode::mismatch);
  CHECK(runs == 0);
  CHECK(value_of(workflow.run(store, "1", {.input = "order 42"})).finished());
  CHECK(runs == 2);
  CHECK(without_input == 0);
}
