// A kill in the middle of a merge leaves the tables that it read and those that it wrote. When the
// list of files was damaged then, salvage took all of them, and RocksDB ended the process where it
// met a key twice.
#include <doctest/doctest.h>

#include <random>

#include "store/salvaging.h"
#include "support/random_bytes.h"

using namespace once;
using namespace once::testing;

namespace {

using Files = std::map<std::string, std::string>;

struct Merged {
  TemporaryDirectory directory{quick_place()};
  std::string path = directory.file("store");
  std::mt19937 random{1};

  // What the store is then, with all of its tables merged.
  template <class Change>
  Files after(Change change) {
    Store store = value_of(Store::open(path, small(Layout::directory)));
    change(store);
    value_of(store.compact());
    value_of(store.close());
    return files_of(path);
  }
  void put(Store& store, int from, int to) {
    for (int i = from; i < to; ++i) {
      const std::string name = "row " + std::to_string(100'000 + i);
      value_of(
          store.transact(name + std::to_string(random()),
                         [&](Transaction& tx) { return tx.put(name, random_bytes(random, 2000)); },
                         {.durability = buffered}));
    }
  }
  Salvaged salvage(Files files) {
    for (auto& [name, bytes] : files) {
      if (name.starts_with("MANIFEST")) flip(bytes, 20);
    }
    write_files(directory.file("damaged"), files);
    return salvage_of(directory.file("damaged"), directory.file("fresh"));
  }
};

Files with_tables(Files files, const Files& others, std::size_t most) {
  for (const auto& [name, bytes] : others) {
    if (name.ends_with(".sst") && !files.contains(name) && most-- > 0) files[name] = bytes;
  }
  return files;
}

}  // namespace

TEST_CASE("what a merge read is there still, and all that it wrote") {
  Merged store;
  const Files before = store.after([&](Store& fresh) { store.put(fresh, 0, 600); });
  const Files after = store.after([&](Store& changed) {
    store.put(changed, 100, 300);
    for (int i = 0; i < 20; ++i) {
      value_of(changed.transact(
          "remove " + std::to_string(i),
          [&](Transaction& tx) { return tx.erase("row " + std::to_string(100'000 + i)); },
          {.durability = buffered}));
    }
  });
  const Rows rows = rows_at(store.path);
  const Salvaged salvaged = store.salvage(with_tables(after, before, 1000));
  REQUIRE(salvaged.report);
  // What had been removed may be back, and that is told.
  for (const auto& [name, row] : rows) {
    CAPTURE(name.second);
    const auto found = salvaged.rows.find(name);
    REQUIRE(found != salvaged.rows.end());
    CHECK(found->second == row);
  }
  CHECK(salvaged.rows.size() < rows.size() + 30);
  CHECK(is_about_all(salvaged.losses));
}

TEST_CASE("what a merge read is there, and a part of what it was to write") {
  Merged store;
  const Files before = store.after([&](Store& fresh) { store.put(fresh, 0, 600); });
  const Rows rows = rows_at(store.path);
  const Files after = store.after([](Store&) {});
  std::size_t tables = 0;
  for (const auto& [name, bytes] : after) tables += name.ends_with(".sst") ? 1 : 0;
  REQUIRE(tables >= 3);
  for (std::size_t written = 1; written <= tables; ++written) {
    CAPTURE(written);
    std::filesystem::remove_all(store.directory.file("fresh"));
    std::filesystem::remove_all(store.directory.file("damaged"));
    const Salvaged salvaged = store.salvage(with_tables(before, after, written));
    REQUIRE(salvaged.report);
    CHECK(salvaged.rows == rows);
  }
}
