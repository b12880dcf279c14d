// The small pieces of which RocksDB's files are made: varints, checksums, compressed blocks. For
// reading files that RocksDB itself refuses.
//
// Only what the options in engine/embedded/rocksdb_options.cc make it write is known here: tables
// of format_version 5 with XXH3 checksums, LZ4 or no compression. Where something else is met,
// that counts as unreadable.
//
// Fault model: the bytes may be anything. Nothing is read behind their end, and no more is
// allocated than a sound block of that length can hold.
#pragma once

#include <cstdint>
#include <optional>

#include "once/bytes.h"

namespace once::engine {

// Reads varints and fixed numbers (little-endian) from the front. After the first that is not
// there, ok() is false and everything is 0 or empty.
class VarintReader {
 public:
  explicit VarintReader(ByteView bytes) : bytes_(bytes) {}
  std::uint64_t varint();
  std::uint32_t varint32();
  // Zigzag: 0, -1, 1, -2, ...
  std::int64_t signed_varint();
  ByteView raw(std::size_t size);
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

 private:
  ByteView bytes_;
  bool ok_ = true;
};

void put_varint(Bytes& out, std::uint64_t number);
void put_fixed32(Bytes& out, std::uint32_t number);
void put_fixed64(Bytes& out, std::uint64_t number);
// Length as a varint, then the bytes.
void put_prefixed(Bytes& out, ByteView bytes);
[[nodiscard]] std::uint32_t fixed32(ByteView bytes);
[[nodiscard]] std::uint64_t fixed64(ByteView bytes);

// What a block of a table ends with: its compression and the XXH3 of all before.
inline constexpr std::size_t block_trailer_bytes = 5;
inline constexpr char plain_block = 0;
inline constexpr char lz4_block = 4;

[[nodiscard]] std::uint32_t block_checksum(ByteView contents, char compression);
// Whether contents and trailer fit each other.
[[nodiscard]] bool is_sound_block(ByteView with_trailer);
// The length of the contents of the block at the start of `bytes`, found by its checksum.
[[nodiscard]] std::optional<std::size_t> find_block(ByteView bytes);
// The contents of a sound block, unpacked; nullopt if that cannot be.
[[nodiscard]] std::optional<Bytes> unpack_block(ByteView with_trailer);

// An LZ4 block (github.com/lz4/lz4, doc/lz4_Block_format.md) that holds exactly `size` bytes.
[[nodiscard]] std::optional<Bytes> unpack_lz4(ByteView packed, std::size_t size);

// CRC-32C (Castagnoli), rotated and offset as RocksDB's logs have it.
[[nodiscard]] std::uint32_t masked_crc(ByteView first, ByteView rest);

}  // namespace once::engine
