// Where things stand in the host file of a container, and the words for its pieces.
//
//   0       superblock A    4 KiB  superblock.h
//   4096    superblock B    4 KiB
//   8192    holder page     4 KiB  for people and live readers; nothing depends on it (host_file.h)
//   12288   blocks of 4 KiB: two copies each of two journal slots, extents of files, free ones
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace once::container {

inline constexpr std::uint64_t block_bytes = 4096;
inline constexpr std::uint64_t superblock_offsets[2] = {0, 4096};
inline constexpr std::uint64_t holder_offset = 8192;
inline constexpr std::uint64_t first_block_offset = 12288;
// Tearing happens between pieces of this size; what was synced is not torn by a later write beside.
inline constexpr std::uint64_t sector_bytes = 512;
inline constexpr std::uint32_t container_version = 1;
// What a superblock begins with.
inline constexpr std::string_view container_magic = "ONCEFILE";

// A run of whole blocks of the host file, in bytes.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  [[nodiscard]] std::uint64_t end() const { return offset + length; }
  friend bool operator==(const Extent&, const Extent&) = default;
};
using Extents = std::vector<Extent>;
// Shared with whoever is reading from them: extents are not used again while somebody holds this.
using SharedExtents = std::shared_ptr<const Extents>;

[[nodiscard]] inline std::uint64_t length_of(const Extents& extents) {
  std::uint64_t length = 0;
  for (const Extent& extent : extents) length += extent.length;
  return length;
}

[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t to) {
  return (bytes + to - 1) / to * to;
}

}  // namespace once::container
