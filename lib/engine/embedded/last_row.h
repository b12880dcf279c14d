// The record's row that this thread has last read or written: one call looks, reserves and
// finishes, and is to read it once.
//
//   if (const auto* row = last_row().find(engine, changes, row_key)) return *row;
//   auto row = get(...);
//   last_row().keep(engine, changes, row_key, row);
//
// `changes` is the count of the key's stripe (stripes.h), asked for before reading.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/embedded/stripes.h"
#include "model/row_header.h"
#include "once/bytes.h"

namespace once::engine {

// One for each thread.
class LastRow {
 public:
  // The row, or that there is none; nullptr if that is not known.
  [[nodiscard]] const std::optional<Bytes>* find(std::uint64_t engine, std::uint64_t changes,
                                                 ByteView row_key) const {
    const bool known = engine_ == engine && changes_ == changes && row_key_ == row_key;
    return known ? &row_ : nullptr;
  }
  // Does nothing if it was read while a change was under way, and if sweeping may take it away,
  // which is no change that is counted.
  void keep(std::uint64_t engine, std::uint64_t changes, ByteView row_key,
            const std::optional<Bytes>& row) {
    if (!Stripes::is_quiet(changes) || (row && may_be_swept(*row))) return;
    engine_ = 0;  // whatever is thrown, nothing wrong stays
    row_key_ = row_key;
    row_ = row;
    changes_ = changes;
    engine_ = engine;
  }

 private:
  [[nodiscard]] static bool may_be_swept(ByteView row) {
    model::RowHeader header;
    Reader in(row);
    return !model::read_header(in, header) || header.removable;
  }

  std::uint64_t engine_ = 0;  // of the process; 0: none
  std::uint64_t changes_ = 0;
  Bytes row_key_{};
  std::optional<Bytes> row_{};
};

// This thread's.
[[nodiscard]] inline LastRow& last_row() {
  thread_local LastRow row;
  return row;
}

}  // namespace once::engine
