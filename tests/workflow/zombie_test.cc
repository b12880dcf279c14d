// A run that lost its lease to another one cannot write any more, and stops.
#include <semaphore>
#include <thread>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Lets the lease lapse and somebody else finish the run, within a node of the first one.
void take_over(const Simulation& simulation, Store& store, const Workflow& workflow) {
  std::thread other([&] {
    let_leases_lapse(simulation);
    value_of(workflow.run(store, "1"));
  });
  other.join();
}

}  // namespace

TEST_CASE("a zombie's checkpoint is refused and its run stops, at whatever node it wakes up") {
  for (const bool in_steps : {false, true}) {
    for (int wakes_in = 0; wakes_in < 3; ++wakes_in) {
      CAPTURE(in_steps);
      CAPTURE(wakes_in);
      const Simulation simulation;
      Store store = simulation.open();
      Book zombie;
      Book successor;
      bool first = true;
      const WorkflowOptions options{.threads = 1, .heartbeat = false};
      Workflow graph("w", options);
      std::optional<Workflow> workflow;
      const auto work = [&](int i, NodeContext& node) {
        const bool mine = first;
        if (mine && i == wakes_in) {
          first = false;
          take_over(simulation, store, *workflow);
        }
        (mine ? zombie : successor).ran("n" + std::to_string(i));
        return Bytes(std::to_string(node.token().value));
      };
      for (int i = 0; i < 3; ++i) {
        graph.node("n" + std::to_string(i),
                   i == 0 ? std::vector<std::string>{}
                          : std::vector<std::string>{"n" + std::to_string(i - 1)},
                   [&work, i](NodeContext& node) { return work(i, node); });
      }
      workflow = graph;
      if (in_steps) {
        workflow = Workflow(
            "w",
            [&](StepContext& run) -> Result<void> {
              for (int i = 0; i < 3; ++i) {
                auto done = run.step("n" + std::to_string(i),
                                     [&](NodeContext& node) { return work(i, node); });
                // A zombie that does not care gets nothing done all the same.
                if (!done && run.stop().stop_requested()) continue;
                if (!done) return std::unexpected(done.error());
              }
              return {};
            },
            options);
      }
      const auto run = workflow->run(store, "1");
      CHECK(error_of(run) == ErrorCode::fenced);
      // It did the node at hand and none after it, and nothing that it wrote later is there.
      CHECK(zombie.order().size() == static_cast<std::size_t>(wakes_in) + 1);
      CHECK(successor.order().size() == 3 - static_cast<std::size_t>(wakes_in));
      const WorkflowState state = state_of(store, *workflow, "1");
      CHECK(state.status == Status::completed);
      for (int i = 0; i < 3; ++i) {
        const NodeState node = node_of(state, "n" + std::to_string(i));
        CHECK((node.token == state.token) == (i >= wakes_in));
        CHECK(node.output == std::to_string(node.token.value));
      }
      CHECK(problems_of(store) == 0);
    }
  }
}

TEST_CASE("a zombie can neither end the run, nor give it back, nor put it in doubt") {
  const std::vector<std::function<Result<void>()>> ends{
      [] { return Result<void>(); },
      []() -> Result<void> { return std::unexpected(work_failed("c", "definite")); },
      []() -> Result<void> { return std::unexpected(work_retryable("later")); },
      []() -> Result<void> { return std::unexpected(work_unknown("perhaps")); }};
  for (const auto& end : ends) {
    const Simulation simulation;
    Store store = simulation.open();
    bool first = true;
    std::optional<Workflow> workflow;
    workflow.emplace(
        "w",
        [&](StepContext&) -> Result<void> {
          if (!first) return {};
          first = false;
          take_over(simulation, store, *workflow);
          return end();
        },
        WorkflowOptions{.heartbeat = false});
    CHECK(error_of(workflow->run(store, "1")) == ErrorCode::fenced);
    CHECK(state_of(store, *workflow, "1").status == Status::completed);
  }
}

TEST_CASE("with a heartbeat a run is not taken over, however long its nodes take") {
  const Simulation simulation;
  Store store = simulation.open();
  const Key key = Workflow::key("w", "1");
  Workflow workflow("w", {.lease = 3min});
  workflow.node("a", {}, [&] {
    for (int minute = 0; minute < 10; ++minute) {
      const Time before = value_of(store.find(key))->record.lease_until;
      simulation.clock->advance(1min);
      while (value_of(store.find(key))->record.lease_until == before) std::this_thread::yield();
      CHECK(error_of(workflow.run(store, "1", {.wait = 0ms})) == ErrorCode::busy);
    }
  });
  value_of(workflow.run(store, "1"));
}

TEST_CASE("the heartbeat tells a run that it has lost its lease, in the middle of a node") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow workflow("w", {.lease = 3min});
  bool told = false;
  workflow.node("a", {}, [&](NodeContext& node) {
    // Somebody decides that it is over.
    std::binary_semaphore stopped(0);
    const std::stop_callback wake(node.stop(), [&] { stopped.release(); });
    std::thread other([&] {
      const Key key = Workflow::key("w", "1");
      // As if the process had been stopped for longer than its lease: no beat gets through.
      const Reservation now{.key = key, .token = node.token()};
      value_of(store.complete(now, Outcome::success("other")));
      simulation.clock->advance(1min);
    });
    other.join();
    stopped.acquire();
    told = true;
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::fenced);
  CHECK(told);
  CHECK(value_of(workflow.run(store, "1")).value() == "other");
}
