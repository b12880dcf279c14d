// Salvage: saves every row of a damaged store that still checks out into a fresh one, and tells
// what it could not.
//
//   auto saved = once::salvage("payments.once", "saved.once", {.on_loss = [](const once::Loss&
//   loss) {
//     std::cerr << to_string(loss.table) << " " << loss.key << ": " << loss.why << "\n";
//   }});
//   if (saved && saved->lost == 0) use("saved.once");
//
// A row is saved as it was written last, or not at all: an older version of it, or one that was
// removed, comes back only where a loss says so that is about all tables: of a log, or of what
// tells which files there are. Nothing that is known to have been done looks as if it had not been:
// where a record is lost, and its outcome or its history tells of it, it is made anew; where only
// the outcome is lost, the record is saved with one that says so (ErrorCode::outcome_omitted).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "once/error.h"
#include "once/options.h"
#include "once/report.h"
#include "once/row.h"

namespace once {

// Something that could not be saved as it was: one row, or those of a range, of which nobody knows
// how many there were.
struct Loss {
  Table table = Table::all;  // all: of any table
  // The row: a key in its written form, for a checkpoint followed by a space and its name, for
  // events and history a sequence, for data the bytes, escaped. Empty: a range.
  std::string key{};
  // The range: behind this one and ahead of that one, both of which are there. Empty: from the
  // first one on, and up to the last one. Of a table file of which nothing is left these two are
  // part of the range.
  std::string after{};
  std::string before{};
  std::string why{};
  std::string instead{};  // what was saved in its place; empty: nothing
};

struct SalvageOptions {
  // Of the fresh store: layout, clock, retention of history. And whether network file systems are
  // fine.
  Options store{};
  Progress progress{};
  std::function<void(const Loss&)> on_loss{};  // told of each, in no particular order
};

struct SalvageReport {
  std::uint64_t rows = 0;            // saved, those made anew among them
  std::uint64_t rebuilt = 0;         // of these, records and outcomes that are not what they were
  std::uint64_t lost = 0;            // how often on_loss was called
  std::uint64_t lost_log_bytes = 0;  // of logs: what was committed there is missing
  // Damage that cost nothing, for people.
  std::vector<std::string> mended{};
  // What verify() finds in the fresh store; empty unless something is wrong with this function.
  std::vector<std::string> problems{};
};

// Reads the store at `damaged`, which is not written to, and makes the one at `fresh`, where
// nothing may be. Nobody may have `damaged` open for writing. Nothing is left at `fresh` on
// failure. Errors: store_missing, not_a_store, newer_format, store_locked (somebody writes to it),
// damaged (what leads to its files is beyond reading), invalid_argument (`fresh` is there), io,
// no_space.
Result<SalvageReport> salvage(std::string_view damaged, std::string_view fresh,
                              const SalvageOptions& options = {});

}  // namespace once
