// How RocksDB is set up for Once. Facts behind the choices: docs/caveats.md and docs/write-path.md.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <memory>
#include <vector>

#include "engine/embedded/expiry_filter.h"
#include "once/options.h"
#include "once/row.h"

namespace once::engine {

// One filter factory for each Table; none for `data` and the store's own facts.
using ExpiryFilters = std::array<std::shared_ptr<ExpiryFilterFactory>, 7>;

[[nodiscard]] ExpiryFilters make_expiry_filters();

// The name of a table's column family; meta_table is RocksDB's default one.
[[nodiscard]] std::string family_name(Table table);

// `env` is where files live. `logs` is how many log files recovery will find.
[[nodiscard]] rocksdb::DBOptions database_options(const Options& options, rocksdb::Env* env,
                                                  std::size_t logs);
[[nodiscard]] std::vector<rocksdb::ColumnFamilyDescriptor> family_descriptors(
    const Options& options, const ExpiryFilters& filters);

// How large the tables of a level are made about, in bytes; those of large stores are larger.
[[nodiscard]] std::uint64_t table_size(const Options& options);

// What every read begins with. Ranges of removed rows, of which Once makes none, are not looked
// for: where it does that, RocksDB 7.8.3 ends an iterator without an error at a table whose first
// block is damaged (its pull request 11782).
[[nodiscard]] rocksdb::ReadOptions read_options(const rocksdb::Snapshot* snapshot = nullptr);

}  // namespace once::engine
