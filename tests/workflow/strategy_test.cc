// When checkpoints are made, what they cost, and what their figures say.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "fixture.h"
#include "workflow/failures.h"

using namespace once;
using namespace once::testing;

namespace {

// A chain of nodes, each of which takes `step` of the clock.
Workflow chain(const Simulation& simulation, Book& book, int nodes, Duration step,
               const WorkflowOptions& options, int critical = -1) {
  Workflow workflow("chain", options);
  for (int i = 0; i < nodes; ++i) {
    const std::string name = "n" + std::to_string(i);
    workflow.node(
        name,
        i == 0 ? std::vector<std::string>{} : std::vector<std::string>{"n" + std::to_string(i - 1)},
        [&simulation, &book, name, step] {
          simulation.clock->advance(step);
          book.ran(name);
        },
        {.critical = i == critical});
  }
  return workflow;
}

// How many of the nodes before `last` are kept when the run dies before it has its effect.
int kept_before(const CheckpointStrategy& strategy, Duration step, int last, int critical = -1) {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  const Workflow workflow =
      chain(simulation, book, last + 1, step, {.strategy = strategy, .heartbeat = false}, critical);
  auto faults = std::make_shared<WorkflowFaults>();
  const std::string name = "n" + std::to_string(last);
  faults->die(name, NodeMoment::before_effect);
  CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
  const int kept = static_cast<int>(state_of(store, workflow, "1").completed().size());
  let_leases_lapse(simulation);
  value_of(workflow.run(store, "1"));
  // What is kept ran once, the rest twice, and the run got to its end.
  for (int i = 0; i < last; ++i) {
    CHECK(book.count("n" + std::to_string(i)) == (i < kept ? 1 : 2));
  }
  CHECK(book.count(name) == 1);
  CHECK(state_of(store, workflow, "1").completed().size() == static_cast<std::size_t>(last) + 1);
  return kept;
}

}  // namespace

TEST_CASE("after each node") {
  CHECK(kept_before(CheckpointStrategy::after_each(), 1ms, 6) == 6);
}

TEST_CASE("after critical nodes only, with everything before them") {
  CHECK(kept_before(CheckpointStrategy::critical_only(), 1s, 6) == 0);
  CHECK(kept_before(CheckpointStrategy::critical_only(), 1s, 6, 3) == 4);
  CHECK(kept_before(CheckpointStrategy::timed(1h), 1s, 6, 2) == 3);
}

TEST_CASE("by time: at the first end of a node when the interval has passed") {
  CHECK(kept_before(CheckpointStrategy::timed(10s), 4s, 2) == 0);
  CHECK(kept_before(CheckpointStrategy::timed(10s), 4s, 5) == 3);  // after 12 s
  CHECK(kept_before(CheckpointStrategy::timed(10s), 4s, 7) == 6);  // and after 24 s
  CHECK(kept_before(CheckpointStrategy::timed(0s), 1ms, 4) == 4);
}

TEST_CASE("after a node that failed, whatever the strategy, with everything before it") {
  for (const CheckpointStrategy& strategy :
       {CheckpointStrategy::critical_only(), CheckpointStrategy::timed(24h)}) {
    const Simulation simulation;
    Store store = simulation.open();
    Book book;
    bool works = false;
    Workflow workflow("w", {.strategy = strategy, .threads = 1, .heartbeat = false});
    workflow.node("good", {}, [&] { book.ran("good"); })
        .node("bad", {"good"},
              [&]() -> Result<void> {
                book.ran("bad");
                if (!works) return std::unexpected(work_retryable("the other side is down"));
                return {};
              })
        .node("later", {"good"}, [&] { book.ran("later"); });
    auto faults = std::make_shared<WorkflowFaults>();
    faults->die("later", NodeMoment::before_effect);
    CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
    REQUIRE(book.count("bad") == 1);  // it came before `later`, at which the run died
    const WorkflowState state = state_of(store, workflow, "1");
    CHECK(state.completed() == std::vector<std::string>{"good"});
    CHECK(node_of(state, "bad").status == NodeStatus::failed);
    CHECK(node_of(state, "bad").error->message == "the other side is down");

    works = true;
    let_leases_lapse(simulation);
    value_of(workflow.run(store, "1"));
    CHECK(book.count("good") == 1);
    CHECK(book.count("bad") == 2);
    CHECK(book.count("later") == 1);
  }
}

