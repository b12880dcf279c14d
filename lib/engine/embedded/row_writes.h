// The rows that one commit writes, not numbered yet.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "once/bytes.h"
#include "once/row.h"

namespace once::engine {

// Tables of RocksDB column families: those of Table, and the store's own facts.
inline constexpr Table meta_table = Table::all;

// Where a row carries the sequence that its commit is given.
enum class Numbered : std::uint8_t {
  no,
  as_key,        // history, outbox: the row's key is the sequence
  in_value,      // checkpoint: eight bytes at checkpoint_sequence_offset
  last_history,  // record: the sequence of the history row before it in this commit
};

struct RowWrite {
  Table table = meta_table;
  Bytes key{};
  Bytes value{};
  bool erase = false;
  Numbered numbered = Numbered::no;
  std::uint64_t sequence = 0;  // set when the commit is numbered
};

// Turns the change of one key into rows, in the order that numbering needs. `history_retention` is
// when history goes; `keep_history` false leaves it out. `checkpoint_keys` are the rows to erase
// when the change removes the key.
void append_rows(std::vector<RowWrite>& rows, const Key& key, Change&& change, Time now,
                 const Options& options, const std::vector<Bytes>& checkpoint_keys);

// Turns a change of the outbox into rows, where it is read from `from` so far.
void append_outbox_rows(std::vector<RowWrite>& rows, const OutboxChange& change,
                        std::uint64_t from);

}  // namespace once::engine
