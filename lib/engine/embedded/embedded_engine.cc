#include "engine/embedded/embedded_engine.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "base/saturating.h"
#include "engine/embedded/embedded_reading.h"
#include "engine/embedded/row_writes.h"
#include "engine/embedded/status.h"
#include "model/checkpoint_codec.h"
#include "model/event_codec.h"
#include "model/history_codec.h"
#include "model/key_codec.h"
#include "model/row_header.h"
#include "once/version.h"

namespace once::engine {
namespace {

// How old the clock's mark in the store may get while commits are made.
constexpr Duration mark_interval = std::chrono::seconds(1);

// How old the tallies in the store may get while commits are made.
constexpr Duration tally_interval = std::chrono::seconds(10);

// How often a commit is tried that RocksDB refuses because it has stopped meanwhile.
constexpr int most_tries = 3;

// What a row takes besides its key and value, in a log.
constexpr std::size_t row_overhead = 16;

std::size_t room_for(const std::vector<RowWrite>& rows) {
  std::size_t bytes = 0;
  for (const RowWrite& row : rows) bytes += row.key.size() + row.value.size() + row_overhead;
  return bytes;
}

std::size_t room_for(const DataChanges& data) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : data.writes) {
    bytes += key.size() + (value ? value->size() : 0) + row_overhead;
  }
  return bytes;
}

}  // namespace

Result<void> EmbeddedEngine::check_writable() const {
  if (queue_) return {};
  return fail(ErrorCode::unsupported,
              "{} was opened to read; open it without Options::read_only to change it",
              place_->name());
}

Result<std::vector<Bytes>> EmbeddedEngine::checkpoint_keys(ByteView row_key) const {
  std::vector<Bytes> keys;
  const std::unique_ptr<rocksdb::Iterator> at(
      db_->NewIterator(read_options(), family(Table::checkpoints)));
  for (at->Seek(rocksdb::Slice(row_key)); at->Valid(); at->Next()) {
    if (!at->key().starts_with(rocksdb::Slice(row_key))) break;
    keys.push_back(at->key().ToString());
  }
  if (!at->status().ok()) {
    return std::unexpected(to_error(at->status(), place_of(Table::checkpoints, place_->name())));
  }
  return keys;
}

Time EmbeddedEngine::add_mark(std::vector<RowWrite>& rows) {
  const model::ClockMark mark = clock_->mark();
  rows.push_back({.table = meta_table,
                  .key = Bytes(model::clock_row),
                  .value = model::encode_clock_mark(mark)});
  // Before the commit, so that others do not add theirs meanwhile; a mark that is lost with a
  // failed commit poisons the store anyway.
  clock_->set_marked(mark.time);
  return mark.time;
}

namespace {

void append_tallies(std::vector<RowWrite>& rows, const std::vector<LabelTally>& tallies) {
  for (const LabelTally& label : tallies) {
    rows.push_back({.table = meta_table,
                    .key = model::encode_tally_name(label),
                    .value = model::encode_tally(label.tally)});
  }
}

}  // namespace

void EmbeddedEngine::keep_tallies(std::function<std::vector<LabelTally>()> current) {
  current_tallies_ = std::move(current);
  tallies_due_ = after(machine_clock_->since_boot(), tally_interval).count();
}

void EmbeddedEngine::add_tallies(std::vector<RowWrite>& rows) {
  if (!current_tallies_) return;
  const Duration now = machine_clock_->since_boot();
  Duration::rep due = tallies_due_;
  if (now.count() < due) return;
  // Who comes second finds that it has been done.
  const Duration::rep next = after(now, tally_interval).count();
  if (tallies_due_.compare_exchange_strong(due, next)) append_tallies(rows, current_tallies_());
}

void EmbeddedEngine::save_tallies() {
  if (!queue_ || queue_->poisoned() || !current_tallies_) return;
  std::vector<RowWrite> rows;
  append_tallies(rows, current_tallies_());
  if (!rows.empty()) (void)commit(rows, Durability::buffered, {});
}

Result<Token> EmbeddedEngine::next_token() {
  auto token = numbering_->token();
  // A failed sync is not tried again: see commit_queue.h.
  if (!token) queue_->poison(token.error().message);
  return token;
}

Result<void> EmbeddedEngine::mark_past(Time until) {
  if (!queue_ || until <= clock_->marked()) return {};
  std::vector<RowWrite> rows;
  return commit(rows, Durability::buffered, {.with_mark = true, .from_reserve = true});
}

