// Making a copy at PATH emptied whatever store stood at PATH.partial.
// Making a store at PATH took whatever container stood at PATH.new for the rest of a creation that
// was cut off, and emptied it: also a whole store that somebody keeps under that name.
#include <doctest/doctest.h>

#include "engine/embedded/embedded_engine.h"
#include "store/fixture.h"
#include "support/files.h"
#include "support/layouts.h"

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

TEST_CASE_TEMPLATE("a store whose name is that of a copy that is being made stays", L, LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string dear = directory.file("copy.partial");
  const Options options{.layout = L::layout};
  {
    Store store = value_of(Store::open(dear, options));
    value_of(store.execute("order", [] { return Bytes("charged"); }));
  }
  Store original = value_of(Store::open(directory.file("original")));
  const auto copied = original.backup(directory.file("copy"));
  CHECK(error_of(copied) == ErrorCode::invalid_argument);
  CHECK(copied.error().message.find(dear) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(directory.file("copy")));
  Store store = value_of(Store::open(dear));
  CHECK(value_of(store.find("order"))->outcome->value == "charged");
}

TEST_CASE_TEMPLATE("the rest of a copy is no store, and makes way for the next one", L, LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string rest = directory.file("copy.partial");
  {
    engine::PlaceConfig config{.options = {.layout = L::layout}, .discard = true};
    value_of(engine::EmbeddedEngine::open(rest, config));
  }
  for (const bool read_only : {false, true}) {
    const auto opened = Store::open(
        rest, {.create_if_missing = false, .layout = L::layout, .read_only = read_only});
    CHECK(error_of(opened) == ErrorCode::not_a_store);
  }
  Store original = value_of(Store::open(directory.file("original")));
  value_of(original.execute("order", [] { return Bytes("charged"); }));
  value_of(original.backup(directory.file("copy")));
  CHECK_FALSE(std::filesystem::exists(rest));
  Store copy = value_of(Store::open(directory.file("copy")));
  CHECK(value_of(copy.find("order"))->outcome->value == "charged");
}
