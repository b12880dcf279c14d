// Graphs: order, outputs, failures, retries, and what is repeated and what is not.
#include <atomic>
#include <barrier>
#include <latch>
#include <stdexcept>
#include <thread>

#include "fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("nodes run after what they depend on, see its output, and run once an id") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  Workflow workflow("order");
  // In any order of writing.
  workflow
      .node("ship", {"reserve", "charge"},
            [&](NodeContext& node) -> Result<Bytes> {
              book.ran("ship");
              const auto shelf = value_of(node.input<int>("reserve"));
              const auto receipt = value_of(node.input<Bytes>("charge"));
              return receipt + "@" + std::to_string(shelf);
            })
      .node("charge", {"check"},
            [&] {
              book.ran("charge");
              return "receipt";
            })
      .node("reserve", {"check"},
            [&]() -> Result<int> {
              book.ran("reserve");
              return 7;
            })
      .node("check", {}, [&] { book.ran("check"); });
  const auto run = value_of(workflow.run(store, "42"));
  CHECK(run.finished());
  CHECK(!run.replayed());
  CHECK(run.executed() == 4);
  CHECK(value_of(run.as<Bytes>()) == "receipt@7");
  CHECK(book.before("check", "charge"));
  CHECK(book.before("check", "reserve"));
  CHECK(book.order().size() == 4);
  CHECK(book.order().back() == "ship");

  const auto again = value_of(workflow.run(store, "42"));
  CHECK(again.replayed());
  CHECK(again.value() == "receipt@7");
  CHECK(again.executed() == 0);
  CHECK(book.order().size() == 4);
  CHECK(!value_of(workflow.run(store, "43")).replayed());
  CHECK(!value_of(workflow.run(store, "42", {.tenant = "acme"})).replayed());
  CHECK(book.count("ship") == 3);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("independent nodes run at the same time, at most so many as there are threads") {
  const Simulation simulation;
  Store store = simulation.open();
  std::atomic<int> at_once = 0;
  std::atomic<int> most = 0;
  std::barrier together(3);
  Workflow workflow("w", {.threads = 3});
  for (int i = 0; i < 9; ++i) {
    workflow.node("n" + std::to_string(i), {}, [&] {
      const int now = ++at_once;
      int seen = most;
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      together.arrive_and_wait();  // hangs unless three run at once
      --at_once;
    });
  }
  value_of(workflow.run(store, "1"));
  CHECK(most == 3);
}

TEST_CASE("many callers of one id run it once and all get the answer") {
  const Simulation simulation;
  Store store = simulation.open();
  std::atomic<int> runs = 0;
  Workflow workflow("w");
  workflow.node("a", {}, [&] { return ++runs; });
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto run = workflow.run(store, "1");
      if (run && run->value() == "1") ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(runs == 1);
  CHECK(right == 8);
}

TEST_CASE("a failed node lets the independent ones finish, and a resume repeats only what failed") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool works = false;
  Workflow workflow("w", {.threads = 1});
  workflow
      .node("bad", {},
            [&]() -> Result<Bytes> {
              book.ran("bad");
              if (!works) return std::unexpected(work_retryable("the other side is down"));
              return "fine";
            })
      .node("good", {}, [&] { book.ran("good"); })
      .node("after good", {"good"}, [&] { book.ran("after good"); })
      .node("after bad", {"bad", "good"}, [&] { book.ran("after bad"); });
  const auto failed = workflow.run(store, "1");
  CHECK(error_of(failed) == ErrorCode::work_retryable);
  CHECK(failed.error().message.find("'bad'") != std::string::npos);
  CHECK(failed.error().message.find("the other side is down") != std::string::npos);
  CHECK(book.count("good") == 1);
  CHECK(book.count("after good") == 1);
  CHECK(book.count("after bad") == 0);

  const WorkflowState state = state_of(store, workflow, "1");
  CHECK(state.status == Status::released);
  CHECK(node_of(state, "bad").status == NodeStatus::failed);
  CHECK(node_of(state, "bad").error->message == "the other side is down");
  CHECK(node_of(state, "good").status == NodeStatus::done);
  CHECK(node_of(state, "after bad").status == NodeStatus::pending);
  CHECK(state.completed() == std::vector<std::string>{"good", "after good"});

  works = true;
  const auto run = value_of(workflow.run(store, "1"));
  CHECK(run.executed() == 2);
  CHECK(run.skipped() == 2);
  CHECK(book.count("bad") == 2);
  CHECK(book.count("good") == 1);
  CHECK(book.count("after good") == 1);
  CHECK(book.count("after bad") == 1);
  CHECK(node_of(state_of(store, workflow, "1"), "bad").attempts == 2);
}

