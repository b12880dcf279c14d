// verify() asked for what history had told before it was switched off, and found a sound store
// damaged.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a store whose history was off for a while is sound, and so is its copy") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Options silent = simulation.options();
  silent.history = false;
  {
    Store store = simulation.open(directory.file("s"));
    value_of(store.execute("removed", [] {}));
    value_of(store.execute("again", [] {}, {.retention = 1h}));
  }
  {
    Store store = value_of(Store::open(directory.file("s"), silent));
    CHECK(value_of(store.remove("removed")));
    simulation.clock->advance(1h);
    value_of(store.execute("again", [] {}));
  }
  Store store = simulation.open(directory.file("s"));
  value_of(store.execute("new", [] {}));
  CHECK(problems_of(store) == 0);
  value_of(store.backup(directory.file("copy")));
  Store copy = simulation.open(directory.file("copy"));
  CHECK(problems_of(copy) == 0);
}
