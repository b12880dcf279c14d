// Rows' keys: how keys, checkpoint names and sequences become bytes that sort as they do.
//
//   keys, results:    part(tenant) part(operation) part(id)
//   checkpoints:      part(tenant) part(operation) part(id) part(name)
//   outbox, history:  sequence, 8 bytes, big-endian
//
// A part is its bytes with each 00 written as 00 FF, ended by 00 01.
//
// Invariants:
// - The order of encodings (unsigned bytes) is the order of keys: the end 00 01 is less than an
//   escaped 00 FF, which is less than any other byte, so a part sorts before its extensions.
// - No encoding is a prefix of another of the same number of parts, so no two keys meet, and the
//   encoding of a key is a prefix of its own checkpoints' and of no other key's.
// - There is one encoding for each value: decode refuses every other (stray 00, bytes left over,
//   a part over its limit, an empty id) as ErrorCode::damaged.
// Row keys carry no version: a change would be a new format of the whole store.
#pragma once

#include <cstdint>
#include <vector>

#include "once/bytes.h"
#include "once/error.h"
#include "once/key.h"

namespace once::model {

struct CheckpointKey {
  Key key;
  Bytes name;
  friend bool operator==(const CheckpointKey&, const CheckpointKey&) = default;
};

inline constexpr std::size_t sequence_bytes = 8;

[[nodiscard]] Bytes encode_key(const Key& key);
[[nodiscard]] Result<Key> decode_key(ByteView encoded);

// The prefix of the keys whose first parts (tenant, operation) are all but the last of `parts` and
// whose next part begins with the last. At most three.
[[nodiscard]] Bytes encode_key_prefix(const std::vector<Bytes>& parts);

// encode_key(key) is the prefix of all checkpoints of `key`.
[[nodiscard]] Bytes encode_checkpoint_key(const Key& key, ByteView name);
[[nodiscard]] Result<CheckpointKey> decode_checkpoint_key(ByteView encoded);

[[nodiscard]] Bytes encode_sequence(std::uint64_t sequence);
[[nodiscard]] Result<std::uint64_t> decode_sequence(ByteView encoded);

}  // namespace once::model
