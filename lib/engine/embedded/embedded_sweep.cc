// Sweeping by the embedded engine, and reading every byte of it.
#include <rocksdb/iterator.h>

#include "base/error.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/embedded_reading.h"
#include "engine/embedded/status.h"
#include "engine/embedded/stripe_guard.h"
#include "model/checkpoint_codec.h"
#include "model/key_codec.h"

namespace once::engine {
namespace {

constexpr std::array swept = {Table::keys, Table::results, Table::checkpoints, Table::outbox,
                              Table::history};

}  // namespace

Result<SweepReport> EmbeddedEngine::sweep(const Progress& progress) {
  if (auto writable = check_writable(); !writable) return pass(writable);
  SweepReport report;
  report.bytes_before = place_->bytes();
  // What goes now must be expired for ever: the mark first.
  std::vector<RowWrite> rows;
  auto marked = commit(rows, Durability::synced, nullptr, true);
  if (!marked) return pass(marked);
  auto orphans = remove_orphan_checkpoints();
  if (!orphans) return pass(orphans);

  // All families first: a log goes only when none of them needs it.
  const std::vector<rocksdb::ColumnFamilyHandle*> all(families_.begin(), families_.end());
  auto status = db_->Flush(rocksdb::FlushOptions(), all);
  if (!status.ok()) return std::unexpected(to_error(status, "sweeping " + place_->name()));
  std::array<std::uint64_t, 7> removed{};
  for (std::size_t i = 0; i < swept.size(); ++i) {
    if (progress) progress(i, swept.size(), to_string(swept[i]));
    const auto table = static_cast<std::size_t>(swept[i]);
    const std::uint64_t before = filters_[table]->removed();
    rocksdb::CompactRangeOptions compact;
    compact.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    compact.exclusive_manual_compaction = false;
    status = db_->CompactRange(compact, family(swept[i]), nullptr, nullptr);
    if (!status.ok()) return std::unexpected(to_error(status, "sweeping " + place_->name()));
    removed[table] = filters_[table]->removed() - before;
  }
  if (auto given = place_->give_back(); !given) return pass(given);
  if (progress) progress(swept.size(), swept.size(), "done");
  report.keys = removed[static_cast<std::size_t>(Table::keys)];
  report.results = removed[static_cast<std::size_t>(Table::results)];
  report.checkpoints = *orphans;
  report.events = removed[static_cast<std::size_t>(Table::outbox)];
  report.history = removed[static_cast<std::size_t>(Table::history)];
  report.bytes_after = place_->bytes();
  return report;
}

// A checkpoint lives as long as the record of its key: it has no retention of its own.
Result<std::uint64_t> EmbeddedEngine::remove_orphan_checkpoints() {
  std::uint64_t removed = 0;
  const std::unique_ptr<rocksdb::Iterator> at(
      db_->NewIterator(rocksdb::ReadOptions(), family(Table::checkpoints)));
  std::vector<RowWrite> rows;
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const ByteView row_key(at->key().data(), at->key().size());
    auto key = model::decode_checkpoint_key(row_key);
    if (!key) return pass(key);
    auto checkpoint =
        model::decode_checkpoint(key->name, ByteView(at->value().data(), at->value().size()));
    if (!checkpoint) return pass(checkpoint);
    const Bytes owner = model::encode_key(key->key);
    const StripeGuard guard(stripes_, std::span(&owner, 1));
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
    if (auto committed = commit(rows, Durability::buffered); !committed) return pass(committed);
    ++removed;
  }
  if (!at->status().ok()) {
    return std::unexpected(to_error(at->status(), place_of(Table::checkpoints, place_->name())));
  }
  return removed;
}

Result<std::uint64_t> EmbeddedEngine::verify_bytes(
    const std::function<void(std::string)>& problem) {
  const auto status = db_->VerifyChecksum();
  if (!status.ok()) problem(to_error(status, "reading all of " + place_->name()).message);
  if (auto checked = place_->check_bytes(problem); !checked) return pass(checked);
  return place_->bytes();
}

}  // namespace once::engine
