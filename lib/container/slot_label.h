// Slot labels: what each copy of a journal slot says of itself in its last bytes, so that the
// journal of a container is found again when both superblocks are lost.
//
//   offset  size  label, at the end of the copy
//        0     8  "ONCESLOT"
//        8    16  store id
//       24    24  the slot: offset of copy 0, offset of copy 1, length of each
//       48     8  XXH3 of all before, unseeded
//
// Written when a slot is begun; a slot that was begun before there were labels has none. Only
// salvage reads them (lost_superblock.h).
// Fault model: any byte may be rotten, and what looks like a label may be a copy of one: it counts
// only where it says that it stands.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "container/superblock.h"
#include "once/bytes.h"

namespace once::container {

inline constexpr std::size_t slot_label_bytes = 56;

struct SlotLabel {
  std::array<std::uint8_t, 16> store_id{};
  JournalSlot slot{};
  friend bool operator==(const SlotLabel&, const SlotLabel&) = default;
};

[[nodiscard]] Bytes encode(const SlotLabel& label);

// What the bytes before `end` of a device say, if they are a label of a slot that ends there.
[[nodiscard]] std::optional<SlotLabel> parse_slot_label(std::string_view bytes, std::uint64_t end);

}  // namespace once::container
