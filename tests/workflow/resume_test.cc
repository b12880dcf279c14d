// Going on with one run, by its id; and the forms with futures.
#include <atomic>
#include <functional>
#include <future>
#include <thread>
#include <utility>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// a -> b -> c, of which "b" does not work yet.
struct Order {
  Simulation simulation;
  Store store = simulation.open();
  Book book;
  bool works = false;
  Workflow workflow{"order"};

  Order() {
    workflow.node("a", {}, [this](NodeContext& node) {
      book.ran("a");
      return node.run_input().value_or("none");
    });
    workflow.node("b", {"a"}, [this]() -> Result<Bytes> {
      book.ran("b");
      if (!works) return std::unexpected(work_retryable("later"));
      return "done";
    });
    workflow.node("c", {"b"}, [this](NodeContext& node) {
      book.ran("c");
      return node.run_input().value_or("none");
    });
  }

  [[nodiscard]] Result<WorkflowRun> resume(const RunOptions& options = {}) {
    return workflow.resume(store, "42", options);
  }
};

}  // namespace

TEST_CASE("a run is resumed by its id alone, with the input that it was begun with") {
  Order order;
  CHECK(error_of(order.workflow.run(order.store, "42", {.input = "sku 7"})) ==
        ErrorCode::work_retryable);
  CHECK(error_of(order.resume()) == ErrorCode::work_retryable);
  order.works = true;
  const auto resumed = value_of(order.resume());
  CHECK(resumed.finished());
  CHECK_FALSE(resumed.replayed());
  CHECK(resumed.executed() == 2);
  CHECK(resumed.skipped() == 1);
  CHECK(value_of(resumed.as<Bytes>()) == "sku 7");
  CHECK(order.book.order() == std::vector<std::string>{"a", "b", "b", "b", "c"});
  // Finished: its outcome, as a replay.
  const auto again = value_of(order.resume());
  CHECK(again.replayed());
  CHECK(value_of(again.as<Bytes>()) == "sku 7");
  CHECK(order.book.order().size() == 5);
}

TEST_CASE("what was never begun, was removed, or is over is not found, and not begun") {
  Order order;
  order.works = true;
  const auto nothing = order.resume();
  CHECK(error_of(nothing) == ErrorCode::not_found);
  CHECK(nothing.error().message.find("there is no run /workflow:order/42") == 0);
  CHECK(value_of(order.store.status(Workflow::key("order", "42"))) == KeyStatus::none);
  value_of(order.workflow.run(order.store, "42"));
  CHECK(error_of(order.workflow.resume(order.store, "43")) == ErrorCode::not_found);
  CHECK(error_of(order.resume({.tenant = "acme"})) == ErrorCode::not_found);
  order.simulation.clock->advance(24h * 7);
  CHECK(error_of(order.resume()) == ErrorCode::not_found);
  value_of(order.workflow.run(order.store, "42"));
  value_of(order.store.remove(Workflow::key("order", "42")));
  CHECK(error_of(order.resume()) == ErrorCode::not_found);
  CHECK(order.book.count("a") == 2);
}

TEST_CASE("a run that ends and is forgotten while somebody waits to resume it is not begun anew") {
  Order order;
  order.works = true;
  const Key key = Workflow::key("order", "42");
  const Reservation held = reserved(order.store.reserve(key));
  Result<WorkflowRun> resumed;
  std::thread waiting([&] { resumed = order.resume({.wait = 1h}); });
  value_of(order.store.complete(held, Outcome::success(), {.retention = 0ms}));
  waiting.join();
  CHECK(error_of(resumed) == ErrorCode::not_found);
  CHECK(order.book.order().empty());
  CHECK(value_of(order.store.status(key)) == KeyStatus::expired);
}

TEST_CASE("a run that goes while resume_all comes to it is not begun anew, without its input") {
  // Whether its owner lives is asked between the two looks at it.
  struct Meddling final : Processes {
    Holder self() const override { return processes.self(); }
    Liveness liveness(const Holder& holder) const override {
      if (meddle) std::exchange(meddle, {})();
      return processes.liveness(holder);
    }
    SimulatedProcesses processes{101};
    mutable std::function<void()> meddle{};
  };
  const TemporaryDirectory directory(quick_place());
  Simulation simulation;
  std::vector<Bytes> inputs;
  Workflow workflow("w");
  workflow.node("a", {},
                [&](NodeContext& node) { inputs.push_back(node.run_input().value_or("none")); });
  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("a", NodeMoment::before_effect);
  {
    Store store = simulation.open(directory.file("store"));
    CHECK_FALSE(workflow.run(store, "1", {.input = "i", .faults = faults}));
  }
  auto processes = std::make_shared<Meddling>();
  processes->processes.set(100, Liveness::dead);
  Options options = simulation.options();
  options.processes = processes;
  Store store = value_of(Store::open(directory.file("store"), options));
  const Key key = Workflow::key("w", "1");
  processes->meddle = [&] { CHECK(value_of(store.remove(key))); };
  std::vector<ErrorCode> told;
  value_of(Workflow::resume_all(store, {workflow}, [&](const Key&, const Result<WorkflowRun>& run) {
    told.push_back(run ? ErrorCode{} : run.error().code);
    return true;
  }));
  CHECK_FALSE(processes->meddle);
  CHECK(told == std::vector<ErrorCode>{ErrorCode::not_found});
  CHECK(inputs.empty());
  CHECK(value_of(store.status(key)) == KeyStatus::none);
}

