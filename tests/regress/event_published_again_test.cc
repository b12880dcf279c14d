// A transaction believed the status of an event it was given: one that had been read as delivered
// was never delivered again.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("an event that is published is pending, whatever it was read from") {
  Store store = Simulation().open();
  value_of(store.transact("k", [](Transaction& tx) {
    CHECK(tx.publish({.sequence = 7,
                      .type = "t",
                      .status = EventStatus::delivered,
                      .retries = 7,
                      .published_at = Time(1ms),
                      .expires_at = Time(1ms)}));
  }));
  int seen = 0;
  value_of(store.events({}, [&](const Event& event) {
    CHECK(event.status == EventStatus::pending);
    CHECK(event.retries == 0);
    CHECK(event.expires_at == Time{});
    return ++seen > 0;
  }));
  CHECK(seen == 1);
}