TEST_CASE("a definite failure is the outcome of the run, and is replayed") {
  const Simulation simulation;
  Store store = simulation.open();
  int charged = 0;
  Workflow workflow("w");
  workflow.node("charge", {}, [&]() -> Result<Bytes> {
    ++charged;
    return std::unexpected(work_failed("declined", "the card was declined"));
  });
  const auto first = workflow.run(store, "1");
  CHECK(error_of(first) == ErrorCode::work_failed);
  CHECK(first.error().failure_code == "declined");
  CHECK(!first.error().replayed);
  const auto second = workflow.run(store, "1");
  CHECK(error_of(second) == ErrorCode::work_failed);
  CHECK(second.error().failure_code == "declined");
  CHECK(second.error().replayed);
  CHECK(charged == 1);
  CHECK(state_of(store, workflow, "1").status == Status::failed);
}

TEST_CASE("what may have happened puts the run in doubt; a rerun goes on with that node only") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool works = false;
  Workflow workflow("w");
  workflow.node("a", {}, [&] { book.ran("a"); }).node("b", {"a"}, [&]() -> Result<void> {
    book.ran("b");
    if (!works) return std::unexpected(work_unknown("the answer never came"));
    return {};
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_unknown);
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::in_doubt);
  works = true;
  value_of(store.resolve(Workflow::key("w", "1"), Verdict::rerun));
  value_of(workflow.run(store, "1"));
  CHECK(book.order() == std::vector<std::string>{"a", "b", "b"});
}

TEST_CASE("a node is tried again as often as its retry says, with growing pauses, and no more") {
  const Simulation simulation;
  Store store = simulation.open();
  std::vector<Time> tries;
  std::vector<std::uint32_t> attempts;
  Workflow workflow("w");
  const NodeRetry retry{
      .attempts = 4, .initial = 1s, .longest = 2s, .multiplier = 1000.0, .jitter = 0.0};
  workflow.node("a", {},
                [&](NodeContext& node) -> Result<void> {
                  tries.push_back(simulation.clock->wall());
                  attempts.push_back(node.attempt());
                  return std::unexpected(work_retryable("no"));
                },
                {.retry = retry});
  std::jthread time([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      simulation.clock->advance(10ms);
      std::this_thread::sleep_for(1ms);  // lets the waits see each moment
    }
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  time.request_stop();
  time.join();
  CHECK(attempts == std::vector<std::uint32_t>{1, 2, 3, 4});
  REQUIRE(tries.size() == 4);
  CHECK(tries[1] - tries[0] >= 1s);
  CHECK(tries[2] - tries[1] >= 2s);
  CHECK(tries[3] - tries[2] >= 2s);
  CHECK(tries[3] - tries[2] < 1000s);  // and not 1,000,000
}

TEST_CASE("only what may be tried again is tried again") {
  const Simulation simulation;
  Store store = simulation.open();
  const NodeRetry retry{.attempts = 5, .initial = 0ms};
  int tries = 0;
  int number = 0;
  const std::vector<std::pair<Error, int>> cases{{work_retryable("x"), 5},
                                                 {work_not_started("x"), 5},
                                                 {work_failed("c", "x"), 1},
                                                 {work_unknown("x"), 1},
                                                 {Error{.code = ErrorCode::io, .message = "x"}, 1}};
  for (const auto& [error, expected] : cases) {
    tries = 0;
    Workflow workflow("w");
    workflow.node("a", {},
                  [&]() -> Result<void> {
                    ++tries;
                    return std::unexpected(error);
                  },
                  {.retry = retry});
    CHECK(error_of(workflow.run(store, std::to_string(++number))) == error.code);
    CHECK(tries == expected);
  }
}

TEST_CASE("an exception reaches the caller; what is done is kept and the run is given back") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool throws = true;
  Workflow workflow("w");
  workflow.node("a", {}, [&] { book.ran("a"); }).node("b", {"a"}, [&] {
    book.ran("b");
    if (throws) throw std::runtime_error("my own");
  });
  CHECK_THROWS_WITH_AS((void)workflow.run(store, "1"), "my own", std::runtime_error);
  CHECK(state_of(store, workflow, "1").status == Status::released);
  throws = false;
  value_of(workflow.run(store, "1"));
  CHECK(book.order() == std::vector<std::string>{"a", "b", "b"});
}

