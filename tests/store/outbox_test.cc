// Events and checkpoints.
#include <doctest/doctest.h>

#include "fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("events come back in the order of their commits, whole") {
  Store store = Simulation().open();
  const Event sent{.aggregate_type = "order",
                   .aggregate_id = Bytes("9\0\xff", 3),
                   .type = "placed",
                   .payload = Bytes("\0\x01", 2),
                   .headers = {{"a", "1"}, {"b", ""}},
                   .metadata = {{"m", "x"}}};
  std::uint64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t sequence = value_of(store.publish(sent));
    CHECK(sequence > last);
    last = sequence;
  }
  std::vector<Event> seen;
  const auto collect = [&](const Event& event) {
    seen.push_back(event);
    return true;
  };
  value_of(store.events({}, collect));
  REQUIRE(seen.size() == 5);
  CHECK(seen[0].payload == sent.payload);
  CHECK(seen[0].headers == sent.headers);
  CHECK(seen[0].metadata == sent.metadata);
  CHECK(seen[0].aggregate_id == sent.aggregate_id);
  CHECK(seen[0].status == EventStatus::pending);
  CHECK(seen[4].sequence == last);
  CHECK(seen[0].id != seen[1].id);
  const std::uint64_t after = seen[2].sequence;
  seen.clear();
  value_of(store.events({.after = after}, collect));
  CHECK(seen.size() == 2);
  seen.clear();
  value_of(store.events({.status = EventStatus::delivered}, collect));
  CHECK(seen.empty());
}

TEST_CASE("checkpoints come back in the order in which they were saved") {
  Store store = Simulation().open();
  const Reservation run = reserved(store.reserve("flow"));
  value_of(store.save_checkpoint(run, "z", "1"));
  value_of(store.save_checkpoint(run, Bytes("a\0", 2), Bytes("\0", 1)));
  value_of(store.save_checkpoint(run, "z", "again"));
  const auto saved = value_of(store.load_checkpoints("flow"));
  REQUIRE(saved.size() == 2);
  CHECK(saved[0].name == Bytes("a\0", 2));
  CHECK(saved[0].data == Bytes("\0", 1));
  CHECK(saved[1].name == "z");
  CHECK(saved[1].data == "again");
  CHECK(value_of(store.load_checkpoints("flo")).empty());
}

TEST_CASE("a checkpoint is fenced by the run's token, and resumed by the next attempt") {
  const Simulation simulation;
  Store store = simulation.open();
  const ReserveOptions options{.lease = 1min, .on_abandon = OnAbandon::rerun};
  const Reservation first = reserved(store.reserve("flow", options));
  value_of(store.save_checkpoint(first, "one", "1"));
  simulation.clock->advance(1min);
  const Reservation second = reserved(store.reserve("flow", options));
  CHECK(error_of(store.save_checkpoint(first, "two", "2")) == ErrorCode::fenced);
  CHECK(value_of(store.load_checkpoints("flow")).size() == 1);
  value_of(store.release(second));
  const Reservation third = reserved(store.reserve("flow", options));
  CHECK(value_of(store.load_checkpoints("flow")).size() == 1);
  value_of(store.complete(third, Outcome::success(), {.retention = 1h}));
  simulation.clock->advance(1h);
  // A new life of the key begins with nothing.
  reserved(store.reserve("flow", options));
  CHECK(value_of(store.load_checkpoints("flow")).empty());
  CHECK(problems_of(store) == 0);
}
