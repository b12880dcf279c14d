// Which tables of a column family sweeping has to rewrite: it reads no byte of the others, however
// many there are.
//
//   family.table_properties_collector_factories = {make_rewrite_from(true)};  // when it is opened
//   for (const KeyRange& range : ranges_to_rewrite(*db, *handle, now, bytes))
//   db->CompactRange(...);
//
// Each table says from when on rewriting it leaves something out: when the first of its rows
// expires, or at once, if there is what was removed or replaced in it.
//
// Invariant: outside of the ranges all tables are on the last level, with one version of each key,
// no tombstone, and no row that may be removed by then.
// Fault model: a table that does not say it (of an older version), or cannot be asked, is within.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/table_properties.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "once/clock.h"

namespace once::engine {

// `rows_expire`: whether values begin with a header (model/row_header.h).
[[nodiscard]] std::shared_ptr<rocksdb::TablePropertiesCollectorFactory> make_rewrite_from(
    bool rows_expire);

// Both included.
struct KeyRange {
  std::string first{};
  std::string last{};
};

// In the order of the keys, and apart from each other. Tables of less than half of `table_bytes`
// are taken along where that makes fewer of them, or else each sweep would leave some more. What
// stands in memory only is not looked at.
[[nodiscard]] std::vector<KeyRange> ranges_to_rewrite(rocksdb::DB& db,
                                                      rocksdb::ColumnFamilyHandle& family, Time now,
                                                      std::uint64_t table_bytes);

}  // namespace once::engine
