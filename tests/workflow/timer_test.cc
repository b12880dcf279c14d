// Timers that outlive the run, the store and the process; going on with what is left.
#include <atomic>
#include <semaphore>
#include <thread>

#include "fixture.h"
#include "workflow/run_rows.h"

using namespace once;
using namespace once::testing;

namespace {

Workflow graph_with_timer(Book& book) {
  Workflow workflow("g");
  workflow.node("before", {}, [&] { book.ran("before"); })
      .sleep("pause", {"before"}, std::chrono::hours(24 * 30))
      .node("after", {"pause"}, [&] { book.ran("after"); });
  return workflow;
}

Workflow steps_with_timer(Book& book) {
  return Workflow("s", [&](StepContext& run) -> Result<void> {
    if (auto done = run.step("before", [&] { book.ran("before"); }); !done) return done;
    if (auto slept = run.sleep("pause", std::chrono::hours(24 * 30)); !slept) return slept;
    return run.step("after", [&] { book.ran("after"); });
  });
}

}  // namespace

TEST_CASE(
    "a run sleeps without holding anything, through a restart, and longer than its retention") {
  for (const bool in_steps : {false, true}) {
    CAPTURE(in_steps);
    TemporaryDirectory directory;
    const std::string path = directory.path() + "/s.once";
    const Simulation simulation;
    Book book;
    const Workflow workflow = in_steps ? steps_with_timer(book) : graph_with_timer(book);
    Time due;
    {
      Store store = simulation.open(path);
      const auto run = value_of(workflow.run(store, "1"));
      CHECK(!run.finished());
      CHECK(run.executed() == 1);
      due = run.sleeping_until().value_or(Time{});
      CHECK(due == simulation.clock->wall() + std::chrono::hours(24 * 30));
      const WorkflowState state = state_of(store, workflow, "1");
      CHECK(state.sleeping_until == due);
      CHECK(node_of(state, "pause").status == NodeStatus::sleeping);
      CHECK(node_of(state, "pause").due == due);
    }
    simulation.clock->advance(std::chrono::hours(24 * 29));
    {
      Store store = as_process(simulation, 101).open(path);
      value_of(store.sweep());
      // Asked again: still the same, and nothing happens to the record.
      const auto run = value_of(workflow.run(store, "1"));
      CHECK(run.sleeping_until() == due);
      CHECK(state_of(store, workflow, "1").attempt == 1);
      int resumed = 0;
      const auto count = [&](const Key&, const Result<WorkflowRun>&) { return ++resumed > 0; };
      value_of(Workflow::resume_all(store, {workflow}, count));
      CHECK(resumed == 0);
      simulation.clock->advance(std::chrono::hours(24));
      value_of(Workflow::resume_all(store, {workflow}, count));
      CHECK(resumed == 1);
      CHECK(value_of(workflow.run(store, "1")).replayed());
      CHECK(node_of(state_of(store, workflow, "1"), "pause").status == NodeStatus::done);
      CHECK(problems_of(store) == 0);
    }
    CHECK(book.order() == std::vector<std::string>{"before", "after"});
  }
}

TEST_CASE("a run that an earlier version put to sleep is woken when its timer is due") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  const Workflow workflow = steps_with_timer(book);
  const Key key = Workflow::key("s", "1");
  const Time due = *value_of(workflow.run(store, "1")).sleeping_until();
  // What such a version wrote did not tell until when.
  const Reservation mine = reserved(store.reserve(key, {.retention = forever}));
  for (const Checkpoint& row : value_of(store.load_checkpoints(key))) {
    if (row.name != workflow::progress_row) continue;
    workflow::ProgressRow progress = value_of(workflow::decode_progress(row.data));
    CHECK(progress.sleeps_until == due);
    progress.sleeps_until.reset();
    value_of(store.save_checkpoint(mine, row.name, workflow::encode_progress(progress)));
  }
  value_of(store.release(mine));
  CHECK(state_of(store, workflow, "1").sleeping_until == due);
  value_of(Workflow::resume_all(store, {workflow}));
  CHECK(book.count("after") == 0);
  simulation.clock->advance(std::chrono::hours(24 * 30));
  value_of(Workflow::resume_all(store, {workflow}));
  CHECK(book.count("after") == 1);
}