Result<void> EmbeddedEngine::resume() {
  if (!full_disk_->stopped()) return {};
  MutexLock lock(resuming_);
  if (!full_disk_->stopped()) return {};
  const auto reserve = place_->clean_up();
  if (auto room = place_->admit_flush([this] { return unflushed_bytes(); }); !room) return room;
  full_disk_->resuming();
  const auto status = db_->Resume();
  if (!status.ok()) {
    full_disk_->still_stopped();
    return std::unexpected(to_error(status, "going on after a full disk with " + place_->name()));
  }
  return {};
}

std::uint64_t EmbeddedEngine::unflushed_bytes() const {
  std::uint64_t bytes = 0;
  (void)db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes);
  return bytes;
}

Result<void> EmbeddedEngine::admit(std::size_t bytes, bool from_reserve) {
  auto room = place_->admit(bytes, from_reserve, [this] { return unflushed_bytes(); });
  if (room || !from_reserve || room.error().code != ErrorCode::no_space) return room;
  make_room();
  // What removes may take the last there is.
  return place_->admit(bytes, from_reserve, [] { return std::uint64_t{0}; });
}

Result<void> EmbeddedEngine::commit(std::vector<RowWrite>& rows, Durability durability,
                                    const CommitOptions& options) {
  if (!queue_->poisoned()) {
    std::size_t bytes = room_for(rows);
    if (options.data != nullptr) bytes += room_for(*options.data);
    if (auto room = admit(bytes, options.from_reserve); !room) return room;
  }
  Result<void> committed;
  for (int tries = 0; tries < most_tries; ++tries) {
    committed = commit_admitted(rows, durability, options);
    // RocksDB may stop after it was told to go on. Nothing was written then.
    const bool full = !committed && committed.error().code == ErrorCode::no_space;
    if (!full || !full_disk_->stopped()) break;
  }
  return committed;
}

Result<void> EmbeddedEngine::commit_admitted(std::vector<RowWrite>& rows, Durability durability,
                                             const CommitOptions& options) {
  if (!queue_->poisoned()) {
    if (auto resumed = resume(); !resumed) return resumed;
  }
  std::optional<Time> mark;
  if (options.with_mark || clock_->now() - clock_->marked() >= mark_interval) mark = add_mark(rows);
  add_tallies(rows);
  auto committed = queue_->commit(rows, durability, options.data);
  if (committed && mark && durability == Durability::synced) clock_->set_durable(*mark);
  if (!committed && mark && committed.error().code == ErrorCode::no_space) clock_->forget_marked();
  return committed;
}

Result<void> EmbeddedEngine::update(const Key& key, const Transition& transition,
                                    Durability durability, const DataChanges* data) {
  return update_one(key, transition, durability, data, {});
}

Result<void> EmbeddedEngine::update_outbox(const Key& key, std::span<const std::uint64_t> sequences,
                                           const Transition& transition, Durability durability) {
  return update_one(key, transition, durability, nullptr, sequences);
}

Result<std::vector<std::optional<Event>>> EmbeddedEngine::read_events(
    std::span<const std::uint64_t> sequences) const {
  std::vector<std::optional<Event>> events;
  events.reserve(sequences.size());
  for (const std::uint64_t sequence : sequences) {
    auto value = get(Table::outbox, model::encode_sequence(sequence));
    if (!value) return pass(value);
    events.emplace_back();
    if (!*value) continue;
    auto event = model::decode_event(sequence, **value);
    if (!event) return pass(event);
    events.back() = std::move(*event);
  }
  return events;
}

Result<void> EmbeddedEngine::update_one(const Key& key, const Transition& transition,
                                        Durability durability, const DataChanges* data,
                                        std::span<const std::uint64_t> sequences) {
  if (auto writable = check_writable(); !writable) return writable;
  const std::array<Bytes, 1> row_key{model::encode_key(key)};
  Stripes::Guard guard(stripes_, row_key);
  auto record = read_record(row_key[0]);
  if (!record) return pass(record);
  auto events = read_events(sequences);
  if (!events) return pass(events);
  // Under the stripe, so that the tokens of one key grow in the order of its grants.
  auto fresh = next_token();
  if (!fresh) return pass(fresh);
  const Time now = clock_->now();
  Change change = transition({.record = *record, .now = now, .fresh = *fresh, .events = *events});
  if (change.empty()) return {};

  std::vector<RowWrite> rows;
  std::vector<Bytes> checkpoints;
  if (change.remove) {
    auto keys = checkpoint_keys(row_key[0]);
    if (!keys) return pass(keys);
    checkpoints = std::move(*keys);
  }
  const CommitOptions options{
      .data = change.apply_data ? data : nullptr,
      .with_mark = *record && is_expired(**record, now) && (*record)->expires_at > clock_->marked(),
      .from_reserve = change.from_reserve};
  const std::uint64_t outbox_from = std::max(outbox_from_.load(), change.outbox.from);
  append_outbox_rows(rows, change.outbox, outbox_from_);
  append_rows(rows, key, std::move(change), now, options_, checkpoints);
  guard.begin_change();
  auto committed = commit(rows, durability, options);
  if (committed) remember_record(row_key[0], rows);
  // Under the stripe of the one key by which the outbox is changed.
  if (committed && outbox_from != outbox_from_) outbox_from_ = outbox_from;
  return committed;
}

