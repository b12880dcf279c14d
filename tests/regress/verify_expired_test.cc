// verify() took a key for lost whose retention was over: the history row that told of the
// reservation asked for a record, and the later one, of the completion, did not take that back.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("verify finds nothing wrong with a key whose retention is over") {
  const Simulation simulation;
  Store store = simulation.open();
  value_of(store.execute("brief", [] { return Bytes("done"); }, {.retention = 10ms}));
  CHECK(problems_of(store) == 0);
  simulation.clock->advance(20ms);
  CHECK(problems_of(store) == 0);
}
