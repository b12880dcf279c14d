// The key was read again from the caller after the work had run: an outcome went to another key
// than the one that was reserved.
#include <doctest/doctest.h>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("an outcome goes to the key that was reserved, whatever the work does to the caller's") {
  Store store = Simulation().open();
  Key key = "a";
  value_of(store.execute(key, [&] {
    key = Key("b");
    return Bytes("executed");
  }));
  CHECK(value_of(store.find("a"))->outcome->value == "executed");
  CHECK_FALSE(value_of(store.find("b")));
  key = "c";
  value_of(store.transact(key, [&](Transaction&) {
    key = Key("d");
    return Bytes("transacted");
  }));
  CHECK(value_of(store.find("c"))->outcome->value == "transacted");
  CHECK_FALSE(value_of(store.find("d")));
  CHECK(value_of(store.transact("c", [](Transaction&) { return Bytes(); })).replayed());
}
