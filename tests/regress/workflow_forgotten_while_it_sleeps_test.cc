// A run that slept, or was stopped, expired when its retention was over, and its acknowledged steps
// were done a second time.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr Duration month = std::chrono::hours(24 * 30);

Workflow in_steps(Book& book, const WorkflowOptions& options) {
  return Workflow(
      "w",
      [&book](StepContext& run) -> Result<void> {
        if (auto done = run.step("charge", [&] { book.ran("charge"); }); !done) return done;
        if (auto slept = run.sleep("pause", 1h); !slept) return slept;
        return run.step("ship", [&] { book.ran("ship"); });
      },
      options);
}

Workflow as_graph(Book& book, const WorkflowOptions& options) {
  Workflow workflow("w", options);
  workflow.node("charge", {}, [&] { book.ran("charge"); })
      .sleep("pause", {"charge"}, 1h)
      .node("ship", {"pause"}, [&] { book.ran("ship"); });
  return workflow;
}

// Nothing is left at work; long after every retention what was done still counts.
void check_goes_on(const Simulation& simulation, Store& store, const Workflow& workflow,
                   const Book& book) {
  simulation.clock->advance(month);
  value_of(store.sweep());
  value_of(Workflow::resume_all(store, {workflow}));
  CHECK(value_of(workflow.run(store, "1")).replayed());
  CHECK(book.count("charge") == 1);
  CHECK(book.count("ship") == 1);
  CHECK(problems_of(store) == 0);
}

}  // namespace

TEST_CASE("a run that sleeps never expires, however late somebody looks") {
  for (const bool steps : {false, true}) {
    CAPTURE(steps);
    const Simulation simulation;
    Store store = simulation.open();
    Book book;
    const WorkflowOptions options{.retention = 1min};
    const Workflow workflow = steps ? in_steps(book, options) : as_graph(book, options);
    CHECK(!value_of(workflow.run(store, "1")).finished());
    check_goes_on(simulation, store, workflow, book);
  }
}

TEST_CASE("a run that was stopped while it waited for a timer still waits for it, and for good") {
  for (const bool steps : {false, true}) {
    CAPTURE(steps);
    const Simulation simulation;
    Store store = simulation.open();
    Book book;
    const WorkflowOptions options{.threads = 1, .retention = 1min};
    const Workflow workflow = steps ? in_steps(book, options) : as_graph(book, options);
    std::stop_source stop;
    std::thread stopper([&] {
      const auto waits = [&] {
        const auto state = value_of(workflow.state_of(store, "1"));
        if (!state) return false;
        const auto pause = std::ranges::find(state->nodes, "pause", &NodeState::name);
        return pause != state->nodes.end() && pause->status == NodeStatus::sleeping;
      };
      while (!waits()) std::this_thread::yield();
      stop.request_stop();
    });
    const Time due = simulation.clock->wall() + 1h;
    CHECK(error_of(workflow.run(store, "1", {.stop = stop.get_token(), .wait_for_timers = 2h})) ==
          ErrorCode::cancelled);
    stopper.join();
    CHECK(state_of(store, workflow, "1").sleeping_until == due);
    check_goes_on(simulation, store, workflow, book);
  }
}

TEST_CASE("a run that was stopped between two steps goes on however late") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  std::stop_source stop;
  const Workflow workflow("w",
                          [&](StepContext& run) -> Result<void> {
                            auto done = run.step("charge", [&] {
                              book.ran("charge");
                              stop.request_stop();
                            });
                            if (!done) return done;
                            return run.step("ship", [&] { book.ran("ship"); });
                          },
                          {.retention = 1min});
  CHECK(error_of(workflow.run(store, "1", {.stop = stop.get_token()})) == ErrorCode::cancelled);
  CHECK(!state_of(store, workflow, "1").sleeping_until);
  check_goes_on(simulation, store, workflow, book);
}

TEST_CASE("a retention of nothing, which would forget a run as it is given back, is refused") {
  Workflow workflow("w", {.retention = 0ms});
  workflow.node("a", {}, [] {});
  CHECK(error_of(workflow.validate()) == ErrorCode::invalid_argument);
}
