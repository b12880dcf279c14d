// Merging the tables of a column family when there is no room to merge all of them at once, as on
// a full disk: one table of the last level at a time, with what is newer of its keys.
//
//   family.sst_partitioner_factory = cuts;                   // when the database is opened
//   const auto status = merge_in_pieces(*db, *handle, *cuts, table_bytes);
//
// RocksDB merges a table with all those of the next level that it overlaps, and frees none of them
// before all new ones are written. A single table of tombstones, as removing many rows leaves it,
// overlaps everything. So it is first written to the level before the last, cut where the tables
// of the last level begin; then each of its pieces goes with one of these.
//
// Needed at once: the rows that stay of one table of level 0, and then of one of the last level.
// Invariants: what is newer never goes below what is older: of level 0 the oldest table is first.
// Fault model: a piece that finds no room is left, and tried again when another has made some.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/sst_partitioner.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace once::engine {

// Where the tables of a merge are cut, besides where RocksDB does by itself. Thread-safe.
class TableCuts final : public rocksdb::SstPartitionerFactory {
 public:
  // `keys`: sorted; a table ends before each of them. None: as without it.
  void set(std::vector<std::string> keys) ONCE_EXCLUDES(mutex_);

  [[nodiscard]] const char* Name() const override { return "once.TableCuts"; }
  [[nodiscard]] std::unique_ptr<rocksdb::SstPartitioner> CreatePartitioner(
      const rocksdb::SstPartitioner::Context& context) const override;

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const std::vector<std::string>> keys_ ONCE_GUARDED_BY(mutex_);
};

// Merges all tables of `family` into its last level, and rewrites those of it. Nobody may merge
// tables of the family by hand meanwhile. By itself the database writes and merges none, and
// commits that would have to wait for that wait.
// `table_bytes`: how large the new tables are about. NoSpace: pieces are left that did not fit, and
// the others are merged.
[[nodiscard]] rocksdb::Status merge_in_pieces(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& family,
                                              TableCuts& cuts, std::uint64_t table_bytes);

}  // namespace once::engine
