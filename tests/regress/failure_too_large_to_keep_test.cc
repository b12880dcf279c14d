// The message of a failure whose value was too large to keep was told as the reason of that.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a failure that is too large to keep is told as one") {
  Store store = value_of(Store::open("memory:"));
  const Reservation mine = reserved(store.reserve("k"));
  Outcome outcome = Outcome::failure("declined", "the card was declined");
  outcome.omitted_bytes = 99;
  value_of(store.complete(mine, outcome));
  const auto again = store.execute("k", [] { return 1; });
  REQUIRE(error_of(again) == ErrorCode::outcome_omitted);
  CHECK(again.error().message ==
        "key k ended as a failure with code declined: the card was declined; what it gave, 99 "
        "bytes, was too large to keep; it does not run again");
}
