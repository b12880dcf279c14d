// Making a copy at PATH emptied whatever store stood at PATH.partial.
// Making a store at PATH took whatever container stood at PATH.new for the rest of a creation that
// was cut off, and emptied it: also a whole store that somebody keeps under that name.
#include <doctest/doctest.h>

#include "engine/embedded/embedded_engine.h"
#include "once/salvage.h"
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

TEST_CASE("a place of which it cannot be told what it is stays") {
  const TemporaryDirectory directory;
  const std::string dear = directory.file("copy.partial");
  {
    Store store = value_of(Store::open(dear));
    value_of(store.execute("order", [] { return Bytes("charged"); }));
  }
  std::string bytes = read_file(dear);
  for (const std::uint64_t at : {50u, 4096u + 50u}) bytes[at] = static_cast<char>(bytes[at] ^ 1);
  write_file(dear, bytes);
  Store original = value_of(Store::open(directory.file("original")));
  const auto copied = original.backup(directory.file("copy"));
  REQUIRE_FALSE(copied);
  CHECK(copied.error().message.find(dear) != std::string::npos);
  CHECK(read_file(dear) == bytes);
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

TEST_CASE("what is salvaged of a copy that was not finished is said not to be all") {
  const TemporaryDirectory directory;
  const std::string rest = directory.file("copy.partial");
  value_of(engine::EmbeddedEngine::open(rest, {.discard = true}));
  std::vector<Loss> losses;
  SalvageOptions options;
  options.on_loss = [&](const Loss& loss) { losses.push_back(loss); };
  value_of(salvage(rest, directory.file("fresh"), options));
  REQUIRE(losses.size() == 1);
  CHECK(losses[0].why.find("not finished") != std::string::npos);
}
