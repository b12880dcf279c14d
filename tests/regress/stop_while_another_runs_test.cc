// A stop did not end the wait for a run that somebody else carries out.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a stop ends the wait for somebody else's run at once") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow workflow("w");
  workflow.node("a", {}, [] {});
  const Reservation mine =
      reserved(store.reserve(Workflow::key("w", "1"), {.on_abandon = OnAbandon::rerun}));
  std::stop_source stop;
  std::atomic<bool> ended = false;
  std::thread stopper([&] {
    stop.request_stop();
    // Nobody waits for ever: time passes until the call has ended, for the one reason or the other.
    while (!ended) {
      simulation.clock->advance(10ms);
      std::this_thread::yield();
    }
  });
  CHECK(error_of(workflow.run(store, "1", {.wait = 30s, .stop = stop.get_token()})) ==
        ErrorCode::cancelled);
  ended = true;
  stopper.join();
  value_of(store.release(mine));
  CHECK(value_of(workflow.run(store, "1")).finished());
}
