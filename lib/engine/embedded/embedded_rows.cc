// Counting and importing of rows by the embedded engine, and its view of `data`.
#include <rocksdb/iterator.h>

#include <algorithm>

#include "base/error.h"
#include "base/saturating.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/embedded_reading.h"
#include "engine/embedded/stats_counter.h"
#include "engine/embedded/status.h"
#include "model/checkpoint_codec.h"
#include "model/event_codec.h"
#include "model/history_codec.h"
#include "model/key_codec.h"
#include "model/numbers.h"
#include "model/record_codec.h"
#include "model/result_codec.h"
#include "model/row_header.h"
#include "once/version.h"

namespace once::engine {
namespace {

ByteView view_of(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

}  // namespace

Result<Stats> EmbeddedEngine::stats() {
  const Time now = clock_->now();
  StatsCounter counter(now);
  for (const Table table : {Table::keys, Table::results, Table::checkpoints, Table::outbox,
                            Table::history, Table::data}) {
    auto counted = count_rows(table, now, [&](const Row& row, bool expired, std::size_t bytes) {
      counter.add(row, expired, bytes);
    });
    if (!counted) return pass(counted);
  }
  Stats stats = counter.take();
  stats.opening = numbering_ ? numbering_->opening() : opening_;
  stats.bytes_on_disk = place_->bytes();
  const FreeBytes space = place_->free_bytes();
  stats.bytes_free = space.free + space.held_back;
  return stats;
}

Result<std::vector<LabelTally>> EmbeddedEngine::tallies() {
  std::vector<LabelTally> found;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read_options(), family(meta_table)));
  for (at->Seek(rocksdb::Slice(model::tally_prefix)); at->Valid(); at->Next()) {
    if (!at->key().starts_with(rocksdb::Slice(model::tally_prefix))) break;
    auto tally = model::decode_tally(view_of(at->key()), view_of(at->value()));
    if (!tally) return pass(tally);
    found.push_back(std::move(*tally));
  }
  if (!at->status().ok()) {
    return std::unexpected(to_error(at->status(), place_of(meta_table, place_->name())));
  }
  return found;
}

Result<void> EmbeddedEngine::count_rows(Table table, Time now, const CountRow& count) {
  rocksdb::ReadOptions options = read_options();
  options.fill_cache = false;
  options.readahead_size = std::size_t{1} << 20;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, family(table)));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    auto row = decode_row(table, view_of(at->key()), view_of(at->value()));
    if (!row) return pass(row);
    count(*row, table != Table::data && model::may_remove(view_of(at->value()), now),
          at->key().size() + at->value().size());
  }
  if (!at->status().ok())
    return std::unexpected(to_error(at->status(), place_of(table, place_->name())));
  return {};
}

Result<void> EmbeddedEngine::import_rows(std::span<const Row> rows) {
  if (auto writable = check_writable(); !writable) return writable;
  rocksdb::WriteBatch batch;
  rocksdb::Status status;
  const auto put = [&](Table table, const Bytes& key, const Bytes& value) {
    keep_first(status, batch.Put(family(table), key, value));
  };
  const auto saw = [&](std::uint64_t number, Time time) {
    import_opening_ = std::max(import_opening_, model::opening_of(number));
    import_time_ = std::max(import_time_, time);
  };
  for (const Row& any : rows) {
    if (const auto* store = std::get_if<StoreRow>(&any)) {
      import_opening_ = std::max(import_opening_, store->opening);
      if (store->history_gap != 0) {
        put(Table::all, Bytes(model::history_gap_row), model::encode_u64(store->history_gap));
      }
    } else if (const auto* key = std::get_if<KeyRow>(&any)) {
      put(Table::keys, model::encode_key(key->key), model::encode_record(key->record));
      saw(key->record.token.value, key->record.updated_at);
    } else if (const auto* result = std::get_if<ResultRow>(&any)) {
      put(Table::results, model::encode_key(result->key),
          model::encode_result({.token = result->token,
                                .expires_at = result->expires_at,
                                .outcome = result->outcome}));
    } else if (const auto* saved = std::get_if<CheckpointRow>(&any)) {
      put(Table::checkpoints, model::encode_checkpoint_key(saved->key, saved->checkpoint.name),
          model::encode_checkpoint(saved->checkpoint));
      saw(saved->checkpoint.sequence, saved->checkpoint.created_at);
    } else if (const auto* event = std::get_if<Event>(&any)) {
      put(Table::outbox, model::encode_sequence(event->sequence), model::encode_event(*event));
      if (event->status != EventStatus::delivered) {
        put(Table::all, model::encode_outbox_left(event->sequence), {});
      }
      import_outbox_ = std::max(import_outbox_, event->sequence);
      saw(event->sequence, event->created_at);
    } else if (const auto* entry = std::get_if<HistoryEntry>(&any)) {
      const Time until = after(entry->time, options_.history_retention);
      put(Table::history, model::encode_sequence(entry->sequence),
          model::encode_history(*entry, until));
      saw(entry->sequence, entry->time);
    } else if (const auto* data = std::get_if<DataRow>(&any)) {
      put(Table::data, data->key, data->value);
    }
  }
  // The log is left out: nothing counts before finish_import(), which writes tables.
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  if (status.ok()) status = db_->Write(write, &batch);
  if (!status.ok())
    return std::unexpected(to_error(status, "importing rows into " + place_->name()));
  return {};
}

