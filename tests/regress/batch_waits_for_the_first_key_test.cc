// execute_many() that met several keys held by others waited for the first of them only: one that
// was free again stayed so until the first was, or the wait was over.
#include <doctest/doctest.h>

#include <algorithm>
#include <future>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a batch goes on with each key as soon as that is free") {
  // The time stands still: nothing ends by itself.
  const Simulation simulation;
  Store store = simulation.open();
  const std::vector<Key> keys{"a", "b", "c"};
  std::vector<Reservation> held;
  for (const Key& key : keys) held.push_back(reserved(store.reserve(key)));
  std::promise<void> waits;
  Executor executor(
      store, {.observers = {{.on_wait = [&](const Key&, const Error&) { waits.set_value(); }}}});
  std::vector<std::promise<void>> worked(keys.size());
  auto batch = std::async(std::launch::async, [&] {
    return executor.execute_many(
        keys,
        [&](std::span<const Reservation> mine) {
          for (const Reservation& each : mine) {
            worked[std::size_t(std::ranges::find(keys, each.key) - keys.begin())].set_value();
          }
          return std::vector<Bytes>(mine.size(), "done");
        },
        {.wait = 1h});
  });
  waits.get_future().wait();
  bool all = true;
  for (const std::size_t i : {1U, 2U, 0U}) {
    CAPTURE(i);
    value_of(store.release(held[i], ""));
    const bool done =
        worked[i].get_future().wait_for(std::chrono::seconds(20)) == std::future_status::ready;
    CHECK(done);
    all = all && done;
  }
  if (!all) simulation.clock->advance(2h);  // so that it ends
  for (const auto& answer : value_of(batch.get())) CHECK(value_of(answer).value() == "done");
}
