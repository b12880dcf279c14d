// Time never runs back and never jumps.
#include <doctest/doctest.h>

#include <filesystem>

#include <functional>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Tries a turn of the wall clock: `live` has an hour left, `expired` is past its retention and was
// seen so, `held` is under a lease with an hour left.
void check_turn(bool reopen, const std::function<void(ManualClock&)>& turn) {
  const TemporaryDirectory directory;
  const Simulation simulation;
  auto store = std::make_unique<Store>(simulation.open(directory.file("s")));
  value_of(store->execute("expired", [] {}, {.retention = 1h}));
  simulation.clock->advance(2h);
  value_of(store->execute("live", [] {}, {.retention = 1h}));
  reserved(store->reserve("held", {.lease = 1h, .on_abandon = OnAbandon::rerun}));
  CHECK_FALSE(value_of(store->find("expired")));

  turn(*simulation.clock);
  if (reopen) {
    store.reset();
    store = std::make_unique<Store>(simulation.open(directory.file("s")));
  }
  CHECK(value_of(store->find("live")));
  CHECK_FALSE(value_of(store->find("expired")));
  CHECK(error_of(store->reserve("held")) == ErrorCode::busy);
  // And time goes on: what has an hour left ends in an hour.
  simulation.clock->advance(59min);
  CHECK(value_of(store->find("live")));
  simulation.clock->advance(1min);
  CHECK_FALSE(value_of(store->find("live")));
  CHECK(reserved(store->reserve("held")).taken_over);
}

}  // namespace

TEST_CASE("a day back, a day forward, forward and back: nothing expires early, nothing revives") {
  for (const bool reopen : {false, true}) {
    CAPTURE(reopen);
    check_turn(reopen, [](ManualClock& clock) { clock.set_wall(clock.wall() - 24h); });
    check_turn(reopen, [](ManualClock& clock) { clock.set_wall(clock.wall() + 24h); });
    check_turn(reopen, [](ManualClock& clock) {
      clock.set_wall(clock.wall() + 24h);
      clock.set_wall(clock.wall() - 24h);
    });
  }
}

TEST_CASE("forward, a reopening, and back") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  {
    value_of(simulation.open(directory.file("s")).execute("k", [] {}, {.retention = 1h}));
  }
  simulation.clock->set_wall(simulation.clock->wall() + 24h);
  {
    CHECK(value_of(simulation.open(directory.file("s")).find("k")));
  }
  simulation.clock->set_wall(simulation.clock->wall() - 24h);
  CHECK(value_of(simulation.open(directory.file("s")).find("k")));
}

TEST_CASE("after another boot the later of wall clock and the store's own time counts") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  {
    Store store = simulation.open(directory.file("s"));
    value_of(store.execute("short", [] {}, {.retention = 1h}));
    value_of(store.execute("long", [] {}, {.retention = 48h}));
    simulation.clock->advance(2h);
    CHECK_FALSE(value_of(store.find("short")));
  }
  simulation.clock->reboot();
  simulation.clock->set_wall(simulation.clock->wall() - 24h);
  {
    Store store = simulation.open(directory.file("s"));
    CHECK_FALSE(value_of(store.find("short")));  // not revived
    CHECK(value_of(store.find("long")));
  }
  simulation.clock->reboot();
  simulation.clock->set_wall(simulation.clock->wall() + 24h * 4);
  CHECK_FALSE(value_of(simulation.open(directory.file("s")).find("long")));
}

TEST_CASE("what was seen expired stays so even if the process is killed and the machine restarts") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  {
    Store store = simulation.open(directory.file("s"));
    value_of(store.execute("k", [] {}, {.retention = 1h}));
    simulation.clock->advance(2h);
    CHECK_FALSE(value_of(store.find("k")));
    // As a kill leaves it: what was written so far, without what closing would add.
    std::filesystem::copy(directory.file("s"), directory.file("killed"),
                          std::filesystem::copy_options::recursive);
  }
  simulation.clock->reboot();
  simulation.clock->set_wall(simulation.clock->wall() - 24h);
  CHECK_FALSE(value_of(simulation.open(directory.file("killed")).find("k")));
}
