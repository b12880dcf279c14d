// What is no workflow is refused before anything runs, and a changed one is noticed.
#include <atomic>
#include <limits>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// The message of run(), after checking that nothing was changed.
std::string refused(const Workflow& workflow, ErrorCode code = ErrorCode::invalid_argument) {
  const Simulation simulation;
  Store store = simulation.open();
  const auto run = workflow.run(store, "1");
  CHECK(error_of(run) == code);
  CHECK(!value_of(store.find(Workflow::key(workflow.name(), "1"))));
  CHECK(error_of(workflow.validate()) == code);
  return run.error().message;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a cycle is refused, naming the nodes on it") {
  int ran = 0;
  Workflow workflow("w");
  workflow.node("start", {}, [&] { ++ran; })
      .node("a", {"start", "c"}, [&] { ++ran; })
      .node("b", {"a"}, [&] { ++ran; })
      .node("c", {"b"}, [&] { ++ran; })
      .node("after", {"c"}, [&] { ++ran; });
  const std::string message = refused(workflow);
  CHECK(contains(message, "cycle"));
  for (const char* node : {"'a'", "'b'", "'c'"}) CHECK(contains(message, node));
  CHECK(!contains(message, "'start'"));
  CHECK(!contains(message, "'after'"));
  CHECK(ran == 0);
  Workflow self("w");
  self.node("x", {"x"}, [] {});
  CHECK(contains(refused(self), "'x' needs 'x'"));
}

