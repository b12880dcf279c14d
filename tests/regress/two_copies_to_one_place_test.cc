// Two copies to the same place: the one that waited took the finished one, which was about to be
// put in its place, for a leftover, and wiped it.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "store/fixture.h"
#include "support/layouts.h"

using namespace once;
using namespace once::testing;

TEST_CASE_TEMPLATE("of two copies to one place one succeeds, and is whole", L, LAYOUTS) {
  const TemporaryDirectory directory;
  Store store = value_of(Store::open(directory.file("s"), {.layout = L::layout}));
  value_of(store.execute("k", [] { return Bytes("kept"); }));
  for (int round = 0; round < 10; ++round) {
    const std::string place = directory.file("copy" + std::to_string(round));
    std::atomic<int> succeeded = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] { succeeded += store.backup(place) ? 1 : 0; });
    }
    for (auto& thread : threads) thread.join();
    CHECK(succeeded == 1);
    Store copy = value_of(Store::open(place, {.create_if_missing = false}));
    CHECK(value_of(copy.find("k"))->outcome->value == "kept");
    CHECK(problems_of(copy) == 0);
  }
}
