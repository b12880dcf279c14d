// Sweeping and compacting by the embedded engine, and reading every byte of it.
#include <rocksdb/iterator.h>

#include <algorithm>

#include "base/error.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/embedded_reading.h"
#include "engine/embedded/row_writes.h"
#include "engine/embedded/status.h"
#include "engine/embedded/tables_to_rewrite.h"
#include "model/checkpoint_codec.h"
#include "model/key_codec.h"

namespace once::engine {
namespace {

// The store's own facts too, for what the outbox's cursor has left and taken up again.
constexpr std::array swept = {Table::keys,   Table::results, Table::checkpoints,
                              Table::outbox, Table::history, meta_table};
// What expires never is rewritten too, for what was removed or written over.
constexpr std::array rewritten = {Table::keys,    Table::results, Table::checkpoints, Table::outbox,
                                  Table::history, Table::data,    meta_table};

}  // namespace

Result<SweepReport> EmbeddedEngine::sweep(const Progress& progress) {
  if (auto writable = check_writable(); !writable) return pass(writable);
  const auto cleaning = place_->clean_up();
  SweepReport report;
  report.bytes_before = place_->bytes();
  if (auto removed = remove_expired(swept, progress, report); !removed) return pass(removed);
  forget_old_files();
  if (auto given = place_->give_back(); !given) return pass(given);
  if (progress) progress(swept.size(), swept.size(), "done");
  report.bytes_after = place_->bytes();
  return report;
}

Result<CompactReport> EmbeddedEngine::compact(const Progress& progress) {
  if (auto writable = check_writable(); !writable) return pass(writable);
  const auto cleaning = place_->clean_up();
  CompactReport report;
  report.swept.bytes_before = place_->bytes();
  auto removed = remove_expired(rewritten, progress, report.swept);
  const bool full = !removed && removed.error().code == ErrorCode::no_space;
  if (!removed && !full) return pass(removed);
  // Without room to rewrite all tables, what is free already can be given back all the same.
  forget_old_files();
  if (auto compacted = place_->compact(progress); !compacted) return pass(compacted);
  if (full) return pass(removed);
  report.swept.bytes_after = place_->bytes();
  const FreeBytes space = place_->free_bytes();
  report.bytes_free = space.free;
  report.bytes_held = space.held_back;
  return report;
}

void EmbeddedEngine::make_room() {
  const auto cleaning = place_->clean_up();
  // A flush without room would stop RocksDB.
  if (!place_->admit_flush([this] { return unflushed_bytes(); }) || !resume()) return;
  SweepReport report;
  (void)rewrite_all(rewritten, {}, report);
}

// Rewrites tables, and so leaves out what has expired.
Result<void> EmbeddedEngine::remove_expired(std::span<const Table> tables, const Progress& progress,
                                            SweepReport& report) {
  // What goes now must be expired for ever: the mark first.
  std::vector<RowWrite> rows;
  auto marked = commit(rows, Durability::synced, {.with_mark = true, .from_reserve = true});
  if (!marked) return pass(marked);
  auto orphans = remove_orphan_checkpoints();
  if (!orphans) return pass(orphans);
  report.checkpoints = *orphans;

  return rewrite_all(tables, progress, report);
}

rocksdb::Status EmbeddedEngine::flush() {
  // All families: a log goes only when none of them needs it.
  const std::vector<rocksdb::ColumnFamilyHandle*> all(families_.begin(), families_.end());
  rocksdb::FlushOptions options;
  // Or else it waits until tables are merged, which may never be on a full disk.
  options.allow_write_stall = true;
  return db_->Flush(options, all);
}

Result<void> EmbeddedEngine::rewrite_all(std::span<const Table> tables, const Progress& progress,
                                         SweepReport& report) {
  const FullDisk::Hurry hurry(*full_disk_);
  const auto flushed = flush();
  if (!flushed.ok()) return std::unexpected(to_error(flushed, "sweeping " + place_->name()));
  // On a full disk the small ones make room for the large ones.
  std::vector<Table> left(tables.begin(), tables.end());
  std::ranges::sort(left, {}, [this](Table table) { return table_bytes(table); });
  rocksdb::Status status;
  std::size_t done = 0;
  for (int turn = 0; turn < 2 && !left.empty(); ++turn) {
    std::vector<Table> later;
    for (const Table table : left) {
      if (progress) progress(done, tables.size(), to_string(table));
      status = rewrite(table, report);
      if (status.IsNoSpace()) {
        later.push_back(table);
        if (auto given = place_->give_back(); !given) return given;
      } else if (!status.ok()) {
        return std::unexpected(to_error(status, "sweeping " + place_->name()));
      } else {
        ++done;
      }
    }
    left = std::move(later);
  }
  if (left.empty()) return {};
  return std::unexpected(to_error(status, "sweeping " + place_->name()));
}

rocksdb::Status EmbeddedEngine::rewrite(Table table, SweepReport& report) {
  const auto& filter = filters_[static_cast<std::size_t>(table)];
  std::uint64_t before = filter ? filter->removed() : 0;
  // One at a time: tables that another one merges could not be merged in pieces here.
  MutexLock lock(rewriting_);
  rocksdb::CompactRangeOptions compact;
  compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  compact.exclusive_manual_compaction = false;
  compact.allow_write_stall = true;  // as in flush()
  rocksdb::Status status;
  for (const KeyRange& range :
       ranges_to_rewrite(*db_, *family(table), clock_->removable(), table_size(options_))) {
    const rocksdb::Slice first(range.first);
    const rocksdb::Slice last(range.last);
    status = db_->CompactRange(compact, family(table), &first, &last);
    if (!status.ok()) break;
  }
  if (status.IsNoSpace()) {
    // RocksDB stops when the disk is full, until it is told to go on.
    (void)resume();
    if (filter) before = filter->removed();  // what was in vain does not count
    status = merge_in_pieces(*db_, *family(table), *cuts_, table_size(options_));
    if (status.IsNoSpace()) (void)resume();
  }
  // Without room enough, pieces were merged all the same.
  if (!filter || (!status.ok() && !status.IsNoSpace())) return status;
  const std::uint64_t removed = filter->removed() - before;
  if (table == Table::keys) report.keys += removed;
  if (table == Table::results) report.results += removed;
  if (table == Table::outbox) report.events += removed;
  if (table == Table::history) report.history += removed;
  return status;
}

std::uint64_t EmbeddedEngine::table_bytes(Table table) const {
  std::uint64_t bytes = 0;
  (void)db_->GetIntProperty(family(table), rocksdb::DB::Properties::kTotalSstFilesSize, &bytes);
  return bytes;
}

// Files that RocksDB needs no more are removed now, and not when it comes to it.
void EmbeddedEngine::forget_old_files() {
  if (db_->DisableFileDeletions().ok()) (void)db_->EnableFileDeletions(false);
}

// A checkpoint lives as long as the record of its key: it has no retention of its own.
Result<std::uint64_t> EmbeddedEngine::remove_orphan_checkpoints() {
  std::uint64_t removed = 0;
  const std::unique_ptr<rocksdb::Iterator> at(
      db_->NewIterator(read_options(), family(Table::checkpoints)));
  std::vector<RowWrite> rows;
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const ByteView row_key(at->key().data(), at->key().size());
    auto key = model::decode_checkpoint_key(row_key);
    if (!key) return pass(key);
    auto checkpoint =
        model::decode_checkpoint(key->name, ByteView(at->value().data(), at->value().size()));
    if (!checkpoint) return pass(checkpoint);
    const Bytes owner = model::encode_key(key->key);
    const Stripes::Guard guard(stripes_, std::span(&owner, 1));
    auto current = read_record(owner);
    if (!current) return pass(current);
    const bool needed = *current && !is_expired(**current, clock_->removable()) &&
                        checkpoint->token >= (*current)->origin;
    if (needed) continue;
    // The row may have been written anew since the iterator was made.
    auto now_there = get(Table::checkpoints, row_key);
    if (!now_there) return pass(now_there);
    if (!*now_there || **now_there != at->value().ToString()) continue;
    rows.clear();
    rows.push_back({.table = Table::checkpoints, .key = Bytes(row_key), .erase = true});
    auto committed = commit(rows, Durability::buffered, {.from_reserve = true});
    if (!committed) return pass(committed);
    ++removed;
  }
  if (!at->status().ok()) {
    return std::unexpected(to_error(at->status(), place_of(Table::checkpoints, place_->name())));
  }
  return removed;
}

Result<CheckedBytes> EmbeddedEngine::verify_bytes(const Progress& progress,
                                                  const std::function<void(std::string)>& problem) {
  const auto status = db_->VerifyChecksum();
  if (!status.ok()) problem(to_error(status, "reading all of " + place_->name()).message);
  return place_->check_bytes(progress, problem);
}

}  // namespace once::engine
