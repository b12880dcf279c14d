#include "engine/salvage/rocksdb_bytes.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <memory>

namespace once::engine {
namespace {

std::uint64_t fixed(ByteView bytes, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < size && i < bytes.size(); ++i) {
    number |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
  }
  return number;
}

void put_fixed(Bytes& out, std::uint64_t number, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint8_t>(number >> (8 * i))));
  }
}

// The compression is not in the contents, and goes into the checksum in this way.
std::uint32_t with_compression(std::uint64_t digest, char compression) {
  constexpr std::uint32_t factor = 0x6b9083d9;
  return static_cast<std::uint32_t>(digest) ^ (static_cast<std::uint8_t>(compression) * factor);
}

std::array<std::uint32_t, 256> crc_table() {
  constexpr std::uint32_t polynomial = 0x82f63b78;  // reflected
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1) != 0 ? (value >> 1) ^ polynomial : value >> 1;
    }
    table[i] = value;
  }
  return table;
}

}  // namespace

std::uint64_t VarintReader::varint() {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    number |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return ok_ ? number : 0;
  }
  ok_ = false;
  bytes_ = {};
  return 0;
}

std::uint32_t VarintReader::varint32() {
  const std::uint64_t number = varint();
  if (number <= UINT32_MAX) return static_cast<std::uint32_t>(number);
  ok_ = false;
  bytes_ = {};
  return 0;
}

std::int64_t VarintReader::signed_varint() {
  const std::uint64_t number = varint();
  const auto half = static_cast<std::int64_t>(number >> 1);
  return (number & 1) != 0 ? -half - 1 : half;
}

ByteView VarintReader::raw(std::size_t size) {
  if (!ok_ || size > bytes_.size()) {
    ok_ = false;
    bytes_ = {};
    return {};
  }
  const ByteView read = bytes_.substr(0, size);
  bytes_.remove_prefix(size);
  return read;
}

void put_varint(Bytes& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>(number | 0x80));
  out.push_back(static_cast<char>(number));
}

void put_fixed32(Bytes& out, std::uint32_t number) {
  put_fixed(out, number, 4);
}

void put_fixed64(Bytes& out, std::uint64_t number) {
  put_fixed(out, number, 8);
}

void put_prefixed(Bytes& out, ByteView bytes) {
  put_varint(out, bytes.size());
  out += bytes;
}

std::uint32_t fixed32(ByteView bytes) {
  return static_cast<std::uint32_t>(fixed(bytes, 4));
}

std::uint64_t fixed64(ByteView bytes) {
  return fixed(bytes, 8);
}

std::uint32_t block_checksum(ByteView contents, char compression) {
  return with_compression(XXH3_64bits(contents.data(), contents.size()), compression);
}

bool is_sound_block(ByteView with_trailer) {
  if (with_trailer.size() <= block_trailer_bytes) return false;
  const std::size_t length = with_trailer.size() - block_trailer_bytes;
  return fixed32(with_trailer.substr(length + 1)) ==
         block_checksum(with_trailer.substr(0, length), with_trailer[length]);
}

std::optional<std::size_t> find_block(ByteView bytes) {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  const std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
  XXH3_64bits_reset(state.get());
  std::size_t added = 0;
  for (std::size_t length = 1; length + block_trailer_bytes <= bytes.size(); ++length) {
    const char compression = bytes[length];
    if (compression != plain_block && compression != lz4_block) continue;
    XXH3_64bits_update(state.get(), bytes.data() + added, length - added);
    added = length;
    const std::uint32_t checksum = with_compression(XXH3_64bits_digest(state.get()), compression);
    if (fixed32(bytes.substr(length + 1, 4)) == checksum) return length;
  }
  return std::nullopt;
}

std::optional<Bytes> unpack_block(ByteView with_trailer) {
  if (!is_sound_block(with_trailer)) return std::nullopt;
  const ByteView contents = with_trailer.substr(0, with_trailer.size() - block_trailer_bytes);
  const char compression = with_trailer[contents.size()];
  if (compression == plain_block) return Bytes(contents);
  if (compression != lz4_block) return std::nullopt;
  VarintReader reader(contents);
  const std::uint32_t size = reader.varint32();
  if (!reader.ok()) return std::nullopt;
  return unpack_lz4(contents.substr(contents.size() - reader.left()), size);
}

std::optional<Bytes> unpack_lz4(ByteView packed, std::size_t size) {
  constexpr std::size_t most_expansion = 255;
  if (size / most_expansion > packed.size()) return std::nullopt;
  Bytes out;
  out.reserve(size);
  std::size_t at = 0;
  // A length that begins in half a byte and goes on as long as bytes are 255.
  const auto length_of = [&](std::size_t half) -> std::optional<std::size_t> {
    if (half < 15) return half;
    for (;;) {
      if (at >= packed.size()) return std::nullopt;
      const auto more = static_cast<std::uint8_t>(packed[at++]);
      half += more;
      if (more != 255) return half;
    }
  };
  while (at < packed.size()) {
    const auto token = static_cast<std::uint8_t>(packed[at++]);
    const auto literals = length_of(token >> 4);
    if (!literals || *literals > packed.size() - at || *literals > size - out.size()) {
      return std::nullopt;
    }
    out += packed.substr(at, *literals);
    at += *literals;
    if (at == packed.size()) break;  // the last sequence has no match
    if (packed.size() - at < 2) return std::nullopt;
    const auto distance = static_cast<std::size_t>(fixed(packed.substr(at, 2), 2));
    at += 2;
    const auto match = length_of(token & 15);
    constexpr std::size_t least_match = 4;
    if (!match || distance == 0 || distance > out.size() ||
        *match + least_match > size - out.size()) {
      return std::nullopt;
    }
    // Byte by byte: a match may overlap what it makes.
    for (std::size_t i = 0; i < *match + least_match; ++i) {
      out.push_back(out[out.size() - distance]);
    }
  }
  if (out.size() != size) return std::nullopt;
  return out;
}

std::uint32_t masked_crc(ByteView first, ByteView rest) {
  static const std::array<std::uint32_t, 256> table = crc_table();
  std::uint32_t crc = 0xffffffff;
  for (const ByteView part : {first, rest}) {
    for (const char byte : part) {
      crc = table[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff] ^ (crc >> 8);
    }
  }
  crc = ~crc;
  constexpr std::uint32_t offset = 0xa282ead8;
  return ((crc >> 15) | (crc << 17)) + offset;
}

}  // namespace once::engine
