#include "engine/embedded/tables_to_rewrite.h"

#include <rocksdb/metadata.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

#include "base/file_name.h"
#include "model/row_header.h"

namespace once::engine {
namespace {

using Milliseconds = Duration::rep;

constexpr const char* property = "once.rewrite-from";
constexpr Milliseconds never = std::numeric_limits<Milliseconds>::max();
// Each costs a look at the memtables; more of them are taken as one.
constexpr std::size_t most_ranges = 8;

class RewriteFrom final : public rocksdb::TablePropertiesCollector {
 public:
  explicit RewriteFrom(bool rows_expire) : rows_expire_(rows_expire) {}

  rocksdb::Status AddUserKey(const rocksdb::Slice& key, const rocksdb::Slice& value,
                             rocksdb::EntryType type, rocksdb::SequenceNumber,
                             std::uint64_t) override {
    if (from_ == at_once) return {};
    const bool replaced = !first_ && key == rocksdb::Slice(last_key_);
    first_ = false;
    last_key_.assign(key.data(), key.size());
    if (replaced || type != rocksdb::kEntryPut) {
      from_ = at_once;
    } else if (rows_expire_) {
      const auto goes = model::removable_from(ByteView(value.data(), value.size()));
      if (goes) from_ = std::min(from_, goes->time_since_epoch().count());
    }
    return {};
  }
  rocksdb::Status Finish(rocksdb::UserCollectedProperties* properties) override {
    (*properties)[property] = std::to_string(from_);
    return {};
  }
  rocksdb::UserCollectedProperties GetReadableProperties() const override {
    return {{property, std::to_string(from_)}};
  }
  const char* Name() const override { return "once.RewriteFrom"; }

 private:
  static constexpr Milliseconds at_once = std::numeric_limits<Milliseconds>::min();

  const bool rows_expire_;
  bool first_ = true;
  std::string last_key_{};
  Milliseconds from_ = never;
};

class RewriteFromFactory final : public rocksdb::TablePropertiesCollectorFactory {
 public:
  explicit RewriteFromFactory(bool rows_expire) : rows_expire_(rows_expire) {}

  rocksdb::TablePropertiesCollector* CreateTablePropertiesCollector(Context) override {
    return new RewriteFrom(rows_expire_);  // RocksDB's own from here on
  }
  const char* Name() const override { return "once.RewriteFromFactory"; }

 private:
  const bool rows_expire_;
};

bool goes(const rocksdb::TablePropertiesCollection& all, const std::string& name, Time now) {
  const auto table = all.find(name);
  if (table == all.end()) return true;
  const auto& properties = table->second->user_collected_properties;
  const auto at = properties.find(property);
  if (at == properties.end()) return true;
  const std::string& text = at->second;
  Milliseconds from = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), from);
  if (error != std::errc() || end != text.data() + text.size()) return true;
  return from != never && Time(Duration(from)) <= now;
}

std::string name_in(const std::string& path) {
  return std::string(file_name_of(path));
}

// By the names of the files alone.
rocksdb::TablePropertiesCollection properties_of(rocksdb::DB& db,
                                                 rocksdb::ColumnFamilyHandle& family) {
  rocksdb::TablePropertiesCollection by_path;
  rocksdb::TablePropertiesCollection by_name;
  if (!db.GetPropertiesOfAllTables(&family, &by_path).ok()) return by_name;
  for (auto& [path, properties] : by_path) by_name[name_in(path)] = std::move(properties);
  return by_name;
}

// A table, or what lies above the last level.
struct Stretch {
  KeyRange range{};
  bool rewritten = false;
  bool small = false;
};

// Small ones beside each other, or beside what is rewritten, become one.
void take_small(std::vector<Stretch>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].small || all[i].rewritten) continue;
    const auto joins = [](const Stretch& beside) { return beside.small || beside.rewritten; };
    all[i].rewritten = (i > 0 && joins(all[i - 1])) || (i + 1 < all.size() && joins(all[i + 1]));
  }
}

// Puts those together that share a key, or have nothing that stays between them.
std::vector<KeyRange> merged(const std::vector<Stretch>& all) {
  std::vector<KeyRange> apart;
  bool between = false;
  for (const Stretch& stretch : all) {
    const bool overlaps = !apart.empty() && stretch.range.first <= apart.back().last;
    if (!stretch.rewritten) {
      between = between || !overlaps;
      continue;
    }
    if (!apart.empty() && (overlaps || !between)) {
      apart.back().last = std::max(apart.back().last, stretch.range.last);
    } else {
      apart.push_back(stretch.range);
    }
    between = false;
  }
  if (apart.size() > most_ranges) return {{apart.front().first, apart.back().last}};
  return apart;
}

}  // namespace

std::shared_ptr<rocksdb::TablePropertiesCollectorFactory> make_rewrite_from(bool rows_expire) {
  return std::make_shared<RewriteFromFactory>(rows_expire);
}

std::vector<KeyRange> ranges_to_rewrite(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& family,
                                        Time now, std::uint64_t table_bytes) {
  rocksdb::ColumnFamilyMetaData levels;
  db.GetColumnFamilyMetaData(&family, &levels);
  int last = 0;
  for (const auto& level : levels.levels) {
    if (!level.files.empty()) last = std::max(last, level.level);
  }
  const auto properties = properties_of(db, family);
  std::vector<Stretch> all;
  for (const auto& level : levels.levels) {
    const bool upper = level.level != last || last == 0;
    for (const auto& file : level.files) {
      const bool rewritten = upper || goes(properties, name_in(file.name), now);
      all.push_back({.range = {file.smallestkey, file.largestkey},
                     .rewritten = rewritten,
                     .small = file.size < table_bytes / 2});
    }
  }
  std::ranges::sort(
      all, {}, [](const Stretch& stretch) -> const std::string& { return stretch.range.first; });
  for (std::size_t i = 1; i < all.size(); ++i) {
    // Versions of one key, in two tables.
    if (all[i - 1].range.last == all[i].range.first) {
      all[i - 1].rewritten = all[i].rewritten = true;
    }
  }
  take_small(all);
  return merged(all);
}

}  // namespace once::engine
