// Outbox::retry of an event that was being delivered was lost: when that attempt failed, it was
// noted over it, and the event was a dead letter, or waited for its next attempt.
#include <doctest/doctest.h>

#include "outbox/relay_world.h"

using namespace once;
using namespace once::testing;

namespace {

struct World {
  Simulation simulation;
  Store store = simulation.open();
  Receiver receiver;
  int left = 1;  // attempts during which somebody asks for a retry

  World() { value_of(store.publish(event("e", "a"))); }
  // Has each of the next attempts fail, and the first `left` of them be asked for again meanwhile.
  std::unique_ptr<Relay> relay(std::uint32_t max_retries, Result<void> answer) {
    receiver.answer([this, answer](const Event& event) -> Result<void> {
      if (left == 0) return answer;
      --left;
      value_of(Outbox(store).retry(event.id));
      return answer;
    });
    return value_of(Relay::create(store, receiver.publisher(), {.max_retries = max_retries}));
  }
  Event stored() { return events_of(store).at("e"); }
};

Result<void> down() {
  return std::unexpected(work_retryable("down"));
}

}  // namespace

TEST_CASE("a retry during the last attempt is kept") {
  World world;
  const auto relay = world.relay(0, down());
  const DeliveryReport report = value_of(relay->deliver_now(1));
  CHECK(report.dead == 0);
  CHECK(report.failed == 1);
  CHECK(world.stored().status == EventStatus::pending);
  CHECK(world.stored().retries == 0);
  world.receiver.answer({});
  CHECK(value_of(relay->deliver_now()).delivered == 1);
  CHECK(problems_of(world.store) == 0);
}

TEST_CASE("a retry during a definite failure is kept, however often it is asked for") {
  World world;
  world.left = 3;
  const auto relay = world.relay(5, std::unexpected(work_failed("410", "gone")));
  const DeliveryReport report = value_of(relay->deliver_now());
  CHECK(report.failed == 3);
  CHECK(report.dead == 1);  // the one during which nobody asked
}

TEST_CASE("a retry during an earlier attempt is not put off by it") {
  World world;
  auto relay = world.relay(5, down());
  world.left = 0;
  CHECK(value_of(relay->deliver_now()).failed == 1);
  CHECK(world.stored().retries == 1);
  world.simulation.clock->advance(1h);
  world.left = 1;
  CHECK(value_of(relay->deliver_now(1)).failed == 1);
  CHECK(world.stored().retries == 0);
  world.receiver.answer({});
  CHECK(value_of(relay->deliver_now()).delivered == 1);
}

TEST_CASE("two retries during one attempt are kept, and a delivery counts all the same") {
  World world;
  Result<void> answer = down();
  world.receiver.answer([&](const Event& event) -> Result<void> {
    for (int i = 0; i < 2; ++i) value_of(Outbox(world.store).retry(event.id));
    return answer;
  });
  const auto relay =
      value_of(Relay::create(world.store, world.receiver.publisher(), {.max_retries = 0}));
  for (int i = 0; i < 3; ++i) CHECK(value_of(relay->deliver_now(1)).failed == 1);
  answer = {};
  CHECK(value_of(relay->deliver_now()).delivered == 1);
  CHECK(value_of(relay->deliver_now()).delivered == 0);
  CHECK(world.stored().status == EventStatus::delivered);
}