TEST_CASE("variables are kept with the node that set them, and only if it succeeds") {
  const Simulation simulation;
  Store store = simulation.open();
  bool works = false;
  std::optional<int> seen;
  Workflow workflow("w");
  workflow
      .node("a", {},
            [&](NodeContext& node) {
              node.set("count", 5);
              node.set("text", "x");
              CHECK(value_of(node.get<int>("count")) == 5);
            })
      .node("b", {"a"}, [&](NodeContext& node) -> Result<void> {
        node.set("count", value_of(node.get<int>("count")).value_or(-1) + 1);
        seen = value_of(node.get<int>("count"));
        CHECK(!value_of(node.get<int>("none")));
        CHECK(error_of(node.get<int>("text")) == ErrorCode::wrong_type);
        if (!works) return std::unexpected(work_retryable("later"));
        return {};
      });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  CHECK(seen == 6);
  CHECK(state_of(store, workflow, "1").variables.at("count") == "5");
  works = true;
  value_of(workflow.run(store, "1"));
  CHECK(seen == 6);
  const WorkflowState state = state_of(store, workflow, "1");
  CHECK(state.variables.at("count") == "6");
  CHECK(state.variables.at("text") == "x");
  CHECK(node_of(state, "b").variables.at("count") == "6");
}

TEST_CASE("an input may be asked for only of what a node depends on, and as what it is") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow workflow("w");
  workflow.node("a", {}, [] { return Bytes("text"); })
      .node("b", {}, [] {})
      .node("c", {"a"}, [](NodeContext& node) {
        CHECK(error_of(node.input<Bytes>("b")) == ErrorCode::invalid_argument);
        CHECK(error_of(node.input<int>("a")) == ErrorCode::wrong_type);
        CHECK(value_of(node.input<Bytes>("a")) == "text");
      });
  value_of(workflow.run(store, "1"));
}

TEST_CASE("a node has a key of its own that every try of it has, and the run's token") {
  const Simulation simulation;
  Store store = simulation.open();
  std::vector<std::string> keys;
  std::vector<Token> tokens;
  bool works = false;
  Workflow workflow("w/x");
  workflow.node("a#1", {}, [&](NodeContext& node) -> Result<void> {
    keys.push_back(node.step_key());
    tokens.push_back(node.token());
    CHECK(node.run_id() == "id");
    CHECK(node.run_input() == "in");
    if (!works) return std::unexpected(work_retryable("later"));
    return {};
  });
  CHECK(error_of(workflow.run(store, "id", {.tenant = "t", .input = "in"})) ==
        ErrorCode::work_retryable);
  works = true;
  value_of(workflow.run(store, "id", {.tenant = "t"}));
  const std::string origin = std::to_string(tokens[0].value);
  CHECK(keys == std::vector<std::string>(2, "t/workflow:w%2Fx/id@" + origin + "#a%231"));
  CHECK(tokens[1] > tokens[0]);
}

TEST_CASE("the same id with other input is refused, before and after it has finished") {
  const Simulation simulation;
  Store store = simulation.open();
  bool works = false;
  Workflow workflow("w");
  workflow.node("a", {}, [&]() -> Result<void> {
    if (!works) return std::unexpected(work_retryable("later"));
    return {};
  });
  CHECK(error_of(workflow.run(store, "1", {.input = "x"})) == ErrorCode::work_retryable);
  CHECK(error_of(workflow.run(store, "1", {.input = "y"})) == ErrorCode::mismatch);
  works = true;
  value_of(workflow.run(store, "1", {.input = "x"}));
  CHECK(error_of(workflow.run(store, "1", {.input = "y"})) == ErrorCode::mismatch);
  CHECK(value_of(workflow.run(store, "1")).replayed());
}

TEST_CASE("the result is that of the node named, or of the only last one, or null") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow two("two");
  two.node("a", {}, [] { return Bytes("1"); }).node("b", {}, [] { return Bytes("2"); });
  CHECK(value_of(two.run(store, "1")).value() == std::nullopt);
  two.result("b");
  CHECK(value_of(two.run(store, "2")).value() == "2");
}