TEST_CASE("a reboot and a wall clock set back do not make a timer early") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/s.once";
  const Simulation simulation;
  Book book;
  const Workflow workflow = steps_with_timer(book);
  Time due;
  {
    Store store = simulation.open(path);
    due = *value_of(workflow.run(store, "1")).sleeping_until();
  }
  simulation.clock->reboot();
  simulation.clock->set_wall(due - std::chrono::hours(24 * 60));
  Store store = simulation.open(path);
  CHECK(value_of(workflow.run(store, "1")).sleeping_until() == due);
  CHECK(book.count("after") == 0);
}

TEST_CASE("short timers are waited for, if that is asked for") {
  for (const bool in_steps : {false, true}) {
    CAPTURE(in_steps);
    const Simulation simulation;
    Store store = simulation.open();
    Book book;
    const Workflow workflow = in_steps ? steps_with_timer(book) : graph_with_timer(book);
    std::jthread time([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        simulation.clock->advance(std::chrono::hours(24));
        std::this_thread::yield();
      }
    });
    const auto run =
        value_of(workflow.run(store, "1", {.wait_for_timers = std::chrono::hours(24 * 31)}));
    CHECK(run.finished());
    CHECK(book.order() == std::vector<std::string>{"before", "after"});
  }
}

TEST_CASE("other nodes go on while a timer runs; the earliest timer counts") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  Workflow workflow("w");
  workflow.sleep("long", {}, 2h)
      .sleep("short", {}, 1h)
      .node("free", {}, [&] { book.ran("free"); })
      .node("after short", {"short"}, [&] { book.ran("after short"); })
      .node("last", {"long", "after short", "free"}, [&] { book.ran("last"); });
  const Time start = simulation.clock->wall();
  CHECK(value_of(workflow.run(store, "1")).sleeping_until() == start + 1h);
  CHECK(book.order() == std::vector<std::string>{"free"});
  simulation.clock->advance(1h);
  CHECK(value_of(workflow.run(store, "1")).sleeping_until() == start + 2h);
  CHECK(book.order() == std::vector<std::string>{"free", "after short"});
  simulation.clock->advance(1h);
  CHECK(value_of(workflow.run(store, "1")).finished());
  CHECK(book.order() == std::vector<std::string>{"free", "after short", "last"});
}

TEST_CASE("a function that goes on after a sleep that has not passed gets nothing done") {
  const Simulation simulation;
  Store store = simulation.open();
  int ran = 0;
  const Workflow workflow("w", [&](StepContext& run) -> Result<int> {
    (void)run.sleep("pause", 1h);  // not passed on
    (void)run.step("next", [&] { ++ran; });
    return 5;
  });
  CHECK(value_of(workflow.run(store, "1")).sleeping_until());
  CHECK(ran == 0);
  simulation.clock->advance(1h);
  CHECK(value_of(workflow.run(store, "1")).value() == "5");
  CHECK(ran == 1);
}

TEST_CASE("sleep_until, a time that has passed, and a duration of no use") {
  const Simulation simulation;
  Store store = simulation.open();
  const Time past = simulation.clock->wall() - 1h;
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    CHECK(error_of(run.sleep("never", -1ms)) == ErrorCode::invalid_argument);
    if (auto slept = run.sleep_until("past", past); !slept) return slept;
    return run.sleep("none", 0ms);
  });
  CHECK(value_of(workflow.run(store, "1")).finished());
}

