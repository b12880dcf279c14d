// Death at every moment of every node, one after the other and again and again: a node whose
// checkpoint was acknowledged never has its effect a second time, and every run gets to its end.
#include <random>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr NodeMoment moments[] = {NodeMoment::before_effect, NodeMoment::after_effect,
                                  NodeMoment::before_checkpoint, NodeMoment::after_checkpoint};

const std::vector<std::string> names{"a", "b", "c", "d", "e"};

// a -> b, c -> d -> e, with the effects in the book.
Workflow graph(Book& book, const WorkflowOptions& options) {
  Workflow workflow("w", options);
  const auto effect = [&book](NodeContext& node) {
    CHECK(node.run_input() == "in");
    book.ran(node.name());
    node.set("last", node.name());
    return Bytes("of " + node.name());
  };
  workflow.node("a", {}, effect)
      .node("b", {"a"}, effect)
      .node("c", {"a"}, effect, {.critical = true})
      .node("d", {"b", "c"},
            [effect](NodeContext& node) {
              CHECK(value_of(node.input<Bytes>("b")) == "of b");
              CHECK(value_of(node.input<Bytes>("c")) == "of c");
              return effect(node);
            })
      .node("e", {"d"}, effect);
  return workflow;
}

Workflow steps(Book& book, const WorkflowOptions& options) {
  return Workflow(
      "w",
      [&book](StepContext& run) -> Result<Bytes> {
        Bytes last;
        for (const std::string& name : names) {
          auto done = run.step(name,
                               [&](NodeContext& node) {
                                 CHECK(node.run_input() == "in");
                                 book.ran(node.name());
                                 node.set("last", node.name());
                                 return Bytes("of " + node.name());
                               },
                               {.critical = name == "c"});
          if (!done) return std::unexpected(done.error());
          CHECK(*done == "of " + name);
          CHECK(value_of(run.get<Bytes>("last")) == name);
          last = *done;
        }
        return last;
      },
      options);
}

// What is on disk after a death: effects of what is done must not come again.
struct Kept {
  std::map<std::string, int> effects{};  // of nodes whose checkpoint is there
};

void check_kept(Store& store, const Workflow& workflow, const Book& book, Kept& kept) {
  const auto state = value_of(workflow.state_of(store, "1"));
  if (!state) return;
  for (const auto& [name, count] : kept.effects) CHECK(book.count(name) == count);
  for (const std::string& name : state->completed()) kept.effects[name] = book.count(name);
}

WorkflowOptions options_of(CheckpointStrategy strategy) {
  return {.strategy = strategy, .threads = 2, .heartbeat = false};
}

}  // namespace

TEST_CASE("death at each moment of each node, for each form and strategy") {
  const CheckpointStrategy strategies[] = {
      CheckpointStrategy::after_each(), CheckpointStrategy::critical_only(),
      CheckpointStrategy::timed(0ms), CheckpointStrategy::timed(1h),
      CheckpointStrategy::adaptive(1h)};
  int deaths = 0;
  for (const CheckpointStrategy& strategy : strategies) {
    for (const bool in_steps : {false, true}) {
      for (const std::string& node : names) {
        for (const NodeMoment moment : moments) {
          const std::string_view at = to_string(moment);
          const std::string_view kind = to_string(strategy.kind);
          CAPTURE(kind);
          CAPTURE(in_steps);
          CAPTURE(node);
          CAPTURE(at);
          const Simulation simulation;
          Store store = simulation.open();
          Book book;
          const Workflow workflow =
              in_steps ? steps(book, options_of(strategy)) : graph(book, options_of(strategy));
          auto faults = std::make_shared<WorkflowFaults>();
          faults->die(node, moment);
          Kept kept;
          const auto died = workflow.run(store, "1", {.input = "in", .faults = faults});
          if (!died) {
            ++deaths;
            CHECK(error_of(died) == ErrorCode::unknown);
            CHECK(faults->struck() == 1);
            check_kept(store, workflow, book, kept);
            const bool acknowledged = moment == NodeMoment::after_checkpoint;
            // A node of a graph beside it may have taken its row along.
            const bool may_be_kept = moment == NodeMoment::before_checkpoint && !in_steps;
            if (!may_be_kept) CHECK(kept.effects.contains(node) == acknowledged);
            let_leases_lapse(simulation);
          }
          CHECK(value_of(workflow.run(store, "1")).value() == "of e");
          check_kept(store, workflow, book, kept);
          const WorkflowState state = state_of(store, workflow, "1");
          CHECK(state.completed() == names);
          CHECK(state.variables.at("last") == "e");
          CHECK(problems_of(store) == 0);
        }
      }
    }
  }
  // All of them with the strategies that make a checkpoint after each node.
  CHECK(deaths >= 2 * 2 * 5 * 4);
}

