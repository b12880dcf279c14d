// A store with something of everything in it, and what it answers: for tests that damage it.
#pragma once

#include <string>
#include <vector>

#include "once/store.h"
#include "support/check_result.h"

namespace once::testing {

// All rows, the store's own left out: it counts openings.
inline Result<std::vector<Row>> rows_of(Store& store) {
  std::vector<Row> rows;
  auto visited = store.rows(Table::all, [&](const Row& row) {
    if (!std::holds_alternative<StoreRow>(row)) rows.push_back(row);
    return true;
  });
  if (!visited) return std::unexpected(visited.error());
  return rows;
}

inline Reservation reserve(Store& store, const Key& key, const ReserveOptions& options = {}) {
  return std::get<Reservation>(value_of(store.reserve(key, options)));
}

// Writes a record of each status, events, a checkpoint and data, all named after `name`.
inline void write_some(Store& store, const std::string& name) {
  const ReserveOptions reserving{.durability = Durability::buffered};
  const CompleteOptions completing{.durability = Durability::buffered};
  const auto reserve_one = [&](const std::string& what) {
    return reserve(store, Key("tenant", name, what), reserving);
  };
  for (int i = 0; i < 8; ++i) {
    const Reservation mine = reserve_one("done " + std::to_string(i));
    value_of(store.complete(mine, Outcome::success(std::string(100, static_cast<char>('a' + i))),
                            completing));
  }
  value_of(store.fail(reserve_one("failed"), "declined", "no money", completing));
  value_of(store.release(reserve_one("released"), "later", Durability::buffered));
  value_of(store.doubt(reserve_one("in doubt"), "who knows", Durability::buffered));
  const Reservation working = reserve_one("working");
  value_of(store.save_checkpoint(working, "first step", "its output", Durability::buffered));
  value_of(store.publish({.aggregate_id = name, .type = "told", .payload = "an event"},
                         Durability::buffered));
  value_of(store.transact("transaction " + name, [&](Transaction& tx) -> Result<Bytes> {
    if (auto put = tx.put("data " + name, "a value"); !put) return std::unexpected(put.error());
    return "written";
  }));
}

// Tables, several logs, and a store that was closed.
inline void make_sample(const std::string& path, Layout layout = Options{}.layout) {
  {
    Store store = value_of(Store::open(path, {.layout = layout}));
    write_some(store, "swept");
    value_of(store.sweep());
    write_some(store, "after");
  }
  Store store = value_of(Store::open(path));
  write_some(store, "last");
  value_of(store.close());
}

}  // namespace once::testing
