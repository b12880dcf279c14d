// The record of a key: the value of a row in table `keys`.
//
//   offset size
//   0      10    header (row_header.h): version 1 or 2; removable when finished; expires_at
//   10     8     last_history: sequence of the key's newest history row, 0 = none
//   18     1     status: 1 in_progress, 2 completed, 3 failed, 4 in_doubt, 5 released
//   19     1     on_abandon: 1 in_doubt, 2 rerun
//   20     1     present: bit 0 = fingerprint, bit 1 = digest of the outcome; others zero
//   21     4     attempt
//   25     8     token
//   33     8     origin: token of the first reservation of this life
//   41     8     created_at
//   49     8     updated_at
//   57     8     lease_until
//   65     8     retention
//   73     36    holder (fields.h)
//   109    16    fingerprint, if present
//          16    digest of the outcome, if present
//
// and in version 2 only:
//
//          1     number of fields, 1 to 64
//                for each, by strictly ascending name:
//          1+n   name, an 8-bit length before it
//          8     digest, bound to the key (bind_fields())
//
// A record without fields is written as version 1, so that there is one row for each record and
// programs that know version 1 only read what they could have written.
// All numbers little-endian. Invariants: the header's removable bit is set exactly when the status
// is finished, so that nothing in progress or in doubt is ever swept; retention is not negative.
// last_history stands at a fixed place, since the sequence is known only when the commit is put
// together: the row is encoded before, and patched then.
#pragma once

#include <vector>

#include "once/bytes.h"
#include "once/error.h"
#include "once/key.h"
#include "once/record.h"

namespace once::model {

inline constexpr std::uint8_t record_version = 1;              // without fields
inline constexpr std::uint8_t record_version_with_fields = 2;  // the newest
inline constexpr std::size_t record_last_history_offset = 10;
inline constexpr std::size_t record_fixed_bytes = 109;

// What a record of `key` keeps of the fields of a question: by name, each digest the first 8 bytes
// of SHA-256 over encode_key(key), the name and the digest asked with. So equal values under two
// keys do not show as equal.
[[nodiscard]] std::vector<FieldDigest> bind_fields(const Key& key, std::vector<FieldDigest> fields);

// The fields are by strictly ascending name and within their limits.
[[nodiscard]] Bytes encode_record(const Record& record);
// Errors: damaged, newer_format.
[[nodiscard]] Result<Record> decode_record(ByteView value);

}  // namespace once::model
