// FailurePolicy::attempts says how often one call runs the work. A refresh and a merge ran it once
// whatever it said, and a pipeline ran each stage so often for each of as many attempts of its run.
#include <doctest/doctest.h>

#include "once/pipeline.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

struct World {
  Store store = Simulation().open();
  int failures = 0;
  Executor executor{
      store,
      {.failures = {.attempts = 3, .initial_pause = 0ms},
       .observers = {{.on_failure = [this](const Reservation&, const Error&, FailureClass failure) {
         ++failures;
         CHECK(failure == FailureClass::retryable);
       }}}}};
};

struct Flaky : Pipeline<int, int, int> {
  using Pipeline::Pipeline;
  int processed = 0;
  int executed = 0;
  int fails = 0;

  Result<int> process(const int& input) override {
    ++processed;
    return input;
  }
  Result<int> execute(const int& prepared, const Reservation&) override {
    if (++executed <= fails) return std::unexpected(work_retryable("later"));
    return prepared;
  }
};

}  // namespace

TEST_CASE("refresh and merge try again as often as the policy says") {
  World world;
  int calls = 0;
  int fails = 0;
  const auto work = [&]() -> Result<int> {
    if (++calls <= fails) return std::unexpected(work_retryable("later"));
    return calls;
  };
  const auto sum = [](int before, int now) { return before + now; };
  CHECK(value_of(world.executor.execute("k", work)).value() == 1);
  calls = 0;
  fails = 2;
  CHECK(value_of(world.executor.refresh("k", work)).value() == 3);
  CHECK(calls == 3);
  calls = 0;
  CHECK(value_of(world.executor.merge("k", work, sum)).value() == 6);
  CHECK(calls == 3);
  CHECK(world.failures == 4);

  fails = 100;
  calls = 0;
  CHECK(error_of(world.executor.refresh("k", work)) == ErrorCode::work_retryable);
  CHECK(calls == 3);
  calls = 0;
  CHECK(error_of(world.executor.refresh("fresh", work)) == ErrorCode::work_retryable);
  CHECK(calls == 3);
  // What was there is still there.
  CHECK(value_of(world.executor.execute("k", work)).value() == 6);
}

TEST_CASE("a stage of a pipeline is tried as often as the policy says, and no more") {
  World world;
  Flaky flaky(world.executor);
  flaky.fails = 100;
  CHECK(error_of(flaky.run("k", 1)) == ErrorCode::work_retryable);
  CHECK(flaky.executed == 3);
  CHECK(flaky.processed == 1);
  flaky.executed = 0;
  flaky.fails = 2;
  CHECK(value_of(flaky.run("k", 1)).value() == 1);
  CHECK(flaky.executed == 3);
  CHECK(flaky.processed == 1);
}
