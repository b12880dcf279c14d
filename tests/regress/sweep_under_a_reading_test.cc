// Compaction removed rows that expired while somebody was reading: filters do not respect
// snapshots. A backup then held a record without its outcome.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("who reads sees a store of one moment, although others sweep meanwhile") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"));
  for (int i = 0; i < 10; ++i) {
    value_of(store.execute(std::to_string(i), [] { return Bytes("x"); }, {.retention = 1h}));
  }
  int records = 0;
  int outcomes = 0;
  value_of(store.rows(Table::all, [&](const Row& row) {
    if (std::holds_alternative<KeyRow>(row) && ++records == 10) {
      simulation.clock->advance(2h);
      value_of(store.sweep());
    }
    outcomes += std::holds_alternative<ResultRow>(row) ? 1 : 0;
    return true;
  }));
  CHECK(records == 10);
  CHECK(outcomes == 10);
  CHECK(value_of(store.sweep()).keys == 10);  // now nobody reads
}
