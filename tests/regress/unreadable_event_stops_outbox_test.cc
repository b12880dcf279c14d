// One row of the outbox that could not be read, written by a newer version or cut short, kept every
// other event from being delivered, counted, retried and dropped.
#include <doctest/doctest.h>

#include "model/key_codec.h"
#include "outbox/relay_world.h"
#include "store/raw_store.h"

using namespace once;
using namespace once::testing;

namespace {

enum class Kind { newer, cut_short };

// Events a1, x1, a2 and b1; x1 cannot be read.
struct World {
  Simulation simulation;
  TemporaryDirectory directory;
  std::string path = directory.file("store");
  Bytes readable;  // the row of x1
  std::uint64_t sequence = 0;
  std::optional<Store> store;
  Receiver receiver;

  explicit World(Kind kind = Kind::newer) {
    store = simulation.open(path);
    for (const char* id : {"a1", "x1", "a2", "b1"}) {
      const auto at = value_of(store->publish(event(id, std::string(1, id[0]))));
      if (id[0] == 'x') sequence = at;
    }
    value_of(store->close());
    {
      RawStore raw(path);
      const Bytes row = model::encode_sequence(sequence);
      readable = raw.get(Table::outbox, row);
      Bytes broken = readable;
      if (kind == Kind::newer) broken[0] = 9;
      if (kind == Kind::cut_short) broken.resize(broken.size() - 5);
      raw.put(Table::outbox, row, broken);
    }
    store = simulation.open(path);
  }
  std::unique_ptr<Relay> relay(RelayOptions options = {}) {
    return value_of(Relay::create(*store, receiver.publisher(), options));
  }
  // As a version that can read it finds it.
  void make_readable() {
    value_of(store->close());
    RawStore(path).put(Table::outbox, model::encode_sequence(sequence), readable);
    store = simulation.open(path);
  }
};

bool names_the_way_out(const World& world, const Error& error) {
  return error.message.contains("once outbox drop STORE --sequence " +
                                std::to_string(world.sequence));
}

Result<void> down(const Event&) {
  return std::unexpected(work_failed("410", "gone"));
}

}  // namespace

TEST_CASE("an event that cannot be read holds up no other one, and is not lost") {
  ErrorCode code = ErrorCode::newer_format;
  Kind kind = Kind::newer;
  SUBCASE("of a newer version") {}
  SUBCASE("cut short") {
    kind = Kind::cut_short;
    code = ErrorCode::damaged;
  }
  World world(kind);
  {
    const auto relay = world.relay();
    CHECK(value_of(relay->deliver_now()).delivered == 3);
    CHECK(world.receiver.taken() == Ids{"a1", "a2", "b1"});
    REQUIRE(relay->status().error);
    CHECK(relay->status().error->code == code);
    CHECK(names_the_way_out(world, *relay->status().error));
    // The cursor goes past it, and leaves it behind by name.
    for (int i = 0; i < 600; ++i) value_of(world.store->publish(event("", "")));
    CHECK(value_of(relay->deliver_now()).delivered == 600);
    REQUIRE(relay->status().error);
    CHECK(names_the_way_out(world, *relay->status().error));
  }
  const OutboxLag lag = value_of(Outbox(*world.store).lag());
  CHECK(lag.pending == 0);
  CHECK(lag.unreadable == 1);
  // Whoever takes over is told, too.
  {
    const auto relay = world.relay();
    CHECK(value_of(relay->deliver_now()).delivered == 0);
    CHECK(relay->status().error);
  }
  world.make_readable();
  const auto relay = world.relay();
  CHECK(value_of(relay->deliver_now()).delivered == 1);
  CHECK(world.receiver.taken().back() == "x1");
  CHECK_FALSE(relay->status().error);
  CHECK(problems_of(*world.store) == 0);
}

TEST_CASE("a relay's thread passes over an event that cannot be read, and tells") {
  World world;
  auto relay = value_of(Relay::start(*world.store, world.receiver.publisher()));
  world.receiver.wait_for(3);
  while (!relay->status().error) std::this_thread::yield();
  CHECK(names_the_way_out(world, *relay->status().error));
  value_of(relay->stop());
}

TEST_CASE("retry and drop of what can be read work whatever stands elsewhere") {
  World world;
  world.receiver.answer(down);
  CHECK(value_of(world.relay()->deliver_now()).dead == 2);  // a1, which holds up a2, and b1
  Outbox outbox(*world.store);
  CHECK(value_of(outbox.lag()).dead == 2);
  value_of(outbox.retry("a2"));
  CHECK(value_of(outbox.retry_dead()) == 2);
  value_of(outbox.drop("a1"));
  value_of(outbox.drop("b1"));
  const Result<void> missing = outbox.retry("x1");
  CHECK(error_of(missing) == ErrorCode::not_found);
  CHECK(missing.error().message.contains("cannot be read"));
  world.receiver.answer({});
  CHECK(value_of(world.relay()->deliver_now()).delivered == 1);
}

TEST_CASE("looking at the outbox tells of an event that cannot be read, and goes on") {
  World world;
  Outbox outbox(*world.store);
  Ids seen;
  const auto visit = [&](const Event& event) {
    seen.push_back(event.id);
    return true;
  };
  CHECK(error_of(outbox.unsettled(visit)) == ErrorCode::newer_format);
  CHECK(seen == Ids{"a1", "a2", "b1"});
  seen.clear();
  value_of(outbox.unsettled(visit, [&](std::uint64_t sequence, const Error& error) {
    CHECK(sequence == world.sequence);
    CHECK(names_the_way_out(world, error));
    seen.emplace_back("?");
    return true;
  }));
  CHECK(seen == Ids{"a1", "?", "a2", "b1"});
}

TEST_CASE("an event that cannot be read can be dropped by its sequence, and no other one") {
  World world;
  Outbox outbox(*world.store);
  const auto relay = world.relay();
  for (int i = 0; i < 600; ++i) value_of(world.store->publish(event("", "")));
  SUBCASE("ahead of the cursor") {}
  SUBCASE("left behind") {
    CHECK(value_of(relay->deliver_now()).delivered == 603);
  }
  CHECK(error_of(outbox.drop_unreadable(world.sequence + 1)) == ErrorCode::conflict);
  CHECK(error_of(outbox.drop_unreadable(12345)) == ErrorCode::not_found);
  value_of(outbox.drop_unreadable(world.sequence));
  CHECK(error_of(outbox.drop_unreadable(world.sequence)) == ErrorCode::not_found);
  value_of(relay->deliver_now());
  CHECK(world.receiver.taken().size() == 603);
  CHECK_FALSE(relay->status().error);
  CHECK(value_of(outbox.lag()).unreadable == 0);
  CHECK(problems_of(*world.store) == 0);
}
