// Row: one thing in a store, whichever table it comes from. Dump, load, backup and verify move and
// check stores row by row.
//
//   store.rows(once::Table::all, [](const once::Row& row) { print(row); return true; });
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "once/bytes.h"
#include "once/checkpoint.h"
#include "once/error.h"
#include "once/event.h"
#include "once/history.h"
#include "once/key.h"
#include "once/outcome.h"
#include "once/record.h"

namespace once {

enum class Table : std::uint8_t {
  all = 0,
  keys = 1,
  results = 2,
  checkpoints = 3,
  outbox = 4,
  history = 5,
  data = 6,
};

// "keys", "results", ... Never null.
[[nodiscard]] std::string_view to_string(Table table) noexcept;
// Errors: invalid_argument, listing the names.
[[nodiscard]] Result<Table> parse_table(std::string_view name);

// The store itself: first in `all`.
struct StoreRow {
  std::uint32_t format = 0;
  std::uint64_t opening = 0;  // how often it was opened for writing; half of every token
  // The last opening at which history was switched off (0: none): up to it, history is not whole.
  std::uint64_t history_gap = 0;
  friend bool operator==(const StoreRow&, const StoreRow&) = default;
};
struct KeyRow {
  Key key{};
  Record record{};
  friend bool operator==(const KeyRow&, const KeyRow&) = default;
};
struct ResultRow {
  Key key{};
  Token token{};      // of the execution that gave the outcome
  Time expires_at{};  // the record's
  Outcome outcome{};
  friend bool operator==(const ResultRow&, const ResultRow&) = default;
};
struct CheckpointRow {
  Key key{};
  Checkpoint checkpoint{};
  friend bool operator==(const CheckpointRow&, const CheckpointRow&) = default;
};
struct DataRow {
  Bytes key{};
  Bytes value{};
  friend bool operator==(const DataRow&, const DataRow&) = default;
};

// Event stands for table outbox, HistoryEntry for history.
using Row = std::variant<StoreRow, KeyRow, ResultRow, CheckpointRow, Event, HistoryEntry, DataRow>;

}  // namespace once
