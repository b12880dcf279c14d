// The key of a wrapped callable was made of what its arguments are written as, and of nothing else:
// a number and its text shared a key, and so did a float and the double with the same digits, so
// that a call was answered with the result of another one.
#include <doctest/doctest.h>

#include "once/idempotent.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a number, its text and a flag are not answered with each other's results") {
  Store store = Simulation().open();
  auto number = idempotent(store, "f", [](int n) { return "number " + std::to_string(n); });
  auto text = idempotent(store, "f", [](const std::string& s) { return "text " + s; });
  auto flag = idempotent(store, "f", [](bool b) { return Bytes(b ? "flag true" : "flag false"); });
  CHECK(value_of(number(1)).value() == "number 1");
  CHECK(value_of(text("1")).value() == "text 1");
  CHECK(value_of(text("true")).value() == "text true");
  CHECK(value_of(flag(true)).value() == "flag true");
}

TEST_CASE("a float is not answered with the result of a double that is another number") {
  Store store = Simulation().open();
  auto same = idempotent(store, "f", [](double number) { return number; });
  CHECK(value_of(same(0.1F)).value() == static_cast<double>(0.1F));
  CHECK(value_of(same(0.1)).value() == 0.1);
  CHECK(value_of(same(0.5F)).value() == 0.5);
  CHECK(value_of(same(0.5)).replayed());
}