TEST_CASE("tries at which the process died are counted where they are noted as they begin") {
  for (const bool in_steps : {false, true}) {
    for (const CheckpointStrategy& strategy :
         {CheckpointStrategy::after_each(), CheckpointStrategy::critical_only()}) {
      const Simulation simulation;
      Store store = simulation.open();
      std::vector<std::uint32_t> attempts;
      const auto work = [&](NodeContext& node) -> Result<void> {
        attempts.push_back(node.attempt());
        if (attempts.size() < 4) return std::unexpected(work_retryable("later"));
        return {};
      };
      const WorkflowOptions options{.strategy = strategy, .heartbeat = false};
      Workflow graph("w", options);
      graph.node("a", {}, work, {.retry = {.attempts = 2, .initial = 0ms}});
      const Workflow steps(
          "w",
          [&](StepContext& run) {
            return run.step("a", work, {.retry = {.attempts = 2, .initial = 0ms}});
          },
          options);
      const Workflow& workflow = in_steps ? steps : graph;
      auto faults = std::make_shared<WorkflowFaults>();
      faults->die("a", NodeMoment::after_effect);
      CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
      let_leases_lapse(simulation);
      CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
      value_of(workflow.run(store, "1"));
      const bool counts_deaths = strategy.kind == CheckpointStrategy::Kind::after_each;
      CHECK(attempts == (counts_deaths ? std::vector<std::uint32_t>{1, 2, 3, 4}
                                       : std::vector<std::uint32_t>{1, 1, 2, 3}));
      CHECK(node_of(state_of(store, workflow, "1"), "a").attempts == attempts.back());
    }
  }
}

TEST_CASE("Young's formula, checked against figures worked out by hand") {
  // sqrt(2 * 50 ms * 3,600,000 ms) = sqrt(360,000,000) ms
  CHECK(young_daly_interval(std::chrono::milliseconds(50), std::chrono::hours(1)) == 18974ms);
  // sqrt(2 * 2 s * 8 s) * 1000 ... with 4.5 ms and 1 s: sqrt(2 * 4.5 * 1000) = 94.87
  CHECK(young_daly_interval(std::chrono::microseconds(4500), 1s) == 95ms);
  CHECK(young_daly_interval(std::chrono::microseconds(0), std::chrono::hours(1)) == 0ms);
  CHECK(young_daly_interval(std::chrono::seconds(5), Duration(0)) == 0ms);
}

TEST_CASE("the mean time between failures counts the one assumed as seen") {
  workflow::Failures failures;
  CHECK(failures.mtbf(1h) == 1h);
  const Token one{1};
  failures.seen("a", one, 3h, 1);
  CHECK(failures.mtbf(1h) == 2h);
  failures.seen("a", one, 3h, 1);  // told again: nothing new
  CHECK(failures.mtbf(1h) == 2h);
  failures.seen("b", one, 0h, 2);
  CHECK(failures.mtbf(1h) == 1h);
  failures.forget("a");  // it counts all the same
  CHECK(failures.mtbf(1h) == 1h);
  // As long as can be said, and no longer.
  CHECK(failures.mtbf(forever) == forever / 4);
  workflow::Failures none;
  none.seen("a", one, 3h, 0);
  CHECK(none.mtbf(forever) == forever);
  none.seen("b", one, forever, 0);
  CHECK(none.mtbf(1h) == forever);
}

TEST_CASE("adaptive, when no failure is ever expected") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  const Workflow workflow =
      chain(simulation, book, 4, 1min, {.strategy = CheckpointStrategy::adaptive(forever)});
  value_of(workflow.run(store, "1"));
  const CheckpointFigures figures = state_of(store, workflow, "1").figures;
  CHECK(figures.mtbf == forever);
  CHECK(figures.interval > 0ms);
  CHECK(figures.interval == young_daly_interval(figures.cost, forever));
}

