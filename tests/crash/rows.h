// All rows of a store in memory, for comparing and checking.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "once/store.h"

namespace once::crash {

struct Rows {
  std::map<Key, Record> keys;
  std::map<Key, ResultRow> results;
  std::map<Key, std::map<std::string, Checkpoint>> checkpoints;
  std::vector<Event> events;
  std::vector<HistoryEntry> history;
  std::map<Bytes, Bytes> data;

  friend bool operator==(const Rows&, const Rows&) = default;
};

// Without what goes away by itself meanwhile (keys of kind brief) and the opening number.
[[nodiscard]] Result<Rows> read_rows(Store& store);
// In which table, and at which row, two differ first; empty if they do not.
[[nodiscard]] std::string first_difference(const Rows& one, const Rows& other);

}  // namespace once::crash
