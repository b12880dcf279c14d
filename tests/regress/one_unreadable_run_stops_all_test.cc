// One run whose checkpoints could not be read, say because a newer version wrote them, kept all
// others from being gone on with and from being listed.
#include <doctest/doctest.h>

#include <atomic>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Three runs that were given back; the first of them has a checkpoint of a newer version.
void leave_three(Store& store, const Workflow& workflow, bool& works) {
  works = false;
  for (const char* id : {"a", "b", "c"}) {
    CHECK(error_of(workflow.run(store, id)) == ErrorCode::work_retryable);
  }
  const Reservation mine = reserved(store.reserve(Workflow::key("w", "a")));
  value_of(store.save_checkpoint(mine, "node/n", "\x09 of a newer version"));
  value_of(store.release(mine));
  works = true;
}

}  // namespace

TEST_CASE("a run that cannot be read is told of, and the others go on") {
  const Simulation simulation;
  Store store = simulation.open();
  bool works = false;
  Workflow workflow("w");
  workflow.node("n", {}, [&]() -> Result<void> {
    if (!works) return std::unexpected(work_retryable("down"));
    return {};
  });
  leave_three(store, workflow, works);

  std::map<std::string, ErrorCode> unreadable;
  std::vector<std::string> listed;
  value_of(Workflow::list(store, {}, [&](const WorkflowState& state) {
    listed.push_back(state.id);
    CHECK(state.status == Status::released);
    if (state.unreadable) unreadable[state.id] = state.unreadable->code;
    return true;
  }));
  CHECK(listed == std::vector<std::string>{"a", "b", "c"});
  CHECK(unreadable == std::map<std::string, ErrorCode>{{"a", ErrorCode::newer_format}});

  SUBCASE("resume_all tells its visitor") {
    std::map<std::string, bool> finished;
    value_of(Workflow::resume_all(store, {workflow},
                                  [&](const Key& key, const Result<WorkflowRun>& run) {
                                    finished[key.id] = run.has_value();
                                    if (!run) CHECK(error_of(run) == ErrorCode::newer_format);
                                    return true;
                                  }));
    CHECK(finished == std::map<std::string, bool>{{"a", false}, {"b", true}, {"c", true}});
  }
  SUBCASE("resume_all without a visitor gives it as its error, at the end") {
    CHECK(error_of(Workflow::resume_all(store, {workflow})) == ErrorCode::newer_format);
    CHECK(value_of(workflow.run(store, "b")).replayed());
    CHECK(value_of(workflow.run(store, "c")).replayed());
  }
}

TEST_CASE("a runner goes on with the others too") {
  const Simulation simulation;
  Store store = simulation.open();
  bool works = false;
  Workflow workflow("w");
  workflow.node("n", {}, [&]() -> Result<void> {
    if (!works) return std::unexpected(work_retryable("down"));
    return {};
  });
  leave_three(store, workflow, works);
  std::atomic<int> told = 0;
  WorkflowRunner runner(store, {workflow},
                        {.given_back = 0ms, .observe = [&](const Key&, const Result<WorkflowRun>&) {
                           ++told;
                           told.notify_all();
                         }});
  for (int seen = told; seen < 3; seen = told) told.wait(seen);
  runner.stop();
  CHECK(value_of(workflow.run(store, "b")).replayed());
  CHECK(value_of(workflow.run(store, "c")).replayed());
  // Who observes nothing finds it here.
  CHECK(error_of(runner.last_look()) == ErrorCode::newer_format);
}