Result<void> EmbeddedEngine::finish_import() {
  if (auto writable = check_writable(); !writable) return writable;
  const std::uint64_t opening = std::max(import_opening_, numbering_->opening());
  if (auto put = put_meta(model::opening_row, model::encode_u64(opening), true); !put) return put;
  if (auto put = put_meta(model::restored_row, "1", true); !put) return put;
  // What is open among them was left behind, and so nobody needs to look through the others.
  if (import_outbox_ != 0) {
    const Bytes from = model::encode_u64(import_outbox_);
    if (auto put = put_meta(model::outbox_from_row, from, true); !put) return put;
    outbox_from_ = import_outbox_;
  }
  if (import_time_ > clock_->now()) {
    model::ClockMark mark = clock_->mark();
    // Of no boot, so that the time is a lower bound and nothing else.
    mark = {.time = import_time_, .boot = {}, .since_boot = {}};
    if (auto put = put_meta(model::clock_row, model::encode_clock_mark(mark), true); !put) {
      return put;
    }
    clock_->set_marked(import_time_);
  }
  const auto status = flush();
  if (!status.ok()) return std::unexpected(to_error(status, "syncing " + place_->name()));
  // Last: from now on it is a store.
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const auto erased =
      db_->Delete(synced, family(meta_table), rocksdb::Slice(model::unfinished_row));
  if (!erased.ok()) return std::unexpected(to_error(erased, "syncing " + place_->name()));
  return {};
}

namespace {

class EmbeddedDataView final : public DataView {
 public:
  EmbeddedDataView(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* data, std::uint64_t version)
      : version_(version), db_(db), data_(data), snapshot_(&db) {}

  std::uint64_t version() const override { return version_; }

  Result<std::optional<Bytes>> get(ByteView key) override {
    Bytes value;
    const auto status =
        db_.Get(read_options(snapshot_.snapshot()), data_, rocksdb::Slice(key), &value);
    if (status.ok()) return value;
    if (status.IsNotFound()) return std::nullopt;
    return std::unexpected(to_error(status, "reading table data"));
  }

  Result<void> scan(ByteView from, ByteView to,
                    const std::function<bool(ByteView, ByteView)>& visit) override {
    rocksdb::ReadOptions bounded = read_options(snapshot_.snapshot());
    const rocksdb::Slice end(to);
    if (!to.empty()) bounded.iterate_upper_bound = &end;
    const std::unique_ptr<rocksdb::Iterator> at(db_.NewIterator(bounded, data_));
    for (at->Seek(rocksdb::Slice(from)); at->Valid(); at->Next()) {
      if (!visit(view_of(at->key()), view_of(at->value()))) return {};
    }
    if (!at->status().ok()) {
      return std::unexpected(to_error(at->status(), "reading table data"));
    }
    return {};
  }

 private:
  const std::uint64_t version_;
  rocksdb::DB& db_;
  rocksdb::ColumnFamilyHandle* const data_;
  rocksdb::ManagedSnapshot snapshot_;
};

}  // namespace

Result<std::unique_ptr<DataView>> EmbeddedEngine::view() {
  // The version before the snapshot: what is committed in between counts as a conflict, and never
  // the other way round.
  const std::uint64_t version = queue_ ? queue_->visible_version() : 0;
  return std::make_unique<EmbeddedDataView>(*db_, family(Table::data), version);
}

}  // namespace once::engine