TEST_CASE("a resume gives what is kept, what is in doubt, and until when a run sleeps") {
  const Simulation simulation;
  Store store = simulation.open();
  Error fails = work_failed("declined", "no");
  Workflow workflow("w", [&](StepContext& run) -> Result<Bytes> {
    if (auto slept = run.sleep("nap", 1h); !slept) return std::unexpected(slept.error());
    return run.step("a", [&]() -> Result<Bytes> { return std::unexpected(fails); });
  });
  const auto begun = value_of(workflow.run(store, "1"));
  CHECK(value_of(workflow.resume(store, "1")).sleeping_until() == begun.sleeping_until());
  value_of(workflow.run(store, "2"));
  simulation.clock->advance(1h);
  CHECK(error_of(workflow.resume(store, "1")) == ErrorCode::work_failed);
  const auto kept = workflow.resume(store, "1");
  CHECK(error_of(kept) == ErrorCode::work_failed);
  CHECK(kept.error().replayed);
  CHECK(kept.error().failure_code == "declined");
  fails = work_unknown("perhaps");
  CHECK(error_of(workflow.resume(store, "2")) == ErrorCode::work_unknown);
  CHECK(error_of(workflow.resume(store, "2")) == ErrorCode::in_doubt);
}

TEST_CASE("a resume takes over from who died, waits for who is at work, and looks at definitions") {
  Order order;
  order.works = true;
  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("b", NodeMoment::after_effect);
  CHECK(error_of(order.workflow.run(order.store, "42", {.input = "i", .faults = faults})) ==
        ErrorCode::unknown);
  // Its lease holds still.
  CHECK(error_of(order.resume({.wait = 0ms})) == ErrorCode::busy);
  let_leases_lapse(order.simulation);
  Workflow changed("order");
  changed.node("other", {}, [] {});
  CHECK(error_of(changed.resume(order.store, "42")) == ErrorCode::mismatch);
  CHECK(error_of(order.resume({.input = "another"})) == ErrorCode::mismatch);
  const auto resumed = value_of(order.resume({.input = "i"}));
  CHECK(resumed.skipped() == 1);
  CHECK(order.book.order() == std::vector<std::string>{"a", "b", "b", "c"});
}

TEST_CASE("other input names the fields that differ, where it is JSON with fields") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow workflow("w");
  workflow.node("a", {}, [] {});
  value_of(workflow.run(store, "json", {.input = R"({"amount": 5, "to": "bob"})"}));
  const auto differs =
      workflow.run(store, "json", {.input = R"({"amount": 6, "to": "bob", "note": "x"})"});
  CHECK(error_of(differs) == ErrorCode::mismatch);
  CHECK(differs.error().differing_fields == std::vector<std::string>{"amount", "note"});
  CHECK(differs.error().message.find("('amount' differs, 'note' was added)") != std::string::npos);
  CHECK(workflow.resume(store, "json", {.input = R"({"to": "bob"})"}).error().differing_fields ==
        std::vector<std::string>{"amount"});
  const auto spelled = workflow.run(store, "json", {.input = R"({"to":"bob","amount":5})"});
  CHECK(error_of(spelled) == ErrorCode::mismatch);
  CHECK(spelled.error().differing_fields.empty());
  CHECK(spelled.error().message.find("(the same JSON, written differently)") != std::string::npos);
  // What has no fields differs as a whole.
  value_of(workflow.run(store, "text", {.input = "x"}));
  const auto whole = workflow.run(store, "text", {.input = R"({"a": 1})"});
  CHECK(error_of(whole) == ErrorCode::mismatch);
  CHECK(whole.error().differing_fields.empty());
  CHECK(whole.error().message.find("with other input; use") != std::string::npos);
}

TEST_CASE("runs and resumes by futures, on the threads of an executor") {
  Order order;
  Executor executor(order.store, {.threads = 1});
  CHECK(error_of(order.workflow.resume_async(executor, "42").get()) == ErrorCode::not_found);
  CHECK(error_of(order.workflow.run_async(executor, "42", {.input = "i"}).get()) ==
        ErrorCode::work_retryable);
  order.works = true;
  // The definition that was asked need not last.
  auto resumed = Workflow(order.workflow).resume_async(executor, "42");
  CHECK(value_of(value_of(resumed.get()).as<Bytes>()) == "i");
  CHECK(value_of(order.workflow.run_async(executor, "42").get()).replayed());
  Workflow throws("throws");
  throws.node("a", {}, []() -> int { throw std::runtime_error("mine"); });
  auto thrown = throws.run_async(executor, "1");
  CHECK_THROWS_WITH(thrown.get(), "mine");
}

TEST_CASE("a run by future is cancelled before it begins, and stopped afterwards") {
  Order order;
  order.works = true;
  Executor executor(order.store, {.threads = 1});
  std::atomic<bool> at_work = false;
  std::stop_source stop;
  Workflow patient("patient");
  patient.node("a", {}, [&](NodeContext& node) {
    at_work = true;
    at_work.notify_all();
    std::promise<void> stopped;
    const std::stop_callback wake(node.stop(), [&] { stopped.set_value(); });
    stopped.get_future().wait();
  });
  patient.node("b", {"a"}, [] { FAIL_CHECK("this must not run"); });
  auto running = patient.run_async(executor, "1", {.stop = stop.get_token()});
  at_work.wait(false);
  std::stop_source other;
  auto waiting = order.workflow.run_async(executor, "42", {.stop = other.get_token()});
  other.request_stop();
  // While the only thread is at the other one.
  CHECK(error_of(waiting.get()) == ErrorCode::cancelled);
  CHECK(order.book.order().empty());
  stop.request_stop();
  CHECK(error_of(running.get()) == ErrorCode::cancelled);
  CHECK(value_of(order.store.status(Workflow::key("order", "42"))) == KeyStatus::none);
  CHECK(state_of(order.store, patient, "1").completed() == std::vector<std::string>{"a"});
}
