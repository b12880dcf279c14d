// The frames of the journal of a store in one file, to be damaged in both copies.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "container/journal_frame.h"
#include "container/superblock.h"
#include "support/check_result.h"

namespace once::testing {

struct FramePlace {
  std::uint64_t copies[2] = {0, 0};
  container::Frame frame{};  // without its payload

  // Flips a bit in the middle of it, in both copies.
  void flip(std::string& bytes) const {
    for (const std::uint64_t copy : copies) {
      char& byte = bytes[copy + frame.bytes / 2];
      byte = static_cast<char>(byte ^ 0x10);
    }
  }
  void wipe(std::string& bytes) const {
    for (const std::uint64_t copy : copies) bytes.replace(copy, frame.bytes, frame.bytes, '\0');
  }
};

inline container::Superblock superblock_in(std::string_view bytes) {
  std::vector<container::Superblock> found;
  for (const std::uint64_t offset : container::superblock_offsets) {
    auto one = container::decode_superblock(bytes.substr(offset, container::block_bytes));
    if (one) found.push_back(*one);
  }
  return *std::ranges::max_element(found, {}, &container::Superblock::generation);
}

// Of the slot in use, or of the other one.
inline std::vector<FramePlace> frames_in(std::string_view bytes, bool in_use = true) {
  const container::Superblock superblock = superblock_in(bytes);
  const container::JournalSlot& slot =
      superblock.slots[in_use ? superblock.active : 1 - superblock.active];
  std::vector<FramePlace> frames;
  for (std::uint64_t at = 0; at < slot.length; at += frames.back().frame.bytes) {
    auto frame = container::parse_frame(bytes.substr(slot.copies[0] + at, slot.length - at),
                                        superblock.seed());
    const bool follows =
        frame &&
        (frames.empty() ? frame->snapshot
                        : frame->sequence == frames.back().frame.sequence + 1 && !frame->snapshot);
    if (!follows) break;
    frame->payload = {};
    frames.push_back({.copies = {slot.copies[0] + at, slot.copies[1] + at}, .frame = *frame});
  }
  return frames;
}

}  // namespace once::testing