TEST_CASE("death again and again, at random moments, in a file that is opened anew each time") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    TemporaryDirectory directory;
    const std::string path = directory.path() + "/s.once";
    std::mt19937_64 random(seed);
    const bool in_steps = seed % 2 == 0;
    const CheckpointStrategy strategy =
        seed % 3 == 0 ? CheckpointStrategy::critical_only() : CheckpointStrategy::after_each();
    const Simulation simulation;
    Book book;
    const Workflow workflow =
        in_steps ? steps(book, options_of(strategy)) : graph(book, options_of(strategy));
    Kept kept;
    bool finished = false;
    for (std::uint32_t life = 0; life < 40 && !finished; ++life) {
      Store store = as_process(simulation, 1000 + life).open(path);
      auto faults = std::make_shared<WorkflowFaults>();
      if (life < 39) faults->die(names[random() % names.size()], moments[random() % 4]);
      const auto run = workflow.run(store, "1", {.input = "in", .wait = 0ms, .faults = faults});
      finished = run.has_value();
      check_kept(store, workflow, book, kept);
      let_leases_lapse(simulation);
    }
    CHECK(finished);
    Store store = simulation.open(path);
    CHECK(state_of(store, workflow, "1").completed() == names);
    CHECK(problems_of(store) == 0);
  }
}

TEST_CASE("an injected error is as the node's own, before and after its effect") {
  for (const bool in_steps : {false, true}) {
    for (const std::string& node : names) {
      for (const NodeMoment moment : {NodeMoment::before_effect, NodeMoment::after_effect}) {
        const Simulation simulation;
        Store store = simulation.open();
        Book book;
        const WorkflowOptions options = options_of(CheckpointStrategy::after_each());
        const Workflow workflow = in_steps ? steps(book, options) : graph(book, options);
        auto faults = std::make_shared<WorkflowFaults>();
        faults->fail(node, moment, work_retryable("injected"), 2);
        CHECK(error_of(workflow.run(store, "1", {.input = "in", .faults = faults})) ==
              ErrorCode::work_retryable);
        CHECK(error_of(workflow.run(store, "1", {.input = "in", .faults = faults})) ==
              ErrorCode::work_retryable);
        CHECK(faults->struck() == 2);
        CHECK(value_of(workflow.run(store, "1", {.input = "in", .faults = faults})).value() ==
              "of e");
        for (const std::string& name : names) {
          const bool repeated = name == node && moment == NodeMoment::after_effect;
          CHECK(book.count(name) == (repeated ? 3 : 1));
        }
      }
    }
  }
}

TEST_CASE("an error at the checkpoint ends the run and gives it back; what is on disk counts") {
  const Simulation simulation;
  Store store = simulation.open();
  for (const NodeMoment moment : {NodeMoment::before_checkpoint, NodeMoment::after_checkpoint}) {
    Book book;
    const std::string id(to_string(moment));
    const Workflow workflow = graph(book, options_of(CheckpointStrategy::after_each()));
    auto faults = std::make_shared<WorkflowFaults>();
    faults->fail("a", moment, {.code = ErrorCode::io, .message = "the disk is away"});
    CHECK(error_of(workflow.run(store, id, {.input = "in", .faults = faults})) == ErrorCode::io);
    CHECK(state_of(store, workflow, id).status == Status::released);
    value_of(workflow.run(store, id));
    CHECK(book.count("a") == 1);  // kept, at the latest when the run was given back
  }
}
