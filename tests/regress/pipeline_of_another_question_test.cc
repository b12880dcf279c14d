// The stages of a pipeline knew neither the question of their run nor its retention: a run that was
// released and asked something else, or that was forgotten and asked anew, was given what a stage
// had made of the input before.
#include <doctest/doctest.h>

#include <string>

#include "once/pipeline.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

struct Charging : Pipeline<std::string, std::string, std::string> {
  using Pipeline::Pipeline;
  int prepared = 0;
  int charged = 0;
  std::optional<Error> fails{};

  Result<std::string> process(const std::string& input) override {
    ++prepared;
    return "prepared " + input;
  }
  Result<std::string> execute(const std::string& ready, const Reservation&) override {
    if (fails) return std::unexpected(*fails);
    ++charged;
    return "charged for " + ready;
  }
};

struct World {
  Simulation simulation;
  Store store = simulation.open();
  Executor executor{store};
  Charging charging{executor};
};

ExecuteOptions asking(std::string_view json) {
  Question question = value_of(question_of(json));
  return {.fingerprint = question.fingerprint, .fields = std::move(question.fields)};
}

}  // namespace

TEST_CASE("a released run of a pipeline does not answer another question") {
  World world;
  const Key key("order-1");
  const ExecuteOptions a = asking(R"({"amount":10})");
  const ExecuteOptions b = asking(R"({"amount":99})");
  world.charging.fails = work_retryable("later");
  CHECK(error_of(world.charging.run(key, "10 EUR", a)) == ErrorCode::work_retryable);
  world.charging.fails.reset();
  const auto other = world.charging.run(key, "99 EUR", b);
  CHECK(error_of(other) == ErrorCode::mismatch);
  CHECK(other.error().differing_fields == std::vector<std::string>{"amount"});
  CHECK(world.charging.charged == 0);
  CHECK(value_of(world.charging.run(key, "10 EUR", a)).value() == "charged for prepared 10 EUR");
  CHECK(world.charging.prepared == 1);
  CHECK(world.charging.charged == 1);
}

TEST_CASE("the stages of a pipeline are kept no longer than their run") {
  World world;
  const Key key("order-1");
  const ExecuteOptions hour{.retention = 1h};
  CHECK(value_of(world.charging.run(key, "1", hour)).value() == "charged for prepared 1");
  world.simulation.clock->advance(2h);
  const auto again = value_of(world.charging.run(key, "2", hour));
  CHECK(again.value() == "charged for prepared 2");
  CHECK(!again.replayed());
}

TEST_CASE("a stage in doubt stays so when its run is forgotten") {
  World world;
  const Key key("order-1");
  world.charging.fails = work_unknown("no answer");
  CHECK(error_of(world.charging.run(key, "1", {.retention = 1h})) == ErrorCode::in_doubt);
  world.charging.fails.reset();
  world.simulation.clock->advance(2h);
  CHECK(value_of(world.store.status(key)) == KeyStatus::expired);
  CHECK(error_of(world.charging.run(key, "1", {.retention = 1h})) == ErrorCode::in_doubt);
  world.simulation.clock->advance(2h);
  value_of(world.store.resolve(stage_key(key, "execute"), Verdict::success,
                               Outcome::success("charged already")));
  CHECK(value_of(world.charging.run(key, "1", {.retention = 1h})).value() == "charged already");
}
