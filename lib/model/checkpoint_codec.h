// A finished step of a workflow: the value of a row in table `checkpoints`. Its name is in the
// row's key (key_codec.h).
//
//   offset size
//   0      10    header (row_header.h): version 1; never removable, expires_at 0
//   10     8     sequence
//   18     8     token of the reservation that saved it
//   26     8     created_at
//   34     4+n   data
//
// All numbers little-endian; 4+n is a length and that many bytes. Checkpoints go when their record
// goes, so the row itself never expires. The sequence stands at a fixed place, since it is known
// only when the commit is put together: the row is encoded before, and patched then.
#pragma once

#include <string_view>

#include "once/bytes.h"
#include "once/checkpoint.h"
#include "once/error.h"

namespace once::model {

inline constexpr std::uint8_t checkpoint_version = 1;
inline constexpr std::size_t checkpoint_sequence_offset = 10;
inline constexpr std::size_t checkpoint_fixed_bytes = 34;

// The checkpoint that makes a key a transaction of a coordinator (transaction/transaction_log.h).
inline constexpr std::string_view plan_checkpoint = "once.tx.plan";

// The data is less than 4 GiB; Options::max_outcome_bytes sees to that.
[[nodiscard]] Bytes encode_checkpoint(const Checkpoint& checkpoint);
// Errors: damaged, newer_format.
[[nodiscard]] Result<Checkpoint> decode_checkpoint(ByteView name, ByteView value);

}  // namespace once::model