TEST_CASE("of a long cycle a few nodes are named, and how many more there are") {
  const auto ring = [](int nodes) {
    Workflow workflow("w");
    for (int i = 0; i < nodes; ++i) {
      workflow.node(std::to_string(i), {std::to_string((i + 1) % nodes)}, [] {});
    }
    const auto checked = workflow.validate();
    REQUIRE(error_of(checked) == ErrorCode::invalid_argument);
    return checked.error().message;
  };
  const std::string begins = "'0' needs '1' needs '2' needs '3' needs '4' needs ";
  CHECK(contains(ring(5), begins + "'0'"));
  CHECK(contains(ring(6), begins + "1 more, the last of which needs '0'"));
  const std::string message = ring(100'000);
  CHECK(contains(message, begins + "99995 more, the last of which needs '0'"));
  CHECK(message.size() < 200);
}

TEST_CASE("a node that is there twice, and one that is not there, are refused by name") {
  int ran = 0;
  Workflow twice("w");
  twice.node("a", {}, [&] { ++ran; }).node("a", {}, [&] { ++ran; });
  CHECK(contains(refused(twice), "two nodes 'a'"));
  Workflow unknown("w");
  unknown.node("a", {}, [&] { ++ran; }).node("b", {"a", "nowhere"}, [&] { ++ran; });
  const std::string message = refused(unknown);
  CHECK(contains(message, "'b'"));
  CHECK(contains(message, "'nowhere'"));
  Workflow repeated("w");
  repeated.node("a", {}, [] {}).node("b", {"a", "a"}, [] {});
  CHECK(contains(refused(repeated), "twice"));
  Workflow result("w");
  result.node("a", {}, [] {}).result("z");
  CHECK(contains(refused(result), "'z'"));
  CHECK(ran == 0);
}

TEST_CASE("names, options and forms that make no sense are refused") {
  refused(Workflow("empty"));
  Workflow unnamed("");
  unnamed.node("a", {}, [] {});
  CHECK(error_of(unnamed.validate()) == ErrorCode::invalid_argument);
  Workflow long_name(std::string(max_workflow_name_bytes + 1, 'n'));
  long_name.node("a", {}, [] {});
  CHECK(error_of(long_name.validate()) == ErrorCode::invalid_argument);
  for (const std::string& name : {std::string(), std::string(max_node_name_bytes + 1, 'n')}) {
    Workflow bad("w");
    bad.node(name, {}, [] {});
    refused(bad);
  }
  const std::vector<NodeRetry> retries{{.attempts = 0},
                                       {.initial = -1ms},
                                       {.longest = -1ms},
                                       {.multiplier = 0.5},
                                       {.jitter = 1.5},
                                       {.jitter = -0.1},
                                       {.multiplier = std::numeric_limits<double>::infinity()},
                                       {.jitter = std::numeric_limits<double>::quiet_NaN()}};
  for (const NodeRetry& retry : retries) {
    Workflow bad("w");
    bad.node("a", {}, [] {}, {.retry = retry});
    CHECK(contains(refused(bad), "'a'"));
  }
  const std::vector<WorkflowOptions> options{{.strategy = CheckpointStrategy::timed(-1ms)},
                                             {.strategy = CheckpointStrategy::adaptive(0ms)},
                                             {.threads = 0},
                                             {.threads = 1'000'000},
                                             {.lease = 0ms},
                                             {.retention = -1ms},
                                             {.retention = 0ms},
                                             {.failure_retention = -1ms}};
  for (const WorkflowOptions& bad_options : options) {
    Workflow bad("w", bad_options);
    bad.node("a", {}, [] {});
    refused(bad);
  }
  Workflow timer("w");
  timer.sleep("t", {}, -1ms);
  refused(timer);
  Workflow both("w", [](StepContext&) {});
  both.node("a", {}, [] {});
  CHECK(contains(refused(both), "'a'"));
  Workflow good("w");
  good.node("a", {}, [] {});
  const Simulation simulation;
  Store store = simulation.open();
  CHECK(error_of(good.run(store, "")) == ErrorCode::invalid_argument);
  CHECK(error_of(good.run(store, std::string(2000, 'i'))) == ErrorCode::limit_exceeded);
}

TEST_CASE("options of runs, of resuming and of runners that make no sense are refused") {
  const Simulation simulation;
  Store store = simulation.open();
  std::atomic<int> runs = 0;
  bool works = false;
  Workflow workflow("w");
  workflow.node("a", {}, [&]() -> Result<int> {
    if (!works) return std::unexpected(work_retryable("later"));
    return ++runs;
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  works = true;
  const RunOptions early{.wait_for_timers = -1ms};
  CHECK(error_of(workflow.run(store, "1", early)) == ErrorCode::invalid_argument);
  CHECK(error_of(workflow.resume(store, "1", early)) == ErrorCode::invalid_argument);
  CHECK(error_of(Workflow::resume_all(store, {workflow}, {}, early)) ==
        ErrorCode::invalid_argument);
  CHECK(error_of(Workflow::resume_all(store, {workflow}, {}, {}, -1ms)) ==
        ErrorCode::invalid_argument);
  {
    WorkflowRunner eager(store, {workflow}, {.interval = 0ms, .given_back = 0ms});
    eager.wake();
    CHECK(error_of(eager.last_look()) == ErrorCode::invalid_argument);
    WorkflowRunner early_one(store, {workflow}, {.given_back = -1ms});
    early_one.wake();
    CHECK(error_of(early_one.last_look()) == ErrorCode::invalid_argument);
  }
  CHECK(runs == 0);
  value_of(workflow.run(store, "1"));
  CHECK(runs == 1);
}

TEST_CASE("a long chain and a wide graph are checked without trouble") {
  Workflow chain("w");
  for (int i = 0; i < 20000; ++i) {
    chain.node(
        std::to_string(i),
        i == 0 ? std::vector<std::string>{} : std::vector<std::string>{std::to_string(i - 1)},
        [] {});
  }
  value_of(chain.validate());
  Workflow ring("w");
  for (int i = 0; i < 20000; ++i)
    ring.node(std::to_string(i), {std::to_string((i + 1) % 20000)}, [] {});
  CHECK(error_of(ring.validate()) == ErrorCode::invalid_argument);
}

TEST_CASE(
    "a definition is its names, dependencies and version, and not the order it is written in") {
  const auto make = [](const std::string& number, bool swapped, std::vector<std::string> after) {
    Workflow workflow("w", {.version = number});
    if (swapped) workflow.node("b", {}, [] {});
    workflow.node("a", {}, [] {});
    if (!swapped) workflow.node("b", {}, [] {});
    workflow.node("c", std::move(after), [] {});
    return workflow.definition();
  };
  const Fingerprint first = make("1", false, {"a", "b"});
  CHECK(first == make("1", true, {"b", "a"}));
  CHECK(first != make("2", false, {"a", "b"}));
  CHECK(first != make("1", false, {"a"}));
}

TEST_CASE("a run is not resumed with a changed definition, and the error names what changed") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  Workflow before("w", {.version = "1"});
  before.node("a", {}, [&] { book.ran("a"); })
      .node("b", {"a"}, [&] { book.ran("b"); })
      .node("c", {"b"}, [&]() -> Result<void> { return std::unexpected(work_retryable("later")); });
  CHECK(error_of(before.run(store, "1")) == ErrorCode::work_retryable);

  Workflow after("w", {.version = "2"});
  after.node("a", {}, [&] { book.ran("a again"); })
      .node("c", {"a"}, [&] { book.ran("c"); })
      .node("d", {"c"}, [&] { book.ran("d"); });
  const auto refused = after.run(store, "1");
  CHECK(error_of(refused) == ErrorCode::mismatch);
  const std::string& message = refused.error().message;
  for (const char* part : {"version '1' is now '2'", "node 'd' is new", "node 'b' is gone",
                           "node 'c' depended on 'b' and now depends on 'a'", "/workflow:w/1"}) {
    CAPTURE(message);
    CHECK(contains(message, part));
  }
  CHECK(state_of(store, before, "1").status == Status::released);
  CHECK(state_of(store, before, "1").attempt == 1);  // nothing was tried

  // By explicit choice: what is done and still there counts.
  const auto run = value_of(after.run(store, "1", {.accept_changes = true}));
  CHECK(run.skipped() == 1);
  CHECK(book.order() == std::vector<std::string>{"a", "b", "c", "d"});
  const WorkflowState state = state_of(store, after, "1");
  CHECK(state.version == "2");
  CHECK(state.definition == after.definition());
  CHECK(!node_of(state, "b").defined);
  CHECK(node_of(state, "d").defined);
}

TEST_CASE("of many changes a few are named, and how many more there are") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow before("w");
  before.node("a", {}, []() -> Result<void> { return std::unexpected(work_retryable("later")); });
  CHECK(error_of(before.run(store, "1")) == ErrorCode::work_retryable);
  Workflow after("w");
  std::vector<std::string> all;
  for (int i = 0; i < 10'000; ++i) {
    all.push_back(std::to_string(i));
    after.node(all.back(), {}, [] {});
  }
  after.node("a", all, [] {});
  const auto many = after.run(store, "1");
  CHECK(error_of(many) == ErrorCode::mismatch);
  CHECK(contains(many.error().message, "node '4' is new; and 9996 more changes"));
  CHECK(many.error().message.size() < 500);
  // So of what a single node depends on.
  Workflow wide("w");
  wide.node("a", all, [] {});
  for (const std::string& name : all) wide.node(name, {}, [] {});
  const auto depends = wide.run(store, "1");
  CHECK(error_of(depends) == ErrorCode::mismatch);
  CHECK(contains(depends.error().message,
                 "node 'a' depended on nothing and now depends on '0', '1', '2', '3', '4' and 9995 "
                 "more; node '0' is new"));
}

TEST_CASE("a finished run answers whatever became of its definition") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow before("w", {.version = "1"});
  before.node("a", {}, [] { return Bytes("first"); });
  value_of(before.run(store, "1"));
  Workflow after("w", {.version = "2"});
  after.node("z", {}, [] { return Bytes("second"); });
  const auto run = value_of(after.run(store, "1"));
  CHECK(run.replayed());
  CHECK(run.value() == "first");
}
