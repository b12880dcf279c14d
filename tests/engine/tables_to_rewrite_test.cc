// Which tables sweeping rewrites: all from which something goes, and no other.
#include "engine/embedded/tables_to_rewrite.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "model/row_header.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;

namespace {

constexpr std::uint64_t table_bytes = 16 << 10;

Time at(int ms) {
  return Time(Duration(ms));
}

// 0: never.
std::string row(int expires, bool removable = true) {
  Bytes bytes;
  Writer out(bytes);
  model::write_header(out, {.version = 1, .removable = removable, .expires_at = at(expires)});
  return bytes + std::string(1000, 'x');
}

std::string key_of(int i) {
  return std::to_string(1'000'000 + i);
}

class Tables {
 public:
  explicit Tables(bool rows_expire = true, bool with_property = true) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.compression = rocksdb::kNoCompression;
    options.level_compaction_dynamic_level_bytes = true;
    options.disable_auto_compactions = true;
    options.target_file_size_base = table_bytes;
    if (with_property) {
      options.table_properties_collector_factories = {make_rewrite_from(rows_expire)};
    }
    rocksdb::DB* opened = nullptr;
    REQUIRE(rocksdb::DB::Open(options, directory_.file("db"), &opened).ok());
    db.reset(opened);
  }
  void put(int key, const std::string& value) { REQUIRE(db->Put({}, key_of(key), value).ok()); }
  void flush() { REQUIRE(db->Flush({}).ok()); }
  [[nodiscard]] std::vector<KeyRange> ranges(int now) {
    return ranges_to_rewrite(*db, *db->DefaultColumnFamily(), at(now), table_bytes);
  }
  void rewrite(const std::vector<KeyRange>& ranges) {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    for (const KeyRange& range : ranges) {
      const rocksdb::Slice first(range.first);
      const rocksdb::Slice last(range.last);
      REQUIRE(db->CompactRange(options, &first, &last).ok());
    }
  }
  // As sweeping does it: what stands in memory is written first.
  void settle(int now = 0) {
    flush();
    rewrite(ranges(now));
  }
  [[nodiscard]] std::uint64_t entries() const {
    rocksdb::TablePropertiesCollection all;
    REQUIRE(db->GetPropertiesOfAllTables(&all).ok());
    std::uint64_t entries = 0;
    for (const auto& [path, properties] : all) entries += properties->num_entries;
    return entries;
  }
  [[nodiscard]] std::size_t tables() const {
    std::vector<rocksdb::LiveFileMetaData> files;
    db->GetLiveFilesMetaData(&files);
    return files.size();
  }

 private:
  const TemporaryDirectory directory_{quick_place()};

 public:
  std::unique_ptr<rocksdb::DB> db{};
};

bool holds(const std::vector<KeyRange>& ranges, int key) {
  return std::ranges::any_of(ranges, [&](const KeyRange& range) {
    return range.first <= key_of(key) && key_of(key) <= range.last;
  });
}

}  // namespace

TEST_CASE("what has been rewritten is left alone until something in it expires") {
  Tables tables;
  CHECK(tables.ranges(0).empty());
  for (int i = 0; i < 400; ++i) tables.put(i, row(i == 100 ? 1000 : 5000));
  tables.flush();
  REQUIRE(tables.ranges(0).size() == 1);  // it is not on the last level yet
  tables.settle();
  REQUIRE(tables.tables() > 10);
  CHECK(tables.ranges(0).empty());
  CHECK(tables.ranges(999).empty());
  const auto expired = tables.ranges(1000);
  REQUIRE(expired.size() == 1);
  CHECK(holds(expired, 100));
  CHECK_FALSE(holds(expired, 50));
  CHECK_FALSE(holds(expired, 150));
  const auto all = tables.ranges(5000);
  CHECK(holds(all, 0));
  CHECK(holds(all, 399));
}

TEST_CASE("what may not be removed, never expires, or has no header keeps no table busy") {
  Tables tables;
  for (int i = 0; i < 400; ++i) tables.put(i, i % 2 == 0 ? row(1000, false) : row(0));
  tables.settle();
  CHECK(tables.ranges(1'000'000).empty());
  Tables data(false);
  for (int i = 0; i < 400; ++i) data.put(i, row(1000));
  data.settle();
  CHECK(data.ranges(1'000'000).empty());
}

TEST_CASE("what was removed or replaced while somebody read goes afterwards") {
  for (const bool removed : {true, false}) {
    CAPTURE(removed);
    Tables tables;
    for (int i = 0; i < 400; ++i) tables.put(i, row(0));
    const rocksdb::Snapshot* reading = tables.db->GetSnapshot();
    if (removed) {
      REQUIRE(tables.db->Delete({}, key_of(100)).ok());
    } else {
      tables.put(100, row(0));
    }
    tables.settle();
    CHECK(tables.entries() == 401);
    CHECK(holds(tables.ranges(0), 100));
    CHECK_FALSE(holds(tables.ranges(0), 300));
    tables.db->ReleaseSnapshot(reading);
    tables.settle();
    CHECK(tables.entries() == (removed ? 399 : 400));
    CHECK(tables.ranges(0).empty());
  }
}

TEST_CASE("a little each time does not leave a table each time") {
  Tables tables;
  for (int i = 0; i < 200; ++i) {
    tables.put(i, row(0));
    tables.settle();
  }
  CHECK(tables.entries() == 200);
  // Of half of 16 KiB at least, of which a kilobyte is not rows.
  CHECK(tables.tables() <= 200 / 7 + 1);
  CHECK(tables.ranges(0).empty());
}

TEST_CASE("a table of an older version is rewritten, and then says when") {
  Tables tables(true, false);
  for (int i = 0; i < 10; ++i) tables.put(i, row(0));
  tables.settle();
  CHECK(tables.ranges(0).size() == 1);
}

TEST_CASE("whatever is written: rewriting the ranges leaves one entry for each row") {
  for (unsigned seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Tables tables;
    std::map<int, std::string> rows;
    const rocksdb::Snapshot* reading = nullptr;
    for (int round = 0; round < 6; ++round) {
      const int from = static_cast<int>(random() % 400);
      for (int i = 0; i < 60; ++i) {
        const int key = from + static_cast<int>(random() % 100);
        if (random() % 4 == 0) {
          REQUIRE(tables.db->Delete({}, key_of(key)).ok());
          rows.erase(key);
        } else {
          rows[key] = row(static_cast<int>(random() % 3) * 1000);
          tables.put(key, rows[key]);
        }
      }
      if (random() % 3 == 0 && reading == nullptr) reading = tables.db->GetSnapshot();
      if (random() % 2 == 0) tables.flush();
      if (random() % 2 == 0) tables.settle();
    }
    if (reading != nullptr) tables.db->ReleaseSnapshot(reading);
    tables.settle();
    CHECK(tables.entries() == rows.size());
    // Small tables that were left beside each other are put together next time, and then it is
    // over.
    tables.settle();
    tables.settle();
    CHECK(tables.ranges(0).empty());
    CHECK(tables.entries() == rows.size());
  }
}
