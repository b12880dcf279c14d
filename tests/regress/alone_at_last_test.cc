// A transaction that had met too many conflicts waited for ever to run alone, since those that
// commit side by side never all let go of the gate.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a transaction that reads much gets its turn among many that write") {
  const TemporaryDirectory directory;
  Store store = value_of(Store::open(directory.file("s")));
  std::atomic<bool> ended = false;
  std::atomic<int> writers = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !ended; ++i) {
        value_of(store.transact(
            Key("", std::to_string(t), std::to_string(i)),
            [&](Transaction& tx) { CHECK(tx.put(std::to_string(t), std::to_string(i))); }));
        if (i == 0) ++writers;
        writers.notify_all();
      }
    });
  }
  for (int seen = writers; seen < 8; seen = writers) writers.wait(seen);
  int runs = 0;
  value_of(store.transact("all", [&](Transaction& tx) {
    ++runs;
    value_of(tx.scan("", "", [](ByteView, ByteView) { return true; }));
    CHECK(tx.put("sum", "x"));
  }));
  CHECK(runs <= 9);  // eight conflicts, then alone
  ended = true;
  for (auto& thread : threads) thread.join();
}
