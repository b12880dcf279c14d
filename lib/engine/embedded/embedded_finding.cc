// Records and their outcomes by key, one at a time and many at once.
#include <rocksdb/db.h>

#include <algorithm>
#include <new>

#include "base/error.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/embedded_reading.h"
#include "engine/embedded/last_row.h"
#include "engine/embedded/status.h"
#include "model/key_codec.h"
#include "model/record_codec.h"
#include "model/result_codec.h"

namespace once::engine {
namespace {

Result<std::optional<Record>> decoded(std::optional<ByteView> row) {
  if (!row) return std::nullopt;
  auto record = model::decode_record(*row);
  if (!record) return pass(record);
  return std::move(*record);
}

Result<std::optional<Record>> decoded(Result<std::optional<ByteView>>& row) {
  if (!row) return pass(row);
  return decoded(*row);
}

}  // namespace

Result<std::optional<Bytes>> EmbeddedEngine::get(Table table, ByteView key) const {
  rocksdb::PinnableSlice value;
  auto there = get(table, key, value);
  if (!there) return pass(there);
  if (!*there) return std::nullopt;
  return Bytes(value.data(), value.size());
}

Result<bool> EmbeddedEngine::get(Table table, ByteView key, rocksdb::PinnableSlice& value) const {
  const auto status = db_->Get(read_options(), family(table), rocksdb::Slice(key), &value);
  if (status.ok()) return true;
  if (status.IsNotFound()) return false;
  return std::unexpected(to_error(status, place_of(table, place_->name())));
}

std::vector<Result<std::optional<ByteView>>> EmbeddedEngine::get_many(
    Table table, std::span<const Bytes> keys, std::vector<rocksdb::PinnableSlice>& values) const {
  const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  values = std::vector<rocksdb::PinnableSlice>(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  db_->MultiGet(read_options(), family(table), keys.size(), slices.data(), values.data(),
                statuses.data());
  std::vector<Result<std::optional<ByteView>>> rows(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].ok()) {
      rows[i] = ByteView(values[i].data(), values[i].size());
    } else if (!statuses[i].IsNotFound()) {
      rows[i] = std::unexpected(to_error(statuses[i], place_of(table, place_->name())));
    }
  }
  return rows;
}

Result<std::optional<Record>> EmbeddedEngine::read_record(ByteView row_key) const {
  const std::uint64_t changes = stripes_.changes(row_key);
  if (const auto* known = last_row().find(number_, changes, row_key)) return decoded(*known);
  auto read = get(Table::keys, row_key);
  if (!read) return pass(read);
  last_row().keep(number_, changes, row_key, *read);
  return decoded(*read);
}

Result<std::vector<std::optional<Record>>> EmbeddedEngine::read_records(
    std::span<const Bytes> row_keys) const {
  std::vector<std::optional<Record>> records(row_keys.size());
  if (row_keys.size() == 1) {
    auto record = read_record(row_keys[0]);
    if (!record) return pass(record);
    records[0] = std::move(*record);
    return records;
  }
  std::vector<rocksdb::PinnableSlice> values;
  auto rows = get_many(Table::keys, row_keys, values);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto record = decoded(rows[i]);
    if (!record) return pass(record);
    records[i] = std::move(*record);
  }
  return records;
}

void EmbeddedEngine::remember_record(ByteView row_key, const std::vector<RowWrite>& rows) const {
  const auto row = std::ranges::find(rows, Table::keys, &RowWrite::table);
  if (row == rows.end()) return;
  const std::uint64_t when_over = stripes_.changes(row_key) + 1;
  try {
    last_row().keep(number_, when_over, row_key,
                    row->erase ? std::nullopt : std::optional(row->value));
  } catch (const std::bad_alloc&) {
    // The commit stands all the same; it will be read again.
  }
}

std::optional<Record> EmbeddedEngine::unless_expired(std::optional<Record> record, Time now) {
  if (!record || !is_expired(*record, now)) return record;
  // Reading goes on when writing does not (poisoned, disk full): the answer is right without the
  // mark, which only guards against a clock that is turned back before the next opening.
  (void)mark_past(record->expires_at);
  return std::nullopt;
}

Result<std::optional<Found>> EmbeddedEngine::find(const Key& key) {
  const Bytes row_key = model::encode_key(key);
  // Record and outcome are read one after the other; a commit in between shows by its token.
  constexpr int tries = 1000;
  for (int i = 0; i < tries; ++i) {
    auto read = read_record(row_key);
    if (!read) return pass(read);
    if (!*read) return std::nullopt;
    auto record = unless_expired(std::move(*read), clock_->now());
    if (!record) return std::nullopt;
    if (!record->outcome) return Found{.record = std::move(*record), .outcome = {}};
    rocksdb::PinnableSlice value;
    auto there = get(Table::results, row_key, value);
    if (!there) return pass(there);
    if (!*there) continue;
    auto result = model::decode_result({value.data(), value.size()});
    if (!result) return pass(result);
    if (result->token != record->token) continue;
    return Found{.record = std::move(*record), .outcome = std::move(result->outcome)};
  }
  return fail(ErrorCode::damaged,
              "the outcome of key {} is missing although its record says that there is one; run "
              "`once verify` and restore a backup",
              key.to_string());
}

Engine::FoundMany EmbeddedEngine::find_many(std::span<const Key* const> keys) {
  FoundMany found(keys.size());
  std::vector<Bytes> row_keys;
  row_keys.reserve(keys.size());
  for (const Key* key : keys) row_keys.push_back(model::encode_key(*key));
  std::vector<std::size_t> finished;
  std::vector<Bytes> finished_keys;
  std::vector<rocksdb::PinnableSlice> values;
  auto rows = get_many(Table::keys, row_keys, values);
  const Time now = clock_->now();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto read = decoded(rows[i]);
    if (!read) {
      found[i] = pass(read);
      continue;
    }
    auto record = unless_expired(std::move(*read), now);
    if (!record) continue;
    if (record->outcome) {
      finished.push_back(i);
      finished_keys.push_back(std::move(row_keys[i]));
    }
    found[i] = Found{.record = std::move(*record), .outcome = {}};
  }
  auto results = get_many(Table::results, finished_keys, values);
  for (std::size_t at = 0; at < finished.size(); ++at) {
    const std::size_t i = finished[at];
    if (!results[at]) {
      found[i] = pass(results[at]);
      continue;
    }
    std::optional<model::StoredResult> result;
    if (*results[at]) {
      auto whole = model::decode_result(**results[at]);
      if (!whole) {
        found[i] = pass(whole);
        continue;
      }
      result = std::move(*whole);
    }
    if (result && result->token == (*found[i])->record.token) {
      (*found[i])->outcome = std::move(result->outcome);
    } else {
      found[i] = find(*keys[i]);  // there was a commit in between
    }
  }
  return found;
}

Result<std::optional<Record>> EmbeddedEngine::record(const Key& key) {
  auto record = read_record(model::encode_key(key));
  // As in find(): what was seen expired stays so.
  if (record && *record && is_expired(**record, clock_->now())) {
    (void)mark_past((*record)->expires_at);
  }
  return record;
}

}  // namespace once::engine
