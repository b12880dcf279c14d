// The superblock: what a container is and where its journal stands. There are two copies, alike
// except while a change is under way.
//
//   offset  size
//        0     8  magic "ONCEFILE"
//        8     4  version of the layout, 1
//       12     4  flags: bit 0 = created (what is in the file counts); others zero
//       16    16  store id, random
//       32     8  generation: grows with every change of the superblock
//       40    24  journal slot 0: offset of copy 0, offset of copy 1, length of each
//       64    24  journal slot 1
//       88     8  the slot that is in use, 0 or 1
//       96  3992  zeros
//     4088     8  XXH3 of all before, unseeded
//
// Invariants: of two valid copies the one with the higher generation counts. A change overwrites
// first the copy that does not count, syncs, and then the other one; so at every moment one copy is
// whole. Nothing that rests on a change is acknowledged before its first copy is durable.
// Fault model: either copy may be torn by a crash or rotten; both at once is damage.
#pragma once

#include <array>
#include <cstdint>

#include "container/device.h"
#include "container/layout.h"

namespace once::container {

// Ids of files have 40 bits for it.
inline constexpr std::uint64_t highest_generation = (std::uint64_t{1} << 39) - 1;

struct JournalSlot {
  std::uint64_t copies[2] = {0, 0};
  std::uint64_t length = 0;
  friend bool operator==(const JournalSlot&, const JournalSlot&) = default;
};

struct Superblock {
  std::uint32_t version = container_version;
  bool created = false;
  std::array<std::uint8_t, 16> store_id{};
  std::uint64_t generation = 0;
  JournalSlot slots[2];
  std::uint32_t active = 0;
  friend bool operator==(const Superblock&, const Superblock&) = default;

  // For the checksums of everything else.
  [[nodiscard]] std::uint64_t seed() const;
};

struct ReadSuperblocks {
  Superblock newest{};
  // The copy to overwrite first: the one that is not needed.
  int spare = 0;
  // What is wrong with either copy, for reports; empty: nothing.
  std::string problem{};
  bool alike = false;
};

[[nodiscard]] std::string encode(const Superblock& superblock);
// Errors: damaged, newer_format, not_a_store.
[[nodiscard]] Result<Superblock> decode_superblock(std::string_view bytes);
// Errors: not_a_store (no copy was ever one), damaged (both are rotten), newer_format, io.
[[nodiscard]] Result<ReadSuperblocks> read_superblocks(Device& device);

}  // namespace once::container
