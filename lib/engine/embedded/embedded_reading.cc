#include "engine/embedded/embedded_reading.h"

#include <rocksdb/iterator.h>

#include <array>
#include <limits>

#include "base/error.h"
#include "engine/embedded/rocksdb_options.h"
#include "engine/embedded/status.h"
#include "model/checkpoint_codec.h"
#include "model/event_codec.h"
#include "model/history_codec.h"
#include "model/key_codec.h"
#include "model/meta.h"
#include "model/record_codec.h"
#include "model/result_codec.h"
#include "model/row_header.h"

namespace once::engine {
namespace {

constexpr std::array tables = {Table::keys,   Table::results, Table::checkpoints,
                               Table::outbox, Table::history, Table::data};

ByteView view_of(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

}  // namespace

std::string place_of(Table table, const std::string& store) {
  return fmt::format("reading table {} of {}", to_string(table), store);
}

Result<Row> decode_row(Table table, ByteView key, ByteView value) {
  switch (table) {
    case Table::keys: {
      auto decoded = model::decode_key(key);
      if (!decoded) return pass(decoded);
      auto record = model::decode_record(value);
      if (!record) return pass(record);
      return KeyRow{.key = std::move(*decoded), .record = std::move(*record)};
    }
    case Table::results: {
      auto decoded = model::decode_key(key);
      if (!decoded) return pass(decoded);
      auto result = model::decode_result(value);
      if (!result) return pass(result);
      return ResultRow{.key = std::move(*decoded),
                       .token = result->token,
                       .expires_at = result->expires_at,
                       .outcome = std::move(result->outcome)};
    }
    case Table::checkpoints: {
      auto decoded = model::decode_checkpoint_key(key);
      if (!decoded) return pass(decoded);
      auto checkpoint = model::decode_checkpoint(decoded->name, value);
      if (!checkpoint) return pass(checkpoint);
      return CheckpointRow{.key = std::move(decoded->key), .checkpoint = std::move(*checkpoint)};
    }
    case Table::outbox:
    case Table::history: {
      auto sequence = model::decode_sequence(key);
      if (!sequence) return pass(sequence);
      if (table == Table::outbox) {
        auto event = model::decode_event(*sequence, value);
        if (!event) return pass(event);
        return std::move(*event);
      }
      auto entry = model::decode_history(*sequence, value);
      if (!entry) return pass(entry);
      return std::move(*entry);
    }
    case Table::data:
      return DataRow{.key = Bytes(key), .value = Bytes(value)};
    case Table::all:
      break;
  }
  return fail(ErrorCode::invalid_argument, "table {} has no rows", to_string(table));
}

Result<std::optional<Bytes>> EmbeddedReading::get(Table table, ByteView key) {
  Bytes value;
  const auto status =
      db_.Get(read_options(snapshot_.snapshot()), family(table), rocksdb::Slice(key), &value);
  if (status.ok()) return value;
  if (status.IsNotFound()) return std::nullopt;
  return std::unexpected(to_error(status, place_of(table, name_)));
}

Result<std::optional<Found>> EmbeddedReading::find(const Key& key) {
  const Bytes row_key = model::encode_key(key);
  auto value = get(Table::keys, row_key);
  if (!value) return pass(value);
  if (!*value) return std::nullopt;
  auto record = model::decode_record(**value);
  if (!record) return pass(record);
  if (is_expired(*record, now_)) return std::nullopt;
  Found found{.record = std::move(*record), .outcome = {}};
  if (!found.record.outcome) return found;
  value = get(Table::results, row_key);
  if (!value) return pass(value);
  if (!*value) {
    return fail(ErrorCode::damaged, "key {} has a record that tells of an outcome, and no outcome",
                key.to_string());
  }
  auto result = model::decode_result(**value);
  if (!result) return pass(result);
  if (result->token != found.record.token) {
    return fail(ErrorCode::damaged, "the outcome of key {} has token {}, and its record {}",
                key.to_string(), result->token.value, found.record.token.value);
  }
  found.outcome = std::move(result->outcome);
  return found;
}

Result<std::optional<HistoryEntry>> EmbeddedReading::history_at(std::uint64_t sequence) {
  auto value = get(Table::history, model::encode_sequence(sequence));
  if (!value) return pass(value);
  if (!*value || model::may_remove(**value, now_)) return std::nullopt;
  auto entry = model::decode_history(sequence, **value);
  if (!entry) return pass(entry);
  return std::move(*entry);
}

Result<std::optional<Event>> EmbeddedReading::event_at(std::uint64_t sequence) {
  auto value = get(Table::outbox, model::encode_sequence(sequence));
  if (!value) return pass(value);
  if (!*value || model::may_remove(**value, now_)) return std::nullopt;
  auto event = model::decode_event(sequence, **value);
  if (!event) return pass(event);
  return std::move(*event);
}

Result<OutboxCursor> EmbeddedReading::outbox_cursor() {
  OutboxCursor cursor;
  auto from = get(meta_table, model::outbox_from_row);
  if (!from) return pass(from);
  if (!*from) return cursor;  // nothing was ever delivered
  auto number = model::decode_u64(**from);
  if (!number) return pass(number);
  cursor.from = *number;

  const rocksdb::Slice prefix(model::outbox_left_prefix);
  const std::unique_ptr<rocksdb::Iterator> at(
      db_.NewIterator(read_options(snapshot_.snapshot()), family(meta_table)));
  for (at->Seek(prefix); at->Valid() && at->key().starts_with(prefix); at->Next()) {
    auto sequence = model::decode_outbox_left(view_of(at->key()));
    if (!sequence) return pass(sequence);
    cursor.left.push_back(*sequence);
  }
  if (!at->status().ok()) {
    return std::unexpected(to_error(at->status(), place_of(meta_table, name_)));
  }
  return cursor;
}

rocksdb::ReadOptions EmbeddedReading::range_options(bool few) {
  rocksdb::ReadOptions options = read_options(snapshot_.snapshot());
  options.fill_cache = few;
  options.readahead_size = few ? 0 : std::size_t{1} << 20;
  return options;
}

Result<void> EmbeddedReading::events(std::span<const std::uint64_t> sequences, std::uint64_t after,
                                     const EventVisitor& visit) {
  for (const std::uint64_t sequence : sequences) {
    auto value = get(Table::outbox, model::encode_sequence(sequence));
    if (!value) return pass(value);
    if (!*value || model::may_remove(**value, now_)) continue;
    if (!visit(sequence, model::decode_event(sequence, **value))) return {};
  }
  if (after == std::numeric_limits<std::uint64_t>::max()) return {};
  const std::unique_ptr<rocksdb::Iterator> at(
      db_.NewIterator(range_options(after != 0), family(Table::outbox)));
  for (at->Seek(model::encode_sequence(after + 1)); at->Valid(); at->Next()) {
    if (model::may_remove(view_of(at->value()), now_)) continue;
    auto sequence = model::decode_sequence(view_of(at->key()));
    if (!sequence) return pass(sequence);
    if (!visit(*sequence, model::decode_event(*sequence, view_of(at->value())))) return {};
  }
  if (at->status().ok()) return {};
  return std::unexpected(to_error(at->status(), place_of(Table::outbox, name_)));
}

Result<void> EmbeddedReading::visit_table(Table table, const RowRange& range,
                                          const RowVisitor& visit, bool& go_on) {
  // Who goes on from a place seldom finds much, and comes again.
  const bool few = range.key.has_value() || range.after != 0;
  const bool expired = range.expired && table == Table::keys;
  const bool by_sequence = table == Table::outbox || table == Table::history;
  Bytes prefix;
  if (range.key && table == Table::checkpoints) prefix = model::encode_key(*range.key);
  if (table == Table::keys) prefix = model::encode_key_prefix(range.key_prefix);
  const Bytes first = by_sequence ? model::encode_sequence(range.after + 1) : prefix;
  const std::unique_ptr<rocksdb::Iterator> at(db_.NewIterator(range_options(few), family(table)));
  for (at->Seek(first); go_on && at->Valid(); at->Next()) {
    if (!at->key().starts_with(prefix)) break;
    const bool past = table != Table::data && model::may_remove(view_of(at->value()), now_);
    if (past != expired) continue;
    auto row = decode_row(table, view_of(at->key()), view_of(at->value()));
    if (!row) {
      row.error().message = fmt::format("{}, row {}: {}", place_of(table, name_),
                                        escape(view_of(at->key())), row.error().message);
    }
    go_on = visit(row);
  }
  if (!at->status().ok()) {
    go_on = visit(std::unexpected(to_error(at->status(), place_of(table, name_))));
  }
  return {};
}

Result<void> EmbeddedReading::rows(const RowRange& range, const RowVisitor& visit) {
  bool go_on = true;
  if (range.table != Table::all) return visit_table(range.table, range, visit, go_on);
  go_on = visit(Row(store_));
  for (const Table table : tables) {
    if (!go_on) break;
    if (auto visited = visit_table(table, range, visit, go_on); !visited) return visited;
  }
  return {};
}

}  // namespace once::engine