TEST_CASE("resume_all goes on with what a crash left, and with nothing that is at work or done") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  Workflow workflow("w", {.heartbeat = false});
  workflow.node("a", {}, [&](NodeContext& node) { book.ran(node.run_id() + "/a"); })
      .node("b", {"a"}, [&](NodeContext& node) { book.ran(node.run_id() + "/b"); });
  Workflow other("other", {.heartbeat = false});
  other.node("x", {}, [&] { book.ran("x"); });
  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("a", NodeMoment::after_checkpoint);
  faults->die("b", NodeMoment::after_effect);
  faults->die("x", NodeMoment::before_effect);
  CHECK(error_of(workflow.run(store, "1", {.tenant = "t", .faults = faults})) ==
        ErrorCode::unknown);
  CHECK(error_of(workflow.run(store, "2", {.faults = faults})) == ErrorCode::unknown);
  CHECK(error_of(other.run(store, "3", {.faults = faults})) == ErrorCode::unknown);
  value_of(workflow.run(store, "done"));
  let_leases_lapse(simulation);
  // Somebody is at work on this one.
  (void)reserved(store.reserve(Workflow::key("w", "held"), {.on_abandon = OnAbandon::rerun}));

  CHECK(state_of(store, workflow, "2").abandoned);
  std::vector<std::string> resumed;
  const auto note = [&](const Key& key, const Result<WorkflowRun>& run) {
    CHECK(value_of(run).finished());
    resumed.push_back(key.to_string());
    return true;
  };
  value_of(Workflow::resume_all(store, {workflow}, note));
  CHECK(resumed == std::vector<std::string>{"/workflow:w/2", "t/workflow:w/1"});
  CHECK(book.count("1/a") == 1);
  CHECK(book.count("1/b") == 1);
  CHECK(book.count("2/a") == 1);
  CHECK(book.count("2/b") == 2);  // had its effect, and no checkpoint
  CHECK(book.count("x") == 0);
  value_of(Workflow::resume_all(store, {workflow}, note));
  CHECK(resumed.size() == 2);
  value_of(Workflow::resume_all(store, {workflow, other}, note));
  CHECK(book.count("x") == 1);
}

TEST_CASE("resume_all finds an owner that is dead at once") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/s.once";
  const Simulation simulation;
  Book book;
  Workflow workflow("w");
  workflow.node("a", {}, [&] { book.ran("a"); });
  {
    Store store = as_process(simulation, 200).open(path);
    auto faults = std::make_shared<WorkflowFaults>();
    faults->die("a", NodeMoment::before_effect);
    CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
  }
  Store store = simulation.open(path);
  simulation.processes->set(200, Liveness::running);
  value_of(Workflow::resume_all(store, {workflow}));
  CHECK(book.count("a") == 0);
  simulation.processes->set(200, Liveness::dead);
  value_of(Workflow::resume_all(store, {workflow}));
  CHECK(book.count("a") == 1);
}

