// What a run is begun with and what its function sets were kept however large they were; and a
// transaction behind too large a variable was refused each time, after its work had run, so that
// the run never came to an end.
#include <doctest/doctest.h>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr std::size_t limit = 2000;

Store open_small(const Simulation& simulation) {
  Options options = simulation.options();
  options.max_outcome_bytes = limit;
  return value_of(Store::open("memory:", options));
}

// What is kept of the run, in its largest piece.
std::size_t largest_row(Store& store) {
  std::size_t largest = 0;
  for (const Checkpoint& row : value_of(store.load_checkpoints(Workflow::key("w", "1")))) {
    largest = std::max(largest, row.data.size());
  }
  return largest;
}

}  // namespace

TEST_CASE("a run with too large an input is refused before anything is kept") {
  const Simulation simulation;
  Store store = open_small(simulation);
  int ran = 0;
  Workflow graph("w");
  graph.node("a", {}, [&] { ++ran; });
  const Workflow steps("w", [&](StepContext& run) { return run.step("a", [&] { ++ran; }); });
  for (const Workflow& workflow : {graph, steps}) {
    const auto refused = workflow.run(store, "1", {.input = Bytes(limit, 'x')});
    REQUIRE(error_of(refused) == ErrorCode::limit_exceeded);
    CHECK(refused.error().message.find("Options::max_outcome_bytes") != std::string::npos);
    CHECK(refused.error().message.find("RunOptions::input") != std::string::npos);
    CHECK(!value_of(workflow.state_of(store, "1")));
    CHECK(ran == 0);
  }
  value_of(graph.run(store, "1", {.input = Bytes(limit / 2, 'x')}));
  CHECK(ran == 1);
}

TEST_CASE("too large a variable fails the run for good, before the next step runs") {
  for (const char* next : {"step", "transact", "sleep", "end"}) {
    for (const bool handled : {false, true}) {
      CAPTURE(next);
      CAPTURE(handled);
      const Simulation simulation;
      Store store = open_small(simulation);
      int ran = 0;
      const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
        if (auto done = run.step("a", [&] { ++ran; }); !done) return done;
        run.set("v", Bytes(limit, 'x'));
        Result<void> done;
        if (next == std::string("step")) done = run.step("b", [&] { ++ran; });
        if (next == std::string("sleep")) done = run.sleep("b", 1h);
        if (next == std::string("transact")) {
          done = run.transact("b", [&](Transaction&) { ++ran; });
        }
        if (handled) return {};
        return done;
      });
      for (int life = 0; life < 2; ++life) {
        const auto failed = workflow.run(store, "1");
        REQUIRE(error_of(failed) == ErrorCode::work_failed);
        CHECK(failed.error().failure_code == "variables_too_large");
        CHECK(failed.error().message.find("Options::max_outcome_bytes") != std::string::npos);
      }
      CHECK(ran == 1);
      CHECK(largest_row(store) <= limit);
      CHECK(problems_of(store) == 0);
    }
  }
}

TEST_CASE("variables and an output that are too large together fail the step for good") {
  for (const bool in_transaction : {false, true}) {
    CAPTURE(in_transaction);
    const Simulation simulation;
    Store store = open_small(simulation);
    int ran = 0;
    const Workflow workflow("w", [&](StepContext& run) -> Result<Bytes> {
      run.set("v", Bytes(limit * 3 / 4, 'x'));
      const auto work = [&] {
        ++ran;
        return Bytes(limit / 2, 'y');
      };
      if (!in_transaction) return run.step("a", work);
      return run.transact("a", [&](Transaction&) { return work(); });
    });
    for (int life = 0; life < 2; ++life) {
      const auto failed = workflow.run(store, "1");
      REQUIRE(error_of(failed) == ErrorCode::work_failed);
      CHECK(failed.error().failure_code == "output_too_large");
    }
    CHECK(ran == 1);
    CHECK(largest_row(store) <= limit);
  }
}

TEST_CASE("a variable that is set again and again counts once") {
  const Simulation simulation;
  Store store = open_small(simulation);
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    for (int i = 0; i < 100; ++i) run.set("v", Bytes(limit / 4, static_cast<char>('a' + i % 7)));
    run.set("last", 1);
    return run.step("a", [] {});
  });
  value_of(workflow.run(store, "1"));
  const WorkflowState state = state_of(store, workflow, "1");
  CHECK(state.variables.at("v") == Bytes(limit / 4, 'b'));
  CHECK(largest_row(store) < limit / 2);
}

TEST_CASE("a run that is stopped behind too large a variable keeps what is done") {
  const Simulation simulation;
  Store store = open_small(simulation);
  std::stop_source stop;
  int ran = 0;
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    if (auto done = run.step("a", [&] { ++ran; }); !done) return done;
    run.set("v", Bytes(limit, 'x'));
    stop.request_stop();
    return run.step("b", [&] { ++ran; });
  });
  CHECK(error_of(workflow.run(store, "1", {.stop = stop.get_token()})) == ErrorCode::cancelled);
  CHECK(state_of(store, workflow, "1").completed() == std::vector<std::string>{"a"});
  CHECK(largest_row(store) <= limit);
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_failed);
  CHECK(ran == 1);
}

TEST_CASE("the code of a failure is kept as far as codes go") {
  const Simulation simulation;
  Store store = open_small(simulation);
  for (const bool in_steps : {false, true}) {
    const auto work = []() -> Result<void> {
      return std::unexpected(work_failed(std::string(limit * 10, 'c'), "no"));
    };
    Workflow graph("w");
    graph.node("a", {}, work);
    const Workflow steps("w", [&](StepContext& run) { return run.step("a", work); });
    const Workflow& workflow = in_steps ? steps : graph;
    CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_failed);
    CHECK(largest_row(store) < limit);
    value_of(store.remove(Workflow::key("w", "1")));
  }
}
