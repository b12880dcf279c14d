#include "engine/embedded/rocksdb_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>

#include "engine/embedded/tables_to_rewrite.h"

namespace once::engine {
namespace {

// RocksDB's info log goes nowhere: what matters is in the errors.
class NullLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Recovery keeps what it finds in the logs in memory instead of writing a table for it, which makes
// opening cheap; but every opening adds a log, so from this many on they are written away.
constexpr std::size_t logs_before_flush = 8;

std::size_t write_buffer_size(const Options& options) {
  return std::max<std::size_t>(options.memory_budget / 8, 64 << 10);
}

}  // namespace

ExpiryFilters make_expiry_filters() {
  ExpiryFilters filters;
  for (const Table table :
       {Table::keys, Table::results, Table::checkpoints, Table::outbox, Table::history}) {
    filters[static_cast<std::size_t>(table)] = std::make_shared<ExpiryFilterFactory>();
  }
  return filters;
}

std::string family_name(Table table) {
  return table == Table::all ? rocksdb::kDefaultColumnFamilyName : std::string(to_string(table));
}

rocksdb::DBOptions database_options(const Options& options, rocksdb::Env* env, std::size_t logs) {
  rocksdb::DBOptions db;
  db.env = env;
  // One for all, never destroyed: RocksDB's threads may still look at its level while a store
  // closes.
  static auto* const no_log = new std::shared_ptr<rocksdb::Logger>(std::make_shared<NullLogger>());
  db.info_log = *no_log;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  // A damaged byte in the middle of a log must stop the opening: the default mode would drop
  // everything behind it and answer ok.
  db.wal_recovery_mode = options.damaged_log == DamagedLog::keep_prefix
                             ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                             : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db.avoid_flush_during_recovery = logs < logs_before_flush;
  // Faster on small hosts than RocksDB's defaults: one thread leads a group and inserts it.
  db.allow_concurrent_memtable_write = false;
  db.enable_write_thread_adaptive_yield = false;
  // All tables stay open: needed for periodic compaction, and for a reader to hold on to tables
  // that the writer removes meanwhile.
  db.max_open_files = -1;
  db.max_file_opening_threads = 1;  // a thread takes longer to start than a few tables to open
  // In one file each read takes whole envelopes. (Of a read that fails RocksDB keeps nothing.)
  if (options.damaged_log == DamagedLog::refuse) db.log_readahead_size = std::size_t{1} << 20;
  db.max_background_jobs = 2;
  // As much as on a full disk merging needs at once, which is what logs give back when they go. A
  // quarter of it would cost nothing that can be measured, and make openings after a kill quicker.
  db.max_total_wal_size = std::max<std::uint64_t>(options.memory_budget / 2, 4 << 20);
  db.db_write_buffer_size = options.memory_budget / 2;
  db.manifest_preallocation_size = 64 << 10;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

std::vector<rocksdb::ColumnFamilyDescriptor> family_descriptors(const Options& options,
                                                                const ExpiryFilters& filters) {
  rocksdb::BlockBasedTableOptions table_options;
  table_options.block_cache = rocksdb::NewLRUCache(options.memory_budget / 2);
  table_options.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table_options.format_version = 5;
  const std::shared_ptr<rocksdb::TableFactory> tables(
      rocksdb::NewBlockBasedTableFactory(table_options));

  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const Table table : {Table::all, Table::keys, Table::results, Table::checkpoints,
                            Table::outbox, Table::history, Table::data}) {
    rocksdb::ColumnFamilyOptions family;
    family.table_factory = tables;
    family.write_buffer_size = write_buffer_size(options);
    // Seven families with a block each: small ones, or an empty store would take megabytes.
    family.arena_block_size = 32 << 10;
    family.compression = rocksdb::kLZ4Compression;
    family.level_compaction_dynamic_level_bytes = true;
    // Small tables and levels: a compaction that rewrites all of a small store at once would need
    // as much space again.
    family.target_file_size_base = table_size(options);
    family.target_file_size_multiplier = 2;
    family.max_bytes_for_level_base =
        4 * std::max<std::uint64_t>(family.write_buffer_size, 1 << 20);
    // Tables that wait to be merged never stop commits, and slow them down only when there are more
    // than a full disk brings about: there they may have to wait for what these commits remove.
    family.level0_slowdown_writes_trigger = 200;
    family.level0_stop_writes_trigger = 1 << 20;
    // Makes an idle store give back what has expired.
    family.periodic_compaction_seconds = 24 * 60 * 60;
    const auto& filter = filters[static_cast<std::size_t>(table)];
    family.compaction_filter_factory = filter;
    family.table_properties_collector_factories = {make_rewrite_from(filter != nullptr)};
    families.emplace_back(family_name(table), family);
  }
  return families;
}

std::uint64_t table_size(const Options& options) {
  return std::max<std::uint64_t>(write_buffer_size(options) / 4, 1 << 20);
}

rocksdb::ReadOptions read_options(const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.ignore_range_deletions = true;
  return options;
}

}  // namespace once::engine
