// Workflows written in steps: what is kept, what is repeated, and steps that are not the same
// again.
#include <stdexcept>

#include "fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("steps that are done give what they gave, and only what is left runs") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool works = false;
  const Workflow workflow("w", [&](StepContext& run) -> Result<Bytes> {
    auto number = run.step("number", [&] {
      book.ran("number");
      return 7;
    });
    if (!number) return std::unexpected(number.error());
    auto nothing = run.step("nothing", [&] { book.ran("nothing"); });
    if (!nothing) return std::unexpected(nothing.error());
    auto text = run.step("text", [&](NodeContext& node) -> Result<Bytes> {
      book.ran("text");
      if (!works) return std::unexpected(work_retryable("later"));
      return node.step_key();
    });
    if (!text) return std::unexpected(text.error());
    return std::to_string(*number) + *text;
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  works = true;
  const auto run = value_of(workflow.run(store, "1"));
  const Token origin = value_of(store.find(Workflow::key("w", "1")))->record.origin;
  CHECK(run.value() == "7/workflow:w/1@" + std::to_string(origin.value) + "#text");
  CHECK(run.skipped() == 2);
  CHECK(run.executed() == 1);
  CHECK(book.order() == std::vector<std::string>{"number", "nothing", "text", "text"});
  CHECK(value_of(workflow.run(store, "1")).replayed());
  CHECK(book.order().size() == 4);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("steps in loops have names of their own; one given twice is refused") {
  const Simulation simulation;
  Store store = simulation.open();
  int ran = 0;
  const Workflow loop("loop", [&](StepContext& run) -> Result<int> {
    int sum = 0;
    for (int i = 0; i < 5; ++i) {
      auto each = run.step("add/" + std::to_string(i), [&] {
        ++ran;
        return i;
      });
      if (!each) return std::unexpected(each.error());
      sum += *each;
    }
    return sum;
  });
  CHECK(value_of(value_of(loop.run(store, "1")).as<int>()) == 10);
  CHECK(ran == 5);
  const Workflow twice("twice", [&](StepContext& run) -> Result<void> {
    if (auto once = run.step("same", [] {}); !once) return once;
    return run.step("same", [&] { ran = 100; });
  });
  const auto refused = twice.run(store, "1");
  CHECK(error_of(refused) == ErrorCode::invalid_argument);
  CHECK(refused.error().message.find("'same'") != std::string::npos);
  CHECK(ran == 5);
}

TEST_CASE("other steps than those the run was begun with are noticed before any runs") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  std::vector<std::string> names{"a", "b", "c"};
  std::string fails = "c";
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    for (const std::string& name : names) {
      auto done = run.step(name, [&]() -> Result<void> {
        book.ran(name);
        if (name == fails) return std::unexpected(work_retryable("later"));
        return {};
      });
      if (!done) return done;
    }
    return {};
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  fails = "";
  const std::vector<std::vector<std::string>> others{
      {"b", "a", "c"}, {"a", "x", "c"}, {"a", "c", "b"}, {"new", "a", "b", "c"}, {"a", "b", "d"}};
  for (const auto& other : others) {
    names = other;
    const std::size_t before = book.order().size();
    const auto refused = workflow.run(store, "1");
    CHECK(error_of(refused) == ErrorCode::mismatch);
    CHECK(refused.error().message.find("begun with other steps") != std::string::npos);
    CHECK(book.order().size() == before);
  }
  SUBCASE("steps that are not asked for any more are noticed at the end") {
    names = {"a", "b"};
    const auto refused = workflow.run(store, "1");
    CHECK(error_of(refused) == ErrorCode::mismatch);
    CHECK(refused.error().message.find("'c' and was not asked for") != std::string::npos);
    CHECK(state_of(store, workflow, "1").status == Status::released);
  }
  SUBCASE("by explicit choice steps that are done count wherever they stand") {
    names = {"new", "b", "a"};
    value_of(workflow.run(store, "1", {.accept_changes = true}));
    CHECK(book.order() == std::vector<std::string>{"a", "b", "c", "new"});
  }
  SUBCASE("the steps it was begun with go on") {
    names = {"a", "b", "c"};
    value_of(workflow.run(store, "1"));
    CHECK(book.order() == std::vector<std::string>{"a", "b", "c", "c"});
  }
}

TEST_CASE("a new version is noticed, and accepted by explicit choice for good") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool works = false;
  std::vector<std::string> names{"a", "b", "c"};
  const auto steps = [&](StepContext& run) -> Result<void> {
    for (const std::string& name : names) {
      auto done = run.step(name, [&]() -> Result<void> {
        book.ran(name);
        if (name == "c" && !works) return std::unexpected(work_retryable("later"));
        return {};
      });
      if (!done) return done;
    }
    return {};
  };
  const Workflow first("w", steps, {.version = "1"});
  const Workflow second("w", steps, {.version = "2"});
  CHECK(error_of(first.run(store, "1")) == ErrorCode::work_retryable);
  const auto refused = second.run(store, "1");
  CHECK(error_of(refused) == ErrorCode::mismatch);
  CHECK(refused.error().message.find("version '1' is now '2'") != std::string::npos);
  names = {"b", "new", "c"};
  CHECK(error_of(second.run(store, "1", {.accept_changes = true})) == ErrorCode::work_retryable);
  CHECK(state_of(store, second, "1").version == "2");
  // From now on these are the steps it was begun with.
  works = true;
  value_of(second.run(store, "1"));
  CHECK(book.order() == std::vector<std::string>{"a", "b", "c", "new", "c", "c"});
}