TEST_CASE(
    "what was given back after a failure is gone on with when asked for, and after its time") {
  const Simulation simulation;
  Store store = simulation.open();
  int tries = 0;
  Workflow workflow("w");
  workflow.node("a", {}, [&]() -> Result<void> {
    ++tries;
    return std::unexpected(work_retryable("down"));
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  value_of(Workflow::resume_all(store, {workflow}, {}, {}, std::nullopt));
  CHECK(tries == 1);
  value_of(Workflow::resume_all(store, {workflow}, {}, {}, 1min));
  CHECK(tries == 1);
  simulation.clock->advance(1min);
  value_of(Workflow::resume_all(store, {workflow}, {}, {}, 1min));
  CHECK(tries == 2);
  value_of(Workflow::resume_all(store, {workflow}));
  CHECK(tries == 3);
}

TEST_CASE("a runner goes on with what is left, and with timers when they are due") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  const Workflow workflow = steps_with_timer(book);
  value_of(workflow.run(store, "1"));
  std::binary_semaphore told(0);
  std::atomic<int> finished = 0;
  WorkflowRunner::Options options{.observe = [&](const Key&, const Result<WorkflowRun>& run) {
    if (run && run->finished()) ++finished;
    told.release();
  }};
  WorkflowRunner runner(store, {workflow}, options);
  simulation.clock->advance(std::chrono::hours(24 * 30));
  told.acquire();
  CHECK(finished == 1);
  CHECK(book.order() == std::vector<std::string>{"before", "after"});
  // One that goes to sleep elsewhere meanwhile.
  value_of(workflow.run(store, "2"));
  runner.wake();
  simulation.clock->advance(std::chrono::hours(24 * 30));
  told.acquire();
  CHECK(finished == 2);
  runner.stop();
  value_of(runner.last_look());
}

namespace {

// Counts how often it is asked after process 200, which lives.
class CountingProcesses final : public Processes {
 public:
  Holder self() const override { return holder(100); }
  Liveness liveness(const Holder& who) const override {
    if (who.pid == 200) ++asked;
    return Liveness::running;
  }
  mutable std::atomic<int> asked = 0;
};

}  // namespace

TEST_CASE("between two looks a runner wakes those whose timers are due, and reads no other run") {
  const Simulation simulation;
  Options options = simulation.options();
  const auto processes = std::make_shared<CountingProcesses>();
  options.processes = processes;
  Store store = value_of(Store::open("memory:", options));
  const Workflow workflow("w", [](StepContext& run) -> Result<void> {
    if (auto slept = run.sleep("first", 1s); !slept) return slept;
    return run.sleep("second", 1s);
  });
  CHECK(value_of(workflow.run(store, "1")).sleeping_until());
  // Whoever looks at all runs asks once whether the owner of this one lives.
  (void)reserved(store.reserve(Workflow::key("w", "held"),
                               {.on_abandon = OnAbandon::rerun, .holder = holder(200)}));
  std::counting_semaphore<> told(0);
  std::atomic<int> finished = 0;
  WorkflowRunner runner(
      store, {workflow},
      {.interval = 1h, .observe = [&](const Key&, const Result<WorkflowRun>& run) {
         if (run && run->finished()) ++finished;
         told.release();
       }});
  while (processes->asked == 0) std::this_thread::yield();
  simulation.clock->advance(1s);
  told.acquire();
  CHECK(finished == 0);
  simulation.clock->advance(1s);
  told.acquire();
  CHECK(finished == 1);
  CHECK(processes->asked == 1);
  runner.wake();
  while (processes->asked == 1) std::this_thread::yield();
  CHECK(value_of(workflow.run(store, "1")).replayed());
  // It may work out when to look next only after the time was moved.
  while (processes->asked == 2) {
    simulation.clock->advance(1h);
    std::this_thread::yield();
  }
  runner.stop();
}

TEST_CASE("a runner that is stopped stops the run at hand, which can be gone on with") {
  const Simulation simulation;
  Store store = simulation.open();
  Book book;
  std::binary_semaphore begun(0);
  Workflow workflow("w", {.threads = 1});
  workflow
      .node("a", {},
            [&](NodeContext& node) {
              book.ran("a");
              begun.release();
              std::binary_semaphore stopped(0);
              const std::stop_callback wake(node.stop(), [&] { stopped.release(); });
              if (book.count("a") == 1) stopped.acquire();
            })
      .node("b", {"a"}, [&] { book.ran("b"); });
  auto faults = std::make_shared<WorkflowFaults>();
  faults->fail("a", NodeMoment::before_effect, work_retryable("later"));
  CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::work_retryable);
  {
    const WorkflowRunner runner(store, {workflow}, {.given_back = 0ms});
    begun.acquire();
  }
  CHECK(book.order() == std::vector<std::string>{"a"});
  value_of(workflow.run(store, "1"));
  CHECK(book.order() == std::vector<std::string>{"a", "b"});
}
