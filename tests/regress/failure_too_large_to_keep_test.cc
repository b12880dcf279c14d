// The message of a failure whose value was too large to keep was told as the reason of that; and
// where the work itself gave such an outcome, it was kept as a success.
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

TEST_CASE("a failure that the work gives, too large to keep, stays one") {
  Store store = value_of(Store::open("memory:", {.max_outcome_bytes = 100}));
  Outcome outcome = Outcome::failure("declined", "the card was declined");
  outcome.value = Bytes(101, 'x');
  CHECK(error_of(store.execute("k", [&] { return outcome; })) == ErrorCode::outcome_omitted);
  CHECK(value_of(store.status("k")) == KeyStatus::failed);
  const Outcome kept = *value_of(store.find("k"))->outcome;
  CHECK(kept.kind == OutcomeKind::failure);
  CHECK(kept.code == "declined");
  CHECK(kept.message == "the card was declined");
  CHECK(kept.omitted_bytes == 101);
  CHECK_FALSE(kept.value.has_value());
}
