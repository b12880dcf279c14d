#include "model/key_codec.h"

#include <optional>

#include "model/fields.h"
#include "once/checkpoint.h"

namespace once::model {
namespace {

constexpr char zero = '\x00';
constexpr char end_mark = '\x01';
constexpr char escape_mark = '\xff';

void write_part(Bytes& out, ByteView part) {
  std::size_t from = 0;
  while (true) {
    const std::size_t at = part.find(zero, from);
    out.append(part.substr(from, at - from));
    if (at == ByteView::npos) break;
    out.push_back(zero);
    out.push_back(escape_mark);
    from = at + 1;
  }
  out.push_back(zero);
  out.push_back(end_mark);
}

// Takes one part off the front of `in`; nullopt when there is none of at most `limit` bytes.
std::optional<Bytes> read_part(ByteView& in, std::size_t limit) {
  Bytes part;
  while (true) {
    const std::size_t at = in.find(zero);
    if (at == ByteView::npos || at + 1 == in.size() || at > limit - part.size()) return {};
    part.append(in.substr(0, at));
    const char mark = in[at + 1];
    in.remove_prefix(at + 2);
    if (mark == end_mark) return part;
    if (mark != escape_mark || part.size() == limit) return {};
    part.push_back(zero);
  }
}

std::optional<Key> read_key(ByteView& in) {
  auto tenant = read_part(in, max_tenant_bytes);
  if (!tenant) return {};
  auto operation = read_part(in, max_operation_bytes);
  if (!operation) return {};
  auto id = read_part(in, max_id_bytes);
  if (!id || id->empty()) return {};
  Key key;
  key.tenant = std::move(*tenant);
  key.operation = std::move(*operation);
  key.id = std::move(*id);
  return key;
}

}  // namespace

Bytes encode_key_prefix(const std::vector<Bytes>& parts) {
  Bytes encoded;
  for (const Bytes& part : parts) write_part(encoded, part);
  // The last part goes on.
  if (!parts.empty()) encoded.resize(encoded.size() - 2);
  return encoded;
}

Bytes encode_key(const Key& key) {
  Bytes encoded;
  encoded.reserve(key.tenant.size() + key.operation.size() + key.id.size() + 6);
  write_part(encoded, key.tenant);
  write_part(encoded, key.operation);
  write_part(encoded, key.id);
  return encoded;
}

Result<Key> decode_key(ByteView encoded) {
  auto key = read_key(encoded);
  if (!key || !encoded.empty()) {
    return damaged_row("key", "its bytes are not three ended parts within their limits");
  }
  return std::move(*key);
}

Bytes encode_checkpoint_key(const Key& key, ByteView name) {
  Bytes encoded = encode_key(key);
  write_part(encoded, name);
  return encoded;
}

Result<CheckpointKey> decode_checkpoint_key(ByteView encoded) {
  auto key = read_key(encoded);
  if (!key) {
    return damaged_row("checkpoint's key",
                       "it does not begin with three parts within their limits");
  }
  auto name = read_part(encoded, max_checkpoint_name_bytes);
  if (!name || !encoded.empty()) {
    return damaged_row("checkpoint's key", "it does not end with a name within its limit");
  }
  return CheckpointKey{.key = std::move(*key), .name = std::move(*name)};
}

Bytes encode_sequence(std::uint64_t sequence) {
  Bytes encoded(sequence_bytes, zero);
  for (std::size_t i = 0; i < sequence_bytes; ++i) {
    encoded[i] = static_cast<char>(static_cast<std::uint8_t>(sequence >> (8 * (7 - i))));
  }
  return encoded;
}

Result<std::uint64_t> decode_sequence(ByteView encoded) {
  if (encoded.size() != sequence_bytes) {
    return damaged_row("sequence", "it has not 8 bytes");
  }
  std::uint64_t sequence = 0;
  for (const char c : encoded) sequence = sequence << 8 | static_cast<std::uint8_t>(c);
  return sequence;
}

}  // namespace once::model
