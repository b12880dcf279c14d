// What a salvage reader has found: facts and rows, one after the other, and what is lost of them.
#include <rocksdb/iterator.h>

#include <algorithm>
#include <queue>
#include <utility>

#include "base/error.h"
#include "engine/embedded/embedded_reading.h"
#include "engine/embedded/status.h"
#include "engine/salvage/place_names.h"
#include "engine/salvage/salvage_reader.h"
#include "model/key_codec.h"
#include "model/meta.h"
#include "model/row_header.h"
#include "once/version.h"

namespace once::engine {
namespace {

ByteView view_of(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

// The key of a row for people; see Loss::key.
std::string written(Table table, ByteView key) {
  if (table == Table::keys || table == Table::results) {
    if (const auto decoded = model::decode_key(key)) return decoded->to_string();
  } else if (table == Table::checkpoints) {
    if (const auto decoded = model::decode_checkpoint_key(key)) {
      return decoded->key.to_string() + " " + escape(decoded->name);
    }
  } else if (table == Table::outbox || table == Table::history) {
    if (const auto decoded = model::decode_sequence(key)) return std::to_string(*decoded);
  }
  return escape(key);
}

}  // namespace

// The keys that the sound blocks of a table hold, in order.
class SalvageReader::KeysOfTable {
 public:
  explicit KeysOfTable(std::shared_ptr<const DamagedTable> table) : table_(std::move(table)) {
    next();
  }
  [[nodiscard]] const std::optional<Bytes>& key() const { return key_; }
  void next() {
    while (at_ == keys_.size() && block_ < table_->blocks().size()) {
      keys_.clear();
      at_ = 0;
      const auto rows = table_->rows(table_->blocks()[block_++]);
      if (!rows) continue;
      (void)visit_rows(*rows, [this](const TableRow& row) { keys_.emplace_back(row.key); });
    }
    if (at_ == keys_.size()) {
      key_.reset();
    } else {
      key_ = std::move(keys_[at_++]);
    }
  }

 private:
  const std::shared_ptr<const DamagedTable> table_;
  std::size_t block_ = 0;
  std::vector<Bytes> keys_{};
  std::size_t at_ = 0;
  std::optional<Bytes> key_{};
};

// Hands rows on, in the order of their keys.
struct SalvageReader::Delivery {
  Table table;
  Time now;
  const std::function<bool(const Row&)>& visit;
  const LossVisitor& lost;
  bool go_on = true;
  std::optional<Bytes> last{};

  void take(ByteView key, ByteView value) {
    last = Bytes(key);
    if (table != Table::data && now != Time{} && model::may_remove(value, now)) return;
    auto row = decode_row(table, key, value);
    if (row) {
      go_on = visit(*row);
    } else {
      lost({.table = table, .key = written(table, key), .why = row.error().message});
    }
  }
};

Result<std::optional<Bytes>> SalvageReader::get(Table table, ByteView key) {
  Bytes value;
  rocksdb::Status status;
  if (!rebuilt_) {
    status = db_->Get(read_options(), family(table), rocksdb::Slice(key), &value);
    if (status.ok()) return value;
    if (status.IsNotFound()) return std::nullopt;
  } else {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read_options(), family(table)));
    at->Seek(rocksdb::Slice(key));
    if (at->Valid() && view_of(at->key()) == key) return at->value().ToString();
    status = at->status();
    if (status.ok()) return std::nullopt;
  }
  return fail(ErrorCode::damaged,
              "what was written last of it stands, or may stand, in bytes that "
              "are lost ({})",
              status.ToString());
}

Result<std::optional<Row>> SalvageReader::find(Table table, const Key& key) {
  const Bytes row_key = model::encode_key(key);
  auto value = get(table, row_key);
  if (!value) return pass(value);
  if (!*value) return std::nullopt;
  auto row = decode_row(table, row_key, **value);
  if (!row) return pass(row);
  return std::move(*row);
}

Result<SalvageReader::Facts> SalvageReader::facts(const LossVisitor& lost) {
  Facts facts;
  const auto lose = [&](std::string_view name, const std::string& why) {
    lost({.key = std::string(name), .why = fmt::format("a fact about the store itself: {}", why)});
  };
  const auto number = [&](std::string_view name) -> Result<std::optional<std::uint64_t>> {
    auto value = get(meta_table, name);
    if (!value) return pass(value);
    if (!*value) return std::nullopt;
    auto decoded = model::decode_u64(**value);
    if (!decoded) return pass(decoded);
    return *decoded;
  };
  const auto format = number(model::format_row);
  if (!format) lose(model::format_row, format.error().message);
  facts.row.format =
      static_cast<std::uint32_t>(format ? format->value_or(store_format) : store_format);
  if (facts.row.format > store_format) {
    return fail(ErrorCode::newer_format,
                "{} has format {}, and this version of Once ({}) knows formats up to {}; use a "
                "newer version",
                path_, facts.row.format, version, store_format);
  }
  const auto opening = number(model::opening_row);
  if (!opening) lose(model::opening_row, opening.error().message);
  if (opening) facts.row.opening = opening->value_or(0);
  const auto unfinished = get(meta_table, model::unfinished_row);
  if (!unfinished) lose(model::unfinished_row, unfinished.error().message);
  if (unfinished && *unfinished) {
    lost(
        {.why =
             "this is a copy that was not finished: rows that had not been copied yet are missing, "
             "and whose rows they were cannot be told"});
  }
  const auto gap = number(model::history_gap_row);
  if (!gap) lose(model::history_gap_row, gap.error().message);
  facts.knows_gap = gap.has_value();
  if (gap) facts.row.history_gap = gap->value_or(0);
  auto value = get(meta_table, model::clock_row);
  auto mark =
      value && *value
          ? model::decode_clock_mark(**value)
          : Result<model::ClockMark>(
                fail(ErrorCode::damaged, "{}", value ? "it is not there" : value.error().message));
  if (mark) {
    const auto clock = options_.clock ? options_.clock : system_clock();
    facts.now = StoreClock(clock, *mark).now();
  } else {
    lose(model::clock_row, mark.error().message);
  }
  return facts;
}

