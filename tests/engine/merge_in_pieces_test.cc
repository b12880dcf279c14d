// Merging in pieces: the rows stay what they are, nothing that was removed or replaced comes back,
// and all tables are on the last level afterwards.
#include "engine/embedded/merge_in_pieces.h"

#include <doctest/doctest.h>
#include <rocksdb/iterator.h>

#include <map>
#include <memory>
#include <random>
#include <string>

#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;

namespace {

using Rows = std::map<std::string, std::string>;

Rows rows_of(rocksdb::DB& db, const rocksdb::Snapshot* snapshot = nullptr) {
  Rows rows;
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  const std::unique_ptr<rocksdb::Iterator> at(db.NewIterator(options));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    rows[at->key().ToString()] = at->value().ToString();
  }
  REQUIRE(at->status().ok());
  return rows;
}

}  // namespace

TEST_CASE("what is there stays, wherever the tables lie") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const TemporaryDirectory directory(quick_place());
    const auto cuts = std::make_shared<engine::TableCuts>();
    rocksdb::Options options;
    options.create_if_missing = true;
    options.compression = rocksdb::kNoCompression;
    options.level_compaction_dynamic_level_bytes = true;
    options.sst_partitioner_factory = cuts;
    options.disable_auto_compactions = true;
    options.target_file_size_base = 16 << 10;
    options.max_bytes_for_level_base = 64 << 10;
    rocksdb::DB* opened = nullptr;
    REQUIRE(rocksdb::DB::Open(options, directory.file("db"), &opened).ok());
    const std::unique_ptr<rocksdb::DB> db(opened);

    Rows rows;
    Rows seen;
    // Who reads keeps older versions there, so that tables may end within a key.
    const rocksdb::Snapshot* snapshot = nullptr;
    for (int round = 0; round < 8; ++round) {
      if (seed % 2 == 1 && round == 3) {
        snapshot = db->GetSnapshot();
        seen = rows;
      }
      for (int i = 0; i < 400; ++i) {
        const std::string key = std::to_string(1000 + random() % 1500);
        if (random() % 3 == 0) {
          rows.erase(key);
          REQUIRE(db->Delete({}, key).ok());
        } else {
          rows[key] = std::string(random() % 400, static_cast<char>('a' + random() % 26));
          REQUIRE(db->Put({}, key, rows[key]).ok());
        }
      }
      REQUIRE(db->Flush({}).ok());
      // Some of it on other levels.
      if (random() % 3 == 0) {
        const std::string from = std::to_string(1000 + random() % 1500);
        const std::string to = std::to_string(1000 + random() % 1500);
        rocksdb::CompactRangeOptions part;
        part.change_level = true;
        part.target_level = static_cast<int>(4 + random() % 3);
        const rocksdb::Slice begin(std::min(from, to));
        const rocksdb::Slice end(std::max(from, to));
        (void)db->CompactRange(part, &begin, &end);  // not every level can be had
      }
    }
    REQUIRE(rows_of(*db) == rows);
    const auto merged = engine::merge_in_pieces(*db, *db->DefaultColumnFamily(), *cuts, 16 << 10);
    CHECK_MESSAGE(merged.ok(), merged.ToString());
    CHECK(rows_of(*db) == rows);

    rocksdb::ColumnFamilyMetaData all;
    db->GetColumnFamilyMetaData(&all);
    std::uint64_t removed = 0;
    for (const auto& level : all.levels) {
      const bool last = level.level + 1 == db->NumberLevels();
      CHECK(level.files.empty() == !last);
      for (const auto& table : level.files) removed += table.num_deletions;
    }
    CHECK((snapshot != nullptr || removed == 0));
    if (snapshot == nullptr) continue;
    CHECK(rows_of(*db, snapshot) == seen);
    db->ReleaseSnapshot(snapshot);
  }
}
