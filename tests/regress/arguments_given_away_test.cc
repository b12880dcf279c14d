// A callable that was wrapped by idempotent() and tried again got arguments that its first try had
// moved from: the key was that of the order asked for, and what was charged was an empty one.
#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>

#include "once/idempotent.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

const std::string long_name = "order-42, longer than what a string keeps within itself";

struct World {
  Store store = Simulation().open();
  Executor executor{store,
                    {.failures = {.classify_exception =
                                      [](const std::exception_ptr&) {
                                        return std::optional(FailureClass::retryable);
                                      },
                                  .attempts = 3,
                                  .initial_pause = 0ms}}};
  std::vector<std::string> seen;

  // The third try succeeds.
  Result<std::string> charge(const std::string& order) {
    seen.push_back(order);
    if (seen.size() < 3) return std::unexpected(work_retryable("refused"));
    return "receipt for " + order;
  }
  [[nodiscard]] std::vector<std::string> three_times() const { return {3, long_name}; }
};

using Owned = std::unique_ptr<std::string>;

}  // namespace

template <>
struct once::Argument<Owned> {
  static std::optional<Bytes> write(const Owned& value) { return *value; }
};

TEST_CASE("each try gets the arguments that were given, however the callable takes them") {
  World world;
  const auto check = [&](auto&& wrapped) {
    world.seen.clear();
    CHECK(value_of(wrapped(std::string(long_name))).value() == "receipt for " + long_name);
    CHECK(world.seen == world.three_times());
    CHECK(value_of(wrapped(long_name)).replayed());
  };
  check(idempotent(world.executor, "const", [&](const std::string& o) { return world.charge(o); }));
  check(idempotent(world.executor, "value", [&](std::string order) {
    const std::string taken = std::move(order);
    return world.charge(taken);
  }));
  check(idempotent(world.executor, "any", [&](auto&& order) { return world.charge(order); }));
  check(idempotent(world.executor, "view",
                   [&](std::string_view order) { return world.charge(std::string(order)); }));
}

TEST_CASE("a parameter that only takes gets a copy each time") {
  World world;
  auto wrapped = idempotent(world.executor, "f", [&](std::string&& order, int) {
    const std::string taken = std::move(order);
    return world.charge(taken);
  });
  CHECK(value_of(wrapped(std::string(long_name), 1)).value() == "receipt for " + long_name);
  CHECK(world.seen == world.three_times());
}

TEST_CASE("a parameter that may change its argument gets the caller's own") {
  World world;
  auto wrapped = idempotent(world.executor, "f", [&](std::string& order) {
    order += "!";
    return world.charge(order);
  });
  std::string order = "a";
  CHECK(value_of(wrapped(order)).value() == "receipt for a!!!");
  CHECK(order == "a!!!");
}

TEST_CASE("an argument that cannot be copied is given to one try, whose failure is the answer") {
  World world;
  int calls = 0;
  auto fails = idempotent(world.executor, "fails", [&](Owned order) -> Result<std::string> {
    ++calls;
    return world.charge(*order);
  });
  const auto failed = fails(std::make_unique<std::string>(long_name));
  CHECK(error_of(failed) == ErrorCode::work_retryable);
  CHECK(failed.error().message.find("refused") != std::string::npos);
  CHECK(calls == 1);
  // Nothing is kept: who calls again gives a new one.
  for (int i = 0; i < 2; ++i) (void)fails(std::make_unique<std::string>(long_name));
  CHECK(value_of(fails(std::make_unique<std::string>(long_name))).replayed());
  CHECK(world.seen == world.three_times());

  auto throws = idempotent(world.executor, "throws", [&](Owned order, const std::string&) {
    ++calls;
    if (*order == long_name) throw std::runtime_error("thrown");
    return *order;
  });
  calls = 0;
  CHECK_THROWS_WITH((void)throws(std::make_unique<std::string>(long_name), "x"), "thrown");
  CHECK(calls == 1);
  CHECK(value_of(throws(std::make_unique<std::string>("short"), "x")).value() == "short");
}