TEST_CASE("a definite failure of a step is kept, and the function hears it again") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool works = false;
  const Workflow workflow("w", [&](StepContext& run) -> Result<Bytes> {
    auto card = run.step("card", [&]() -> Result<Bytes> {
      book.ran("card");
      return std::unexpected(work_failed("declined", "no"));
    });
    CHECK(error_of(card) == ErrorCode::work_failed);
    CHECK(card.error().failure_code == "declined");
    return run.step("invoice", [&]() -> Result<Bytes> {
      book.ran("invoice");
      if (!works) return std::unexpected(work_retryable("later"));
      return "sent";
    });
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  works = true;
  CHECK(value_of(workflow.run(store, "1")).value() == "sent");
  CHECK(book.order() == std::vector<std::string>{"card", "invoice", "invoice"});
}

TEST_CASE("a failure that the function went on from is the same again") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool up = false;
  bool works = false;
  const Workflow workflow("w", [&](StepContext& run) -> Result<Bytes> {
    auto first = run.step("first", [&]() -> Result<Bytes> {
      book.ran("first");
      if (!up) return std::unexpected(work_retryable("down"));
      return "first";
    });
    if (first) return first;
    auto second = run.step("second", [&] {
      book.ran("second");
      return Bytes("second");
    });
    if (!second) return second;
    auto last = run.step("last", [&]() -> Result<void> {
      if (!works) return std::unexpected(work_retryable("later"));
      return {};
    });
    if (!last) return std::unexpected(last.error());
    return second;
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  up = works = true;  // to try the first step again would lead another way
  CHECK(value_of(workflow.run(store, "1")).value() == "second");
  CHECK(book.order() == std::vector<std::string>{"first", "second"});
}

TEST_CASE("an exception of a step ends the run and reaches the caller, whatever is made of it") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool throws = true;
  bool catches = false;
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    if (auto done = run.step("a", [&] { book.ran("a"); }); !done) return done;
    try {
      auto done = run.step("b", [&] {
        book.ran("b");
        if (throws) throw std::runtime_error("my own");
      });
      if (!done) return done;
    } catch (const std::runtime_error&) {
      if (!catches) throw;
    }
    return run.step("c", [&] { book.ran("c"); });
  });
  CHECK_THROWS_WITH_AS((void)workflow.run(store, "1"), "my own", std::runtime_error);
  catches = true;
  CHECK_THROWS_WITH_AS((void)workflow.run(store, "1"), "my own", std::runtime_error);
  CHECK(book.count("c") == 0);
  throws = false;
  value_of(workflow.run(store, "1"));
  CHECK(book.order() == std::vector<std::string>{"a", "b", "b", "b", "c"});
}