TEST_CASE("adaptive: the interval follows from the cost measured and the failures seen") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  const WorkflowOptions options{.strategy = CheckpointStrategy::adaptive(2h), .heartbeat = false};
  const Workflow workflow = chain(simulation, book, 4, 1min, options);
  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("n2", NodeMoment::before_effect);
  CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
  const CheckpointFigures before = state_of(store, workflow, "1").figures;
  CHECK(before.strategy == CheckpointStrategy::Kind::adaptive);
  CHECK(before.failures == 0);
  CHECK(before.mtbf >= 2h);
  let_leases_lapse(simulation);
  value_of(workflow.run(store, "1"));
  const CheckpointFigures after = state_of(store, workflow, "1").figures;
  CHECK(after.failures == 1);
  CHECK(after.checkpoints > before.checkpoints);
  CHECK(after.cost.count() > 0);
  CHECK(after.mtbf < before.mtbf);
  CHECK(after.mtbf >= 1h);
  CHECK(after.mtbf < 1h + 30min);
  CHECK(after.interval == young_daly_interval(after.cost, after.mtbf));
  CHECK(after.running >= 2min);
}

TEST_CASE("adaptive: short nodes share a checkpoint, long ones get one each") {
  // The real cost is some microseconds to milliseconds, so that the interval is less than a minute
  // by far, and more than nothing.
  CHECK(kept_before(CheckpointStrategy::adaptive(std::chrono::hours(1)), 10min, 4) == 4);
  CHECK(kept_before(CheckpointStrategy::adaptive(std::chrono::hours(24 * 365 * 100)), 1ms, 4) < 4);
}

TEST_CASE("a checkpoint costs what changed: the last of 1,000 nodes what the first did") {
  TemporaryDirectory directory;
  Store store = value_of(Store::open(directory.path() + "/s.once"));
  constexpr int nodes = 1000;
  // The bytes of all checkpoint rows that were written while a node finished: those with a new
  // sequence.
  std::uint64_t seen = 0;
  std::vector<std::uint64_t> bytes;
  std::vector<std::uint64_t> rows;
  std::vector<std::chrono::steady_clock::time_point> times;
  const Key key = Workflow::key("w", "1");
  const auto look = [&] {
    std::uint64_t newest = seen;
    std::uint64_t more = 0;
    std::uint64_t count = 0;
    for (const Checkpoint& row : value_of(store.load_checkpoints(key))) {
      if (row.sequence <= seen) continue;
      newest = std::max(newest, row.sequence);
      more += row.name.size() + row.data.size();
      ++count;
    }
    seen = newest;
    bytes.push_back(more);
    rows.push_back(count);
  };
  Workflow workflow("w", {.threads = 1, .durability = Durability::buffered});
  for (int i = 0; i < nodes; ++i) {
    char name[8];
    std::snprintf(name, sizeof name, "n%04d", i);
    // Looks at the first and last nodes only, since looking reads everything.
    workflow.node(name, {}, [&, i] {
      if (i < 11 || i >= nodes - 10) look();
      times.push_back(std::chrono::steady_clock::now());
      return Bytes(100, 'x');
    });
    // What the looks in between did not see is taken away by the one at nodes - 10.
  }
  value_of(workflow.run(store, "1"));
  REQUIRE(bytes.size() == 21);
  // [0] saw the begin; [1..10] one node each; [11] everything up to then; [12..20] one node each.
  const std::uint64_t first = bytes[2];
  for (std::size_t i = 12; i < bytes.size(); ++i) {
    CHECK(bytes[i] <= first + 8);
    CHECK(rows[i] == rows[2]);
  }
  CHECK(rows[2] == 3);  // the node, the next one's beginning, and progress
  // Time: the second half of the nodes in between takes no more than twice the first half's.
  const auto early = times[490] - times[20];
  const auto late = times[980] - times[510];
  CHECK(late < 2 * early + std::chrono::milliseconds(20));
}
