// close() woke those who waited for a key, and they looked into the closed database.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("who waits for a key when the store is closed is told so") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"));
  reserved(store.reserve("k"));
  std::vector<std::thread> waiting;
  std::atomic<int> begun = 0;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back([&, i] {
      ++begun;
      begun.notify_all();
      const ErrorCode code =
          i % 2 == 0 ? error_of(store.reserve("k", {.wait = 24h}))
                     : error_of(store.transact("k", [](Transaction&) {}, {.wait = 24h}));
      CHECK((code == ErrorCode::closed || code == ErrorCode::busy));
    });
  }
  for (int seen = begun; seen < 4; seen = begun) begun.wait(seen);
  value_of(store.close());
  for (auto& thread : waiting) thread.join();
}

TEST_CASE("calls under way end before the store is closed") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"));
  std::atomic<bool> begun = false;
  std::thread busy([&] {
    for (int i = 0;; ++i) {
      auto done = store.execute(std::to_string(i), [] {}, {.durability = Durability::buffered});
      begun = true;
      begun.notify_all();
      if (!done) break;
    }
  });
  begun.wait(false);
  value_of(store.close());
  busy.join();
  Store again = simulation.open(directory.file("s"));
  CHECK(problems_of(again) == 0);
}
