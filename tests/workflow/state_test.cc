// Looking at runs without their definition.
#include "base/utf8.h"
#include "fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE(
    "a checkpoint tells the run, what is done, what came of it, and its own number and time") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow workflow("order", {.version = "3", .threads = 1});
  workflow
      .node("a", {},
            [](NodeContext& node) {
              node.set("v", "x");
              return Bytes("out");
            },
            {.critical = true})
      .node("b", {"a"}, []() -> Result<void> { return std::unexpected(work_retryable("down")); })
      .node("c", {"a", "b"}, [] {});
  const Time start = simulation.clock->wall();
  CHECK(error_of(workflow.run(store, "9", {.tenant = "t", .input = "in"})) ==
        ErrorCode::work_retryable);
  const Key key("t", "workflow:order", "9");
  CHECK(Workflow::key("order", "9", "t") == key);
  const WorkflowState state = *value_of(Workflow::inspect(store, key));
  CHECK(state.key == key);
  CHECK(state.workflow == "order");
  CHECK(state.id == "9");
  CHECK(state.status == Status::released);
  CHECK(!state.abandoned);
  CHECK(!state.sleeping_until);
  CHECK(state.form == WorkflowForm::graph);
  CHECK(state.version == "3");
  CHECK(state.definition == workflow.definition());
  CHECK(state.input == "in");
  CHECK(state.attempt == 1);
  CHECK(state.created_at == start);
  CHECK(state.completed() == std::vector<std::string>{"a"});
  CHECK(state.variables == WorkflowVariables{{"v", "x"}});
  CHECK(state.outcome == std::nullopt);
  REQUIRE(state.nodes.size() == 3);
  CHECK(state.nodes[0].name == "a");
  CHECK(state.nodes[0].critical);
  CHECK(state.nodes[0].output == "out");
  CHECK(state.nodes[0].attempts == 1);
  CHECK(state.nodes[0].token == state.token);
  CHECK(state.nodes[1].status == NodeStatus::failed);
  CHECK(state.nodes[2].after == std::vector<std::string>{"a", "b"});
  CHECK(state.nodes[2].status == NodeStatus::pending);
  CHECK(state.figures.checkpoints > 0);

  // The checkpoint's number is that of the newest row, and grows.
  std::uint64_t newest = 0;
  for (const Checkpoint& row : value_of(store.load_checkpoints(key))) {
    newest = std::max(newest, row.sequence);
  }
  CHECK(state.checkpoint_id == newest);
  CHECK(state.checkpoint_at == start);
  simulation.clock->advance(1s);
  CHECK(error_of(workflow.run(store, "9", {.tenant = "t"})) == ErrorCode::work_retryable);
  const WorkflowState later = *value_of(Workflow::inspect(store, key));
  CHECK(later.checkpoint_id > state.checkpoint_id);
  CHECK(later.checkpoint_at == start + 1s);
  CHECK(later.input == "in");
}

TEST_CASE("a node that is at work shows as running, from elsewhere too") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/s.once";
  Store store = value_of(Store::open(path));
  Workflow workflow("w", {.threads = 1});
  workflow.node("a", {}, [] {}).node("b", {"a"}, [&] {
    Store reader = value_of(Store::open(path, {.read_only = true}));
    const WorkflowState state = *value_of(Workflow::inspect(reader, Workflow::key("w", "1")));
    CHECK(state.status == Status::in_progress);
    CHECK(!state.abandoned);
    CHECK(node_of(state, "a").status == NodeStatus::done);
    CHECK(node_of(state, "b").status == NodeStatus::running);
  });
  value_of(workflow.run(store, "1"));
}

