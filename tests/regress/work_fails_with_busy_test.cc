// transact() took an error of the work itself for one of the ledger when its code was busy or
// conflict, and ran the work again for ever.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("an error of the work is the answer, whatever its code") {
  Store store = Simulation().open();
  for (const ErrorCode code : {ErrorCode::busy, ErrorCode::conflict, ErrorCode::in_doubt}) {
    int runs = 0;
    const auto work = [&](Transaction&) -> Result<void> {
      ++runs;
      return std::unexpected(Error{.code = code, .message = "of another store"});
    };
    CHECK(error_of(store.transact("k", work)) == code);
    CHECK(runs == 1);
  }
}

TEST_CASE("a transaction on another store may be made within the work of one") {
  Store one = Simulation().open();
  Store two = Simulation().open();
  value_of(
      one.transact("k", [&](Transaction&) { value_of(two.transact("k", [](Transaction&) {})); }));
  CHECK(value_of(two.find("k")));
}
