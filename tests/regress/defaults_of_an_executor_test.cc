// A wrapped callable and a pipeline were given options of their own where they were given none, and
// not the defaults of their executor; and the stages of a pipeline waited as long as they liked.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>

#include "once/idempotent.h"
#include "once/pipeline.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr Duration month = std::chrono::hours(24 * 30);

struct Doubling : Pipeline<int, int, int> {
  using Pipeline::Pipeline;
  bool dies = false;

  Result<int> process(const int& input) override { return input; }
  Result<int> execute(const int& prepared, const Reservation&) override {
    if (dies) throw std::runtime_error("died");
    return prepared * 2;
  }
};

struct World {
  Simulation simulation;
  Store store = simulation.open();
  int waits = 0;
  Executor executor{store,
                    {.defaults = {.retention = month, .on_abandon = OnAbandon::rerun},
                     .observers = {{.on_wait = [this](const Key&, const Error&) { ++waits; }}}}};

  [[nodiscard]] Duration kept(const Key& key) {
    const auto found = value_of(store.find(key));
    return found ? found->record.expires_at - found->record.updated_at : Duration(0);
  }
};

}  // namespace

TEST_CASE("a wrapped callable and a pipeline follow the defaults of their executor") {
  World world;
  auto wrapped = idempotent(world.executor, "f", [](int n) { return n; });
  CHECK(value_of(wrapped(1)).provenance().time_to_live == month);
  auto of_tenant = idempotent(world.executor, "f", [](int n) { return n; }, {.tenant = "acme"});
  CHECK(value_of(of_tenant(1)).provenance().time_to_live == month);

  Doubling doubling(world.executor);
  CHECK(value_of(doubling.run("k", 1)).provenance().time_to_live == month);
  CHECK(world.kept(stage_key("k", "process")) == month);
  CHECK(world.kept(stage_key("k", "execute")) == month);

  doubling.dies = true;
  CHECK_THROWS_WITH((void)doubling.run("dies", 1), "died");
  CHECK(value_of(world.store.status(stage_key("dies", "execute"))) == KeyStatus::released);
}

TEST_CASE("what a call is given counts in the place of the defaults") {
  World world;
  auto wrapped = idempotent(world.executor, "f", [](int n) { return n; },
                            {.execute = ExecuteOptions{.retention = 1h}});
  CHECK(value_of(wrapped(1)).provenance().time_to_live == 1h);

  Doubling doubling(world.executor, {.on_abandon = OnAbandon::in_doubt});
  CHECK(value_of(doubling.run("k", 1, {.retention = 1h})).provenance().time_to_live == 1h);
  CHECK(world.kept(stage_key("k", "process")) == 1h);
  doubling.dies = true;
  CHECK_THROWS_WITH((void)doubling.run("dies", 1), "died");
  CHECK(value_of(world.store.status(stage_key("dies", "execute"))) == KeyStatus::in_doubt);
}

TEST_CASE("a stage waits as its run does") {
  World world;
  Doubling doubling(world.executor);
  (void)reserved(world.store.reserve(stage_key("k", "execute"), {.lease = 1h}));
  std::atomic<bool> done = false;
  // So that it ends even if it waits.
  const std::jthread time([&] {
    while (!done) {
      std::this_thread::sleep_for(10ms);
      world.simulation.clock->advance(1s);
    }
  });
  CHECK(error_of(doubling.run("k", 1, {.wait = 0ms})) == ErrorCode::busy);
  CHECK(world.waits == 0);
  std::stop_source stop;
  stop.request_stop();
  CHECK(error_of(doubling.run("k", 1, {.stop = stop.get_token()})) == ErrorCode::cancelled);
  done = true;
}