TEST_CASE("an exception between steps gives the run back") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool throws = true;
  const Workflow workflow("w", [&](StepContext& run) {
    CHECK(run.step("a", [&] { book.ran("a"); }));
    if (throws) throw 5;
  });
  CHECK_THROWS_AS((void)workflow.run(store, "1"), int);
  CHECK(state_of(store, workflow, "1").status == Status::released);
  throws = false;
  value_of(workflow.run(store, "1"));
  CHECK(book.count("a") == 1);
}

TEST_CASE("variables come back as they stood at each step") {
  const Simulation simulation;
  Store store = simulation.open();
  bool works = false;
  std::vector<int> seen;
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    run.set("n", 1);
    auto add = run.step("add", [](NodeContext& node) {
      node.set("n", value_of(node.get<int>("n")).value_or(-100) + 1);
    });
    if (!add) return add;
    seen.push_back(value_of(run.get<int>("n")).value_or(-1));
    run.set("n", *value_of(run.get<int>("n")) * 10);
    auto last = run.step("last", [&]() -> Result<void> {
      if (!works) return std::unexpected(work_retryable("later"));
      return {};
    });
    if (!last) return last;
    run.set("end", "yes");
    return {};
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  works = true;
  value_of(workflow.run(store, "1"));
  CHECK(seen == std::vector<int>{2, 2});
  const WorkflowState state = state_of(store, workflow, "1");
  CHECK(state.variables.at("n") == "20");
  CHECK(state.variables.at("end") == "yes");
}

TEST_CASE("a step is tried again by its retry, within one run") {
  const Simulation simulation;
  Store store = simulation.open();
  int tries = 0;
  const Workflow workflow("w", [&](StepContext& run) {
    return run.step("a",
                    [&](NodeContext& node) -> Result<int> {
                      CHECK(node.attempt() == static_cast<std::uint32_t>(++tries));
                      if (tries < 3) return std::unexpected(work_not_started("no"));
                      return tries;
                    },
                    {.retry = {.attempts = 3, .initial = 0ms}});
  });
  CHECK(value_of(workflow.run(store, "1")).value() == "3");
  CHECK(node_of(state_of(store, workflow, "1"), "a").attempts == 3);
}

TEST_CASE("a stop ends the run at the next step; it can be gone on with") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  std::stop_source stop;
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    auto done = run.step("a", [&] {
      book.ran("a");
      stop.request_stop();
    });
    if (!done) return done;
    return run.step("b", [&] { book.ran("b"); });
  });
  CHECK(error_of(workflow.run(store, "1", {.stop = stop.get_token()})) == ErrorCode::cancelled);
  CHECK(book.order() == std::vector<std::string>{"a"});
  value_of(workflow.run(store, "1"));
  CHECK(book.order() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a codec that cannot read what a step gave is an error, and nothing runs again") {
  const Simulation simulation;
  Store store = simulation.open();
  int ran = 0;
  bool works = false;
  const auto last = [&](StepContext& run) {
    return run.step("last", [&]() -> Result<int> {
      if (!works) return std::unexpected(work_retryable("later"));
      return 1;
    });
  };
  const Workflow before("w", [&](StepContext& run) -> Result<int> {
    CHECK(run.step("a", [&] {
      ++ran;
      return Bytes("text");
    }));
    return last(run);
  });
  CHECK(error_of(before.run(store, "1")) == ErrorCode::work_retryable);
  works = true;
  const Workflow after("w", [&](StepContext& run) -> Result<int> {
    auto number = run.step("a", [&] {
      ++ran;
      return 7;
    });
    if (!number) return number;
    return last(run);
  });
  CHECK(error_of(after.run(store, "1")) == ErrorCode::wrong_type);
  CHECK(ran == 1);
}