Result<void> EmbeddedEngine::update_many(std::span<const Update> updates, Durability durability) {
  if (auto writable = check_writable(); !writable) return writable;
  std::vector<Bytes> row_keys;
  row_keys.reserve(updates.size());
  for (const Update& update : updates) row_keys.push_back(model::encode_key(update.key));
  Stripes::Guard guard(stripes_, row_keys);

  std::vector<Bytes> distinct = row_keys;
  std::ranges::sort(distinct);
  distinct.erase(std::ranges::unique(distinct).begin(), distinct.end());
  auto records = read_records(distinct);
  if (!records) return pass(records);
  std::vector<RowWrite> rows;
  const Time now = clock_->now();
  const bool expired_unmarked = std::ranges::any_of(*records, [&](const auto& record) {
    return record && is_expired(*record, now) && record->expires_at > clock_->marked();
  });
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const auto at = std::ranges::lower_bound(distinct, row_keys[i]) - distinct.begin();
    // As the updates before left it.
    std::optional<Record>& record = (*records)[static_cast<std::size_t>(at)];
    auto fresh = next_token();
    if (!fresh) return pass(fresh);
    Change change = updates[i].transition({.record = record, .now = now, .fresh = *fresh});
    if (change.empty()) continue;
    if (change.put) record = change.put;
    if (change.remove) record.reset();
    append_rows(rows, updates[i].key, std::move(change), now, options_, {});
  }
  if (rows.empty()) return {};
  guard.begin_change();
  return commit(rows, durability, {.with_mark = expired_unmarked});
}

Result<void> EmbeddedEngine::append(std::span<Event> events, Durability durability) {
  if (auto writable = check_writable(); !writable) return writable;
  std::vector<RowWrite> rows;
  Change change;
  change.events.assign(events.begin(), events.end());
  append_rows(rows, Key(), std::move(change), clock_->now(), options_, {});
  if (auto committed = commit(rows, durability, {}); !committed) return committed;
  for (std::size_t i = 0; i < events.size(); ++i) events[i].sequence = rows[i].sequence;
  return {};
}

Result<std::optional<Checkpoint>> EmbeddedEngine::checkpoint(const Key& key, ByteView name) {
  auto value = get(Table::checkpoints, model::encode_checkpoint_key(key, name));
  if (!value) return pass(value);
  if (!*value) return std::nullopt;
  auto decoded = model::decode_checkpoint(name, **value);
  if (!decoded) return pass(decoded);
  return std::move(*decoded);
}

Result<std::unique_ptr<Reading>> EmbeddedEngine::read() {
  return std::make_unique<EmbeddedReading>(
      *db_, families_, place_->name(), clock_,
      StoreRow{.format = store_format,
               .opening = numbering_ ? numbering_->opening() : opening_,
               .history_gap = history_gap_});
}

Result<std::optional<std::uint64_t>> EmbeddedEngine::get_meta_number(std::string_view name) const {
  auto value = get(meta_table, name);
  if (!value) return pass(value);
  if (!*value) return std::nullopt;
  auto number = model::decode_u64(**value);
  if (!number) return pass(number);
  return *number;
}

Result<void> EmbeddedEngine::put_meta(std::string_view name, ByteView value, bool sync) {
  rocksdb::WriteOptions write;
  write.sync = sync;
  const auto status =
      db_->Put(write, family(meta_table), rocksdb::Slice(name), rocksdb::Slice(value));
  if (!status.ok()) return std::unexpected(to_error(status, fmt::format("writing {}", name)));
  return {};
}

}  // namespace once::engine