TEST_CASE("runs are listed by tenant, name and status, and other keys are not") {
  const Simulation simulation;
  Store store = simulation.open();
  bool works = true;
  const auto make = [&](const std::string& name) {
    Workflow workflow(name);
    workflow.node("a", {}, [&]() -> Result<void> {
      if (!works) return std::unexpected(work_retryable("later"));
      return {};
    });
    return workflow;
  };
  const Workflow one = make("one");
  const Workflow two = make("two");
  value_of(one.run(store, "1"));
  value_of(one.run(store, "2", {.tenant = "t"}));
  value_of(two.run(store, "3", {.tenant = "t"}));
  works = false;
  CHECK(error_of(two.run(store, "4")) == ErrorCode::work_retryable);
  value_of(store.execute(Key("t", "charge", "1"), [] {}));
  value_of(store.execute("workflow:one", [] {}));
  const auto list = [&](const WorkflowListOptions& options) {
    std::vector<std::string> ids;
    value_of(Workflow::list(store, options, [&](const WorkflowState& state) {
      ids.push_back(state.id);
      CHECK(state.nodes.size() == 1);
      return true;
    }));
    return ids;
  };
  using Ids = std::vector<std::string>;
  CHECK(list({}) == Ids{"1", "4", "2", "3"});
  CHECK(list({.tenant = "t"}) == Ids{"2", "3"});
  CHECK(list({.tenant = ""}) == Ids{"1", "4"});
  CHECK(list({.workflow = "two"}) == Ids{"4", "3"});
  CHECK(list({.tenant = "t", .workflow = "one"}) == Ids{"2"});
  CHECK(list({.status = Status::released}) == Ids{"4"});
  int seen = 0;
  value_of(Workflow::list(store, {}, [&](const WorkflowState&) { return ++seen < 2; }));
  CHECK(seen == 2);
}

TEST_CASE("what is no run is told apart from one that is not there") {
  const Simulation simulation;
  Store store = simulation.open();
  CHECK(error_of(Workflow::inspect(store, "plain")) == ErrorCode::invalid_argument);
  CHECK(!value_of(Workflow::inspect(store, Workflow::key("w", "none"))));
  // Reserved under such a key by hand: a run that has made no checkpoint.
  (void)reserved(store.reserve(Workflow::key("w", "bare")));
  const WorkflowState bare = *value_of(Workflow::inspect(store, Workflow::key("w", "bare")));
  CHECK(bare.checkpoint_id == 0);
  CHECK(bare.nodes.empty());
}

TEST_CASE("checkpoints of a run that are damaged are told of, and nothing runs") {
  const Simulation simulation;
  Store store = simulation.open();
  const Key key = Workflow::key("w", "1");
  int ran = 0;
  Workflow workflow("w");
  workflow.node("a", {}, [&] { ++ran; });
  for (const char* name : {"run", "node/a", "progress"}) {
    const Reservation mine = reserved(store.reserve(key, {.on_abandon = OnAbandon::rerun}));
    value_of(store.save_checkpoint(mine, name, "nonsense"));
    value_of(store.release(mine));
    CHECK(error_of(workflow.run(store, "1")) == ErrorCode::newer_format);
    CHECK(error_of(Workflow::inspect(store, key)) == ErrorCode::newer_format);
    value_of(store.remove(key));
  }
  const Reservation mine = reserved(store.reserve(key));
  value_of(store.save_checkpoint(mine, "node/a", std::string("\x01", 1)));
  value_of(store.release(mine));
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::damaged);
  CHECK(ran == 0);
}

TEST_CASE("what a failure says is cut between characters, wherever it is kept") {
  const Simulation simulation;
  Store store = simulation.open();
  // Of two bytes each, and cut in the middle of one at every even place.
  std::string message = "x";
  for (int i = 0; i < 40000; ++i) message += "\xc3\xa9";
  for (const bool in_steps : {false, true}) {
    for (const bool definite : {false, true}) {
      CAPTURE(in_steps);
      CAPTURE(definite);
      const auto work = [&]() -> Result<void> {
        return std::unexpected(definite ? work_failed("code", message) : work_retryable(message));
      };
      const std::string id = std::to_string(static_cast<int>(in_steps)) + (definite ? "d" : "r");
      Workflow workflow("w");
      if (in_steps) {
        workflow = Workflow("w", [&](StepContext& run) { return run.step("n", work); });
      } else {
        workflow.node("n", {}, work);
      }
      CHECK(!workflow.run(store, id));
      const WorkflowState state = state_of(store, workflow, id);
      const std::string kept = node_of(state, "n").error.value_or(Error{}).message;
      CHECK(kept.size() == 4095);
      CHECK(is_utf8(kept));
      if (definite) {
        CHECK(state.outcome.value_or(Outcome{}).message.size() > 65000);
        CHECK(is_utf8(state.outcome.value_or(Outcome{}).message));
      }
      value_of(store.history({.key = state.key}, [](const HistoryEntry& entry) {
        CHECK(is_utf8(entry.note));
        return true;
      }));
    }
  }
}
