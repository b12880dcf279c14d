// Stores to be damaged, and what must hold of what is salvaged from them.
//
//   Sample sample(10'000);
//   std::string damaged = sample.bytes;
//   flip(damaged, 4711);
//   check(sample.rows, sample.salvage(damaged));
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "container/container.h"
#include "container/extent_io.h"
#include "container/host_file.h"
#include "engine/salvage/damaged_table.h"
#include "once/salvage.h"
#include "once/store.h"
#include "store/sample_store.h"
#include "support/check_result.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace once::testing {

inline constexpr Durability buffered = Durability::buffered;

// Small buffers, so that there are many tables, on several levels.
inline Options small(Layout layout = Layout::file) {
  Options options;
  options.layout = layout;
  options.memory_budget = std::size_t{1} << 20;
  return options;
}

inline Key key_of(int number) {
  return {"tenant", "operation", "key " + std::to_string(100'000 + number)};
}

inline void complete(Store& store, const Key& key, const std::string& value) {
  const Reservation mine =
      std::get<Reservation>(value_of(store.reserve(key, {.durability = buffered})));
  value_of(store.complete(mine, Outcome::success(value), {.durability = buffered}));
}

// Rows of all tables; removed keys, and some that were done anew with another outcome.
inline void fill(Store& store, int keys) {
  for (int i = 0; i < keys; ++i) {
    const Key key = key_of(i);
    if (i % 50 == 7) {
      const auto mine =
          std::get<Reservation>(value_of(store.reserve(key, {.durability = buffered})));
      value_of(store.fail(mine, "declined", "no money", {.durability = buffered}));
    } else if (i % 50 == 8) {
      const auto mine =
          std::get<Reservation>(value_of(store.reserve(key, {.durability = buffered})));
      value_of(store.save_checkpoint(mine, "a step", "its output", buffered));
      value_of(store.save_checkpoint(mine, "another", "", buffered));
    } else {
      complete(store, key, "first outcome of " + key.id + std::string(60, 'x'));
    }
    if (i % 10 == 0) {
      value_of(store.publish({.type = "told", .payload = "event " + std::to_string(i)}, buffered));
      value_of(store.transact("data " + std::to_string(i),
                              [&](Transaction& tx) {
                                return tx.put("row " + std::to_string(100'000 + i),
                                              std::string(100, 'd'));
                              },
                              {.durability = buffered}));
    }
  }
  value_of(store.sweep());
  for (int i = 0; i < keys; i += 5) {
    if (i % 50 == 8) continue;
    CHECK(value_of(store.remove(key_of(i))));
    if (i % 10 == 0) complete(store, key_of(i), "second outcome");
  }
}

// A row as something to look up and to compare.
using Name = std::pair<Table, std::string>;

inline Name name_of(const Row& row) {
  if (const auto* key = std::get_if<KeyRow>(&row)) return {Table::keys, key->key.to_string()};
  if (const auto* result = std::get_if<ResultRow>(&row)) {
    return {Table::results, result->key.to_string()};
  }
  if (const auto* saved = std::get_if<CheckpointRow>(&row)) {
    return {Table::checkpoints, saved->key.to_string() + " " + escape(saved->checkpoint.name)};
  }
  if (const auto* event = std::get_if<Event>(&row)) {
    return {Table::outbox, std::to_string(event->sequence)};
  }
  if (const auto* entry = std::get_if<HistoryEntry>(&row)) {
    return {Table::history, std::to_string(entry->sequence)};
  }
  if (const auto* data = std::get_if<DataRow>(&row)) return {Table::data, escape(data->key)};
  return {Table::all, ""};
}

using Rows = std::map<Name, Row>;

inline Rows rows_at(const std::string& path) {
  Store store = value_of(Store::open(path, {.create_if_missing = false, .read_only = true}));
  Rows rows;
  for (Row& row : value_of(rows_of(store))) rows.emplace(name_of(row), row);
  return rows;
}

struct Salvaged {
  Result<SalvageReport> report;
  std::vector<Loss> losses;
  Rows rows;  // without those of history that tell of the salvaging
};

inline Salvaged salvage_of(const std::string& damaged, const std::string& fresh,
                           Layout layout = Layout::file) {
  Salvaged salvaged;
  const auto before = std::filesystem::is_directory(damaged)
                          ? files_of(damaged)
                          : std::map<std::string, std::string>{{"", read_file(damaged)}};
  SalvageOptions options;
  options.store.layout = layout;
  options.on_loss = [&](const Loss& loss) { salvaged.losses.push_back(loss); };
  salvaged.report = salvage(damaged, fresh, options);
  CHECK(before == (std::filesystem::is_directory(damaged)
                       ? files_of(damaged)
                       : std::map<std::string, std::string>{{"", read_file(damaged)}}));
  if (!salvaged.report) {
    CHECK_FALSE(std::filesystem::exists(fresh));
    CHECK_FALSE(std::filesystem::exists(fresh + ".partial"));
    return salvaged;
  }
  CHECK(salvaged.report->problems.empty());
  for (const std::string& problem : salvaged.report->problems) MESSAGE(problem);
  CHECK(salvaged.report->lost == salvaged.losses.size());
  for (auto& [name, row] : rows_at(fresh)) {
    const auto* entry = std::get_if<HistoryEntry>(&row);
    if (entry == nullptr || !entry->note.starts_with("salvaged:")) salvaged.rows.emplace(name, row);
  }
  return salvaged;
}

inline bool is_named(const std::vector<Loss>& losses, const Name& name) {
  return std::ranges::any_of(losses, [&](const Loss& loss) {
    return loss.table == name.first && loss.key == name.second;
  });
}

// Whether the row lies in a range that was told. Written forms of the keys that are used here sort
// as the keys do, and so do sequences of one opening.
inline bool is_in_range(const std::vector<Loss>& losses, const Name& name) {
  return std::ranges::any_of(losses, [&](const Loss& loss) {
    if (loss.table != name.first || !loss.key.empty()) return false;
    return (loss.after.empty() || loss.after <= name.second) &&
           (loss.before.empty() || name.second <= loss.before);
  });
}

inline bool is_about_all(const std::vector<Loss>& losses) {
  return std::ranges::any_of(
      losses, [](const Loss& loss) { return loss.table == Table::all && loss.key.empty(); });
}

// What must hold whatever was damaged, apart from logs and the list of files.
inline void check(const Rows& original, const Salvaged& salvaged) {
  std::set<std::string> altered;  // keys
  for (const Loss& loss : salvaged.losses) {
    if (!loss.instead.empty() && !loss.key.empty()) altered.insert(loss.key);
  }
  for (const auto& [name, row] : salvaged.rows) {
    const bool of_key = name.first == Table::keys || name.first == Table::results;
    if (of_key && altered.contains(name.second)) continue;
    const auto known = original.find(name);
    CAPTURE(to_string(name.first));
    CAPTURE(name.second);
    REQUIRE(known != original.end());
    REQUIRE(known->second == row);
  }
  for (const auto& [name, row] : original) {
    if (salvaged.rows.contains(name)) continue;
    CAPTURE(to_string(name.first));
    CAPTURE(name.second);
    REQUIRE((is_named(salvaged.losses, name) || is_in_range(salvaged.losses, name)));
  }
  // What was done stays done, as far as anything is known of the key.
  for (const auto& [name, row] : original) {
    if (name.first != Table::keys || !salvaged.rows.contains(name)) continue;
    const Record& before = std::get<KeyRow>(row).record;
    const Record& after = std::get<KeyRow>(salvaged.rows.at(name)).record;
    CAPTURE(name.second);
    REQUIRE(after.token == before.token);
    REQUIRE((after.status == before.status || after.status == Status::in_doubt));
    if (!after.outcome) continue;
    const Outcome& outcome =
        std::get<ResultRow>(salvaged.rows.at({Table::results, name.second})).outcome;
    const bool replaced = outcome.omitted_bytes != 0 || outcome.code == "outcome_lost";
    REQUIRE((replaced || after.outcome == before.outcome));
  }
}

// A table file of the store within the host file.
struct TableInFile {
  std::string name;
  container::Extents extents;
  std::vector<engine::TableBlock> blocks;
  std::uint64_t size = 0;
  Table table = Table::all;
  std::vector<std::set<Bytes>> keys;  // of rows, by block

  [[nodiscard]] std::uint64_t place(std::uint64_t offset) const {
    return container::place_in(extents, offset);
  }
};

// All files of a store whose names end so, with their place in the host file.
inline std::vector<TableInFile> files_within(const std::string& path, const std::string& part) {
  std::shared_ptr<container::HostFile> host =
      value_of(container::HostFile::open_for_reading(path, {}));
  const auto container = value_of(container::Container::open(
      {host, &host->device()}, {host, &host->pins()}, {.read_only = true}));
  std::vector<TableInFile> found;
  const std::vector<std::string> names = container->children("/once").value();
  for (const std::string& name : names) {
    if (name.find(part) == std::string::npos) continue;
    const auto file = value_of(container->open_file("/once/" + name));
    TableInFile one{.name = name, .extents = {}, .blocks = {}, .keys = {}};
    {
      MutexLock lock(file->mutex);
      one.extents = *file->extents;
      one.size = file->size;
    }
    if (part == ".sst") {
      const engine::DamagedTable table(
          [&](std::uint64_t offset, std::uint64_t length) -> Result<Bytes> {
            Bytes bytes(length, '\0');
            bytes.resize(value_of(container->read(*file, offset, length, bytes.data())));
            return bytes;
          },
          one.size);
      REQUIRE(table.opens());
      one.blocks = table.blocks();
      one.table = static_cast<Table>(table.facts()->family);
      for (const auto& block : one.blocks) {
        one.keys.emplace_back();
        REQUIRE(engine::visit_rows(table.rows(block).value(), [&](const engine::TableRow& row) {
          one.keys.back().insert(Bytes(row.key));
        }));
      }
    }
    found.push_back(std::move(one));
  }
  return found;
}

inline void flip(std::string& bytes, std::uint64_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x08);
}

struct Sample {
  TemporaryDirectory directory{quick_place()};
  std::string path = directory.file("store");
  Rows rows;
  std::string bytes;  // of one in a file

  explicit Sample(int keys, Layout layout = Layout::file, bool compacted = false) {
    {
      Store store = value_of(Store::open(path, small(layout)));
      fill(store, keys);
      if (compacted) value_of(store.compact());
      value_of(store.close());
    }
    rows = rows_at(path);
    if (layout == Layout::file) bytes = read_file(path);
  }
  // A copy with these bytes, salvaged.
  Salvaged salvage(const std::string& damaged) {
    const std::string place = directory.file("damaged");
    write_file(place, damaged);
    std::filesystem::remove(directory.file("fresh"));
    return salvage_of(place, directory.file("fresh"));
  }
};

}  // namespace once::testing
