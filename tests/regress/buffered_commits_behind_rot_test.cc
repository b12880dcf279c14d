// A flipped byte in what was committed as buffered, in a store that was killed: salvage left out
// all of the log behind it, whole as it was, and said that nothing was lost.
#include <doctest/doctest.h>

#include "store/salvaging.h"

using namespace once;
using namespace once::testing;

TEST_CASE("what stands whole behind rot that no sync vouches for is saved, and the rest told") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s.once");
  Store store = value_of(Store::open(path));
  const auto outcome = [](int i) { return "outcome " + std::to_string(100 + i); };
  for (int i = 0; i < 60; ++i) complete(store, key_of(i), outcome(i));
  // As a kill would leave it.
  std::string bytes = read_file(path);
  const std::size_t at = bytes.find(outcome(3));
  REQUIRE(at != std::string::npos);
  flip(bytes, at);
  write_file(directory.file("killed.once"), bytes);

  const Salvaged salvaged = salvage_of(directory.file("killed.once"), directory.file("fresh.once"));
  REQUIRE(salvaged.report);
  CHECK(is_about_all(salvaged.losses));
  int outcomes = 0;
  for (const auto& [name, row] : salvaged.rows) {
    const auto* result = std::get_if<ResultRow>(&row);
    outcomes += result != nullptr && result->outcome.value ? 1 : 0;
  }
  CHECK(outcomes == 59);
}
