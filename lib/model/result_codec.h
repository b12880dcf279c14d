// The outcome of a key: the value of a row in table `results`.
//
//   offset size
//   0      10    header (row_header.h): version 1; removable when expires_at is not 0; expires_at
//   10     8     token of the execution that gave the outcome
//   18     1     kind: 1 success, 2 failure, 3 timeout, 4 killed
//   19     1     present: bit 0 = there is a value; others zero
//   20     8     omitted_bytes: not 0 = the value was this long, too large to keep
//   28     4+n   code, at most 255 bytes
//          4+n   message, at most 65,536 bytes
//          4+n   content type, at most 255 bytes
//          4+n   value, if present
//
// All numbers little-endian; 4+n is a length and that many bytes. The row expires when its record
// does. Presence is a bit, so that an empty value and no value replay as what they are.
#pragma once

#include "once/bytes.h"
#include "once/clock.h"
#include "once/error.h"
#include "once/outcome.h"

namespace once::model {

inline constexpr std::uint8_t result_version = 1;
inline constexpr std::size_t result_token_offset = 10;
inline constexpr std::size_t result_fixed_bytes = 28;

struct StoredResult {
  Token token;        // of the execution that gave the outcome
  Time expires_at{};  // the record's; 0 = never
  Outcome outcome;
  friend bool operator==(const StoredResult&, const StoredResult&) = default;
};

// The outcome is within its limits (code, message and content type as in once/outcome.h, a value
// of less than 4 GiB): what is over them would be written, and refused by decode_result().
[[nodiscard]] Bytes encode_result(const StoredResult& result);
// Errors: damaged, newer_format.
[[nodiscard]] Result<StoredResult> decode_result(ByteView value);

}  // namespace once::model
