// A reader that had to look again, because the writer changed the files while it was opening them,
// aborted the process: it dropped the database before the handles of its column families.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "store/fixture.h"
#include "support/layouts.h"

using namespace once;
using namespace once::testing;

TEST_CASE_TEMPLATE("opening to read goes on while the writer makes and removes files", L, LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s");
  Store store = value_of(Store::open(path, {.layout = L::layout}));
  value_of(store.execute("k", [] { return Bytes("kept"); }));
  std::atomic<bool> ended = false;
  std::thread sweeping([&] {
    while (!ended) value_of(store.sweep());
  });
  for (int i = 0; i < 30; ++i) {
    Store reader = value_of(Store::open(path, {.read_only = true}));
    CHECK(value_of(reader.find("k"))->outcome->value == "kept");
  }
  ended = true;
  sweeping.join();
}
