// What could not be read back was taken: a negative retention, an outcome of no known kind. The key
// was then damaged for good.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("what could not be read back is refused before anything changes") {
  Store store = Simulation().open();
  CHECK(error_of(store.transact("k", [](Transaction&) {}, {.retention = -1ms})) ==
        ErrorCode::invalid_argument);
  CHECK(error_of(store.reserve("k", {.on_abandon = static_cast<OnAbandon>(77)})) ==
        ErrorCode::invalid_argument);
  const Reservation mine = reserved(store.reserve("k"));
  CHECK(error_of(store.complete(mine, Outcome::success(), {.retention = -1ms})) ==
        ErrorCode::invalid_argument);
  Outcome odd;
  odd.kind = static_cast<OutcomeKind>(9);
  CHECK(error_of(store.complete(mine, odd)) == ErrorCode::invalid_argument);
  value_of(store.complete(mine, Outcome::success()));
  CHECK(value_of(store.find("k"))->outcome->kind == OutcomeKind::success);
}

TEST_CASE("a loader refuses rows that no store would write") {
  const TemporaryDirectory directory;
  Loader loader = value_of(Loader::create(directory.file("s")));
  KeyRow row{.key = "k", .record = {.status = Status::completed, .token = Token{1}}};
  CHECK(error_of(loader.add(row)) == ErrorCode::invalid_argument);  // no outcome
  row.record.status = Status::in_progress;
  value_of(loader.add(row));
  row.record.retention = -1ms;
  CHECK(error_of(loader.add(row)) == ErrorCode::invalid_argument);
  row.record.retention = 1ms;
  row.record.updated_at = Time::max();
  CHECK(error_of(loader.add(row)) == ErrorCode::invalid_argument);
  CHECK(error_of(loader.add(StoreRow{.format = 1, .opening = ~std::uint64_t{0}})) ==
        ErrorCode::invalid_argument);
}
