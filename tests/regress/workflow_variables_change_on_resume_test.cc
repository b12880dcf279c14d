// What a function in steps set before a step that was done already went into the row of a later
// step when the run was gone on with, and so undid what steps in between had set.
#include <doctest/doctest.h>

#include <thread>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

const std::vector<std::string> steps{"a", "bad", "b", "count", "c"};

// Sets variables between steps, within steps, before a timer and before a failure that it goes on
// from; notes what it reads at every place.
Workflow program(Book& book, std::vector<std::string>& seen, const WorkflowOptions& options) {
  return Workflow(
      "w",
      [&book, &seen](StepContext& run) -> Result<Bytes> {
        seen.clear();
        const auto look = [&] {
          std::string values;
          for (const char* name : {"n", "m", "k", "t", "f"}) {
            values += value_of(run.get<Bytes>(name)).value_or("-") + " ";
          }
          seen.push_back(values);
        };
        const auto step = [&](const std::string& name, const std::string& variable,
                              const std::string& value) {
          return run.step(name, [&](NodeContext& node) {
            book.ran(name);
            node.set(variable, value);
          });
        };
        run.set("n", "1");
        run.set("k", "1");
        if (auto done = step("a", "n", "2"); !done) return std::unexpected(done.error());
        look();
        run.set("f", "before the failure");
        auto bad = run.step("bad", [](NodeContext& node) -> Result<void> {
          node.set("n", "not to be seen");
          return std::unexpected(work_failed("no", "no"));
        });
        if (error_of(bad) != ErrorCode::work_failed) return std::unexpected(bad.error());
        look();
        run.set("t", "before the timer");
        if (auto slept = run.sleep("first", 1h); !slept) return std::unexpected(slept.error());
        look();
        run.set("m", "1");
        if (auto done = step("b", "m", "2"); !done) return std::unexpected(done.error());
        look();
        run.set("k", "2");
        auto counted = run.transact("count", [](Transaction& tx, NodeContext& node) {
          node.set("k", "3");
          return tx.put("count", "1");
        });
        if (!counted) return std::unexpected(counted.error());
        look();
        if (auto slept = run.sleep("second", 1h); !slept) return std::unexpected(slept.error());
        run.set("m", "3");
        if (auto done = step("c", "t", "4"); !done) return std::unexpected(done.error());
        look();
        run.set("n", "5");
        return Bytes("end");
      },
      options);
}

struct End {
  WorkflowVariables variables{};
  std::vector<std::string> seen{};

  friend bool operator==(const End&, const End&) = default;
};

// Runs to the end, put to sleep by its timers (or waiting for them), and dying where `faults` says.
End run_to_end(const WorkflowOptions& options, const std::shared_ptr<WorkflowFaults>& faults,
               Duration wait_for_timers, int* deaths = nullptr) {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  End end;
  const Workflow workflow = program(book, end.seen, options);
  std::jthread time;
  if (wait_for_timers > 0ms) {
    time = std::jthread([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        simulation.clock->advance(1min);
        std::this_thread::yield();
      }
    });
  }
  bool finished = false;
  for (int life = 0; life < 10 && !finished; ++life) {
    const auto run =
        workflow.run(store, "1", {.wait_for_timers = wait_for_timers, .faults = faults});
    if (!run && deaths != nullptr) ++*deaths;
    finished = run && run->finished();
    if (!finished) simulation.clock->advance(1h);
  }
  CHECK(finished);
  end.variables = state_of(store, workflow, "1").variables;
  return end;
}

}  // namespace

TEST_CASE("variables are the same wherever a run is broken off and gone on with") {
  for (const CheckpointStrategy& strategy :
       {CheckpointStrategy::after_each(), CheckpointStrategy::critical_only()}) {
    const std::string_view kind = to_string(strategy.kind);
    CAPTURE(kind);
    const WorkflowOptions options{.strategy = strategy, .heartbeat = false};
    const auto none = std::make_shared<WorkflowFaults>();
    const End whole = run_to_end(options, none, 3h);
    CHECK(whole.variables ==
          WorkflowVariables{
              {"n", "5"}, {"m", "3"}, {"k", "3"}, {"t", "4"}, {"f", "before the failure"}});
    CHECK(whole.seen.size() == 6);
    CHECK(run_to_end(options, none, 0ms) == whole);
    int deaths = 0;
    for (const std::string& step : steps) {
      for (const NodeMoment moment :
           {NodeMoment::before_effect, NodeMoment::after_effect, NodeMoment::before_checkpoint,
            NodeMoment::after_checkpoint}) {
        const std::string_view at = to_string(moment);
        CAPTURE(step);
        CAPTURE(at);
        auto faults = std::make_shared<WorkflowFaults>();
        faults->die(step, moment);
        CHECK(run_to_end(options, faults, 0ms, &deaths) == whole);
      }
    }
    CHECK(deaths >= 10);
  }
}

TEST_CASE("who looks at a run in between is shown its variables as they stand") {
  const Simulation simulation;
  Store store = simulation.open();
  std::optional<Workflow> workflow;
  WorkflowVariables shown;
  workflow.emplace("w", [&](StepContext& run) -> Result<void> {
    const auto look = [&] { shown = state_of(store, *workflow, "1").variables; };
    using Variables = WorkflowVariables;
    run.set("n", "1");
    auto counted = run.transact("count", [](Transaction& tx, NodeContext& node) {
      node.set("n", "2");
      return tx.put("count", "1");
    });
    if (!counted) return counted;
    look();
    CHECK(shown == Variables{{"n", "2"}});
    run.set("m", "before the failure");
    (void)run.step("bad",
                   []() -> Result<void> { return std::unexpected(work_failed("no", "no")); });
    look();
    CHECK(shown == Variables{{"n", "2"}, {"m", "before the failure"}});
    run.set("m", "before the timer");
    return run.sleep("pause", 1h);
  });
  CHECK(value_of(workflow->run(store, "1")).sleeping_until());
  CHECK(state_of(store, *workflow, "1").variables.at("m") == "before the timer");
}
