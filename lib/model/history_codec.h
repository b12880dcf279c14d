// One thing that happened to a key: the value of a row in table `history`. Its sequence is the
// row's key.
//
//   offset size
//   0      10    header (row_header.h): version 1; always removable; expires_at
//   10     8     previous: sequence of the entry before on the same key, 0 = none
//   18     8     time
//   26     8     deadline: lease or retention that was set, 0 = none
//   34     1     what: 1 reserved, 2 taken_over, 3 completed, 4 failed, 5 released, 6 in_doubt,
//                7 resolved, 8 removed
//   35     1     status of the record afterwards, as in the record
//   36     8     token
//   44     4     attempt
//   48     36    holder: who did it (fields.h)
//   84     4+n   tenant, at most 255 bytes
//          4+n   operation, at most 255 bytes
//          4+n   id, 1 to 1,024 bytes
//          4+n   note
//
// All numbers little-endian; 4+n is a length and that many bytes. expires_at is of the row and no
// part of the entry: it follows from Options::history_retention when the row is written.
#pragma once

#include <cstdint>

#include "once/bytes.h"
#include "once/clock.h"
#include "once/error.h"
#include "once/history.h"

namespace once::model {

inline constexpr std::uint8_t history_version = 1;
inline constexpr std::size_t history_previous_offset = 10;
inline constexpr std::size_t history_fixed_bytes = 84;

[[nodiscard]] Bytes encode_history(const HistoryEntry& entry, Time expires_at);
// Errors: damaged, newer_format.
[[nodiscard]] Result<HistoryEntry> decode_history(std::uint64_t sequence, ByteView value);

}  // namespace once::model