Result<void> SalvageReader::rows(Table table, Time now,
                                 const std::function<bool(const Row&)>& visit,
                                 const LossVisitor& lost) {
  Delivery delivery{.table = table, .now = now, .visit = visit, .lost = lost};
  rocksdb::ReadOptions options = read_options();
  options.fill_cache = false;
  options.readahead_size = std::size_t{1} << 20;
  const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, family(table)));
  for (at->SeekToFirst(); delivery.go_on && at->Valid(); at->Next()) {
    delivery.take(view_of(at->key()), view_of(at->value()));
  }
  if (!delivery.go_on || at->status().ok()) return {};
  return rows_one_by_one(table, delivery, lost);
}

Result<void> SalvageReader::rows_one_by_one(Table table, Delivery& delivery,
                                            const LossVisitor& lost) {
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  std::vector<KeysOfTable> sources;
  for (const auto& file : files) {
    if (file.column_family_name != family_name(table)) continue;
    const std::string name = in_directory(file);
    if (auto found = shown_->table(name)) {
      sources.emplace_back(std::move(found));
      tell_gaps(table, file, lost);
    } else {
      lost({.table = table,
            .after = written(table, file.smallestkey),
            .before = written(table, file.largestkey),
            .why = fmt::format("the table file {} is not there", name)});
    }
  }
  // What came last is in the logs, and in memory now.
  rocksdb::ReadOptions in_memory = read_options();
  in_memory.read_tier = rocksdb::kMemtableTier;
  const std::unique_ptr<rocksdb::Iterator> latest(db_->NewIterator(in_memory, family(table)));
  latest->SeekToFirst();

  using Next = std::pair<Bytes, KeysOfTable*>;
  const auto later = [](const Next& a, const Next& b) { return a.first > b.first; };
  std::priority_queue<Next, std::vector<Next>, decltype(later)> next(later);
  const auto add = [&](KeysOfTable* source) {
    if (source->key()) next.emplace(*source->key(), source);
  };
  for (KeysOfTable& source : sources) add(&source);
  while (delivery.go_on && (latest->Valid() || !next.empty())) {
    Bytes key;
    if (next.empty() || (latest->Valid() && view_of(latest->key()) < next.top().first)) {
      key = latest->key().ToString();
      latest->Next();
    } else {
      key = next.top().first;
      KeysOfTable* source = next.top().second;
      next.pop();
      source->next();
      add(source);
    }
    if (delivery.last && key <= *delivery.last) continue;
    auto value = get(table, key);
    delivery.last = key;
    if (!value) {
      lost({.table = table, .key = written(table, key), .why = value.error().message});
    } else if (*value) {
      delivery.take(key, **value);
    }
  }
  if (latest->status().ok()) return {};
  return std::unexpected(to_error(latest->status(), place_of(table, path_)));
}

void SalvageReader::tell_gaps(Table table, const rocksdb::LiveFileMetaData& file,
                              const LossVisitor& lost) {
  const std::string name = in_directory(file);
  const auto found = shown_->table(name);
  std::optional<Bytes> last;
  std::vector<Loss> open;  // their ends are not known yet
  const auto close_at = [&](std::string_view before) {
    for (Loss& loss : open) {
      loss.before = before;
      lost(loss);
    }
    open.clear();
  };
  for (const TableBlock& block : found->blocks()) {
    const auto rows = found->rows(block);
    if (!rows) {
      open.push_back({.table = table,
                      .after = last ? written(table, *last) : "",
                      .why = fmt::format("{} of the table file {} are damaged",
                                         bytes_from(block.offset, block.length), name)});
      continue;
    }
    (void)visit_rows(*rows, [&](const TableRow& row) {
      if (!open.empty()) close_at(written(table, row.key));
      last = Bytes(row.key);
    });
  }
  // Without the index nobody knows where the last block ends, but its last key is in the list.
  if (last && *last >= file.largestkey) open.clear();
  close_at("");
}

}  // namespace once::engine
