// What failed and was due again before its batch ended was tried again in the same batch, and its
// failures were counted once when that ended: far more attempts than RelayOptions::max_retries. And
// since what is due went by its sequence, receivers that hang for longer than the delay kept
// everything behind them from being tried.
#include <doctest/doctest.h>

#include <set>

#include "outbox/relay_world.h"

using namespace once;
using namespace once::testing;

namespace {

struct World {
  Simulation simulation;
  Store store = simulation.open();
  Receiver receiver;

  void publish(const std::string& id) { value_of(store.publish(event(id, id))); }
  // Takes longer than any delay.
  Result<void> hang() const {
    simulation.clock->advance(300ms);
    return fail(ErrorCode::work_retryable, "it hangs");
  }
  std::unique_ptr<Relay> relay(std::size_t batch, std::uint32_t max_retries) {
    return value_of(Relay::create(store, receiver.publisher(),
                                  {.batch = batch,
                                   .backoff = {.initial = 10ms, .max = 10ms, .jitter = 0},
                                   .max_retries = max_retries,
                                   .seed = 1}));
  }
};

}  // namespace

TEST_CASE("an event whose attempts take longer than its delay is tried as often as it may be") {
  for (const std::size_t batch : {1U, 2U, 100U}) {
    CAPTURE(batch);
    World world;
    world.publish("hangs");
    for (int i = 0; i < 60; ++i) world.publish(std::to_string(i));
    std::vector<std::uint32_t> retries;
    world.receiver.answer([&](const Event& event) -> Result<void> {
      if (event.id != "hangs") {
        world.simulation.clock->advance(10ms);
        return {};
      }
      retries.push_back(event.retries);
      CHECK(events_of(world.store)["hangs"].retries == event.retries);
      return world.hang();
    });
    auto relay = world.relay(batch, 3);
    DeliveryReport done;
    while (done.dead == 0 && done.failed < 10) {
      const DeliveryReport more = value_of(relay->deliver_now());
      done.delivered += more.delivered;
      done.failed += more.failed;
      done.dead += more.dead;
      world.simulation.clock->advance(10ms);
    }
    CHECK(done.delivered == 60);
    CHECK(done.failed == 3);
    CHECK(done.dead == 1);
    CHECK(retries == std::vector<std::uint32_t>{0, 1, 2, 3});
  }
}

TEST_CASE("receivers that hang keep no new event waiting for long") {
  for (const std::size_t batch : {1U, 2U, 100U}) {
    CAPTURE(batch);
    World world;
    world.publish("a");
    world.publish("b");
    int calls = 0;
    int waited = -1;
    world.receiver.answer([&](const Event& event) -> Result<void> {
      if (event.id == "c") {
        waited = calls - 10;
        return {};
      }
      if (++calls == 10) world.publish("c");
      return world.hang();
    });
    CHECK(value_of(world.relay(batch, 50)->deliver_now()).delivered == 1);
    CHECK(waited >= 0);
    CHECK(waited <= (batch == 1 ? 10 : 2));
  }
}

TEST_CASE("a stream of new events does not keep what failed before from being tried again") {
  for (const std::size_t batch : {1U, 2U, 100U}) {
    CAPTURE(batch);
    World world;
    for (const char* id : {"a", "b", "c"}) world.publish(id);
    std::multiset<std::string> tried;
    int calls = 0;
    world.receiver.answer([&](const Event& event) -> Result<void> {
      // There is always one more.
      if (++calls < 1000) world.publish(std::to_string(calls));
      if (event.id > "9") {
        tried.insert(event.id);
        return world.hang();
      }
      world.simulation.clock->advance(1ms);
      return {};
    });
    (void)value_of(world.relay(batch, 1'000'000)->deliver_now(600));
    CHECK(calls < 1000);
    for (const char* id : {"a", "b", "c"}) CHECK(tried.count(id) >= 2);
  }
}
