// Making a store at PATH took whatever container stood at PATH.new for the rest of a creation that
// was cut off, and emptied it: also a whole store that somebody keeps under that name.
#include <doctest/doctest.h>

#include "store/fixture.h"
#include "support/files.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a store whose name is that of one that is being made stays") {
  const TemporaryDirectory directory;
  const std::string dear = directory.file("pay.once.new");
  {
    Store store = value_of(Store::open(dear));
    value_of(store.execute("order", [] { return Bytes("charged"); }));
  }
  const std::string before = read_file(dear);
  const auto refused = Store::open(directory.file("pay.once"));
  CHECK(error_of(refused) == ErrorCode::invalid_argument);
  CHECK(refused.error().message.find(dear) != std::string::npos);
  CHECK(read_file(dear) == before);
  CHECK_FALSE(std::filesystem::exists(directory.file("pay.once")));
  Store store = value_of(Store::open(dear));
  CHECK(value_of(store.find("order"))->outcome->value == "charged");
}
