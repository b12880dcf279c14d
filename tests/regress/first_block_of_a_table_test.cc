// RocksDB 7.8.3 ended a range without an error where the first block of the next table of a level
// was damaged: rows were missing from what was listed, checked, copied and salvaged, and nothing
// said so.
#include <doctest/doctest.h>

#include <random>

#include "store/salvaging.h"
#include "support/random_bytes.h"

using namespace once;
using namespace once::testing;

namespace {

// Several tables on one level of `results` and of `data`.
void fill_tables(Store store) {
  std::mt19937 random(1);
  for (int i = 0; i < 400; ++i) {
    complete(store, key_of(i), random_bytes(random, 8000));
    const std::string name = "row " + std::to_string(100'000 + i);
    value_of(store.transact(
        "data " + name, [&](Transaction& tx) { return tx.put(name, random_bytes(random, 8000)); },
        {.durability = buffered}));
  }
  value_of(store.compact());
  value_of(store.close());
}

}  // namespace

TEST_CASE("a table whose first block is damaged is told of by whoever reads a range") {
  const TemporaryDirectory directory(quick_place());
  const std::string path = directory.file("store");
  fill_tables(value_of(Store::open(path, small(Layout::directory))));
  const Rows rows = rows_at(path);
  const auto files = files_of(path);
  int tables = 0;
  int in_ranges = 0;
  for (const auto& [name, bytes] : files) {
    if (!name.ends_with(".sst")) continue;
    CAPTURE(name);
    ++tables;
    auto damaged = files;
    flip(damaged[name], 100);
    write_files(path, damaged);

    auto reader = Store::open(path, {.create_if_missing = false, .read_only = true});
    if (!reader) {
      CHECK(reader.error().code == ErrorCode::damaged);
    } else if (const auto read = rows_of(*reader); !read) {
      CHECK(read.error().code == ErrorCode::damaged);
      ++in_ranges;
    } else {
      CHECK(read->size() == rows.size());
    }

    const Salvaged salvaged = salvage_of(path, directory.file("fresh"), Layout::directory);
    std::filesystem::remove_all(directory.file("fresh"));
    REQUIRE(salvaged.report);
    check(rows, salvaged);
  }
  CHECK(tables >= 6);
  CHECK(in_ranges >= 4);
}