TEST_CASE("a stop ends the run after the nodes at work; it can be gone on with") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  std::stop_source stop;
  Workflow workflow("w", {.threads = 1});
  workflow
      .node("a", {},
            [&](NodeContext& node) {
              book.ran("a");
              CHECK(!node.stop().stop_requested());
              stop.request_stop();
              CHECK(node.stop().stop_requested());
            })
      .node("b", {"a"}, [&] { book.ran("b"); });
  CHECK(error_of(workflow.run(store, "1", {.stop = stop.get_token()})) == ErrorCode::cancelled);
  CHECK(book.order() == std::vector<std::string>{"a"});
  CHECK(state_of(store, workflow, "1").status == Status::released);
  value_of(workflow.run(store, "1"));
  CHECK(book.order() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a stop during the pause before another try ends the run at once") {
  const Simulation simulation;
  Store store = simulation.open();
  std::stop_source stop;
  std::latch tried(1);
  Workflow workflow("w");
  workflow.node("a", {},
                [&]() -> Result<void> {
                  tried.count_down();
                  return std::unexpected(work_retryable("no"));
                },
                {.retry = {.attempts = 2, .initial = std::chrono::hours(1)}});
  std::thread stopper([&] {
    tried.wait();
    stop.request_stop();
  });
  // A node that was to be tried again has failed for this run.
  CHECK(error_of(workflow.run(store, "1", {.stop = stop.get_token()})) == ErrorCode::cancelled);
  stopper.join();
}

TEST_CASE("an output too large to keep is a definite failure: the node is not run again") {
  Simulation simulation;
  Options options = simulation.options();
  options.max_outcome_bytes = 1000;
  Store store = value_of(Store::open("memory:", options));
  int ran = 0;
  Workflow workflow("w");
  workflow.node("a", {}, [&] {
    ++ran;
    return Bytes(2000, 'x');
  });
  const auto run = workflow.run(store, "1");
  CHECK(error_of(run) == ErrorCode::work_failed);
  CHECK(run.error().failure_code == "output_too_large");
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_failed);
  CHECK(ran == 1);
}

TEST_CASE("beside a failure nodes are finished, and timers are waited for only if that was asked") {
  for (const bool definite : {false, true}) {
    for (const Duration wait : {Duration(0), Duration(50ms)}) {
      CAPTURE(definite);
      CAPTURE(wait.count());
      Store store = value_of(Store::open("memory:"));
      Book book;
      bool works = false;
      Workflow workflow("w", {.threads = 1});
      workflow
          .node("bad", {},
                [&]() -> Result<void> {
                  if (works) return {};
                  return std::unexpected(definite ? work_failed("no", "no")
                                                  : work_retryable("later"));
                })
          .node("beside", {}, [&] { book.ran("beside"); })
          .sleep("timer", {}, 20ms)
          .node("behind", {"timer"}, [&] { book.ran("behind"); });
      CHECK(error_of(workflow.run(store, "1", {.wait_for_timers = wait})) ==
            (definite ? ErrorCode::work_failed : ErrorCode::work_retryable));
      CHECK(book.count("beside") == 1);
      CHECK(book.count("behind") == (wait > 0ms ? 1 : 0));
      if (definite) continue;
      // It does not sleep: only by `given_back` is it gone on with, though its timer is due.
      works = true;
      std::this_thread::sleep_for(30ms);
      CHECK(!state_of(store, workflow, "1").sleeping_until);
      value_of(Workflow::resume_all(store, {workflow}, {}, {}, std::nullopt));
      CHECK(state_of(store, workflow, "1").status == Status::released);
      value_of(Workflow::resume_all(store, {workflow}));
      CHECK(state_of(store, workflow, "1").status == Status::completed);
      CHECK(book.count("behind") == 1);
    }
  }
}

TEST_CASE("retention: a finished run is gone after it, a broken-off one is not") {
  const Simulation simulation;
  Store store = simulation.open();
  int ran = 0;
  Workflow workflow("w", {.retention = 1h});
  workflow.node("a", {}, [&] { ++ran; });
  value_of(workflow.run(store, "1"));
  simulation.clock->advance(59min);
  CHECK(value_of(workflow.run(store, "1")).replayed());
  simulation.clock->advance(2min);
  CHECK(!value_of(workflow.state_of(store, "1")));
  value_of(store.sweep());
  CHECK(value_of(store.stats()).checkpoints == 0);
  CHECK(!value_of(workflow.run(store, "1")).replayed());
  CHECK(ran == 2);

  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("a", NodeMoment::after_checkpoint);
  CHECK(error_of(workflow.run(store, "2", {.faults = faults})) == ErrorCode::unknown);
  simulation.clock->advance(std::chrono::hours(24 * 365));
  value_of(store.sweep());
  value_of(workflow.run(store, "2"));
  CHECK(ran == 3);  // its checkpoint was acknowledged
}
