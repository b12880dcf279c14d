// Frames of the journal (journal.h), one by one.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "container/search_limit.h"

namespace once::container {

inline constexpr std::size_t frame_header_bytes = 32;

struct Frame {
  bool snapshot = false;
  std::uint64_t generation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t durable = 0;
  std::uint32_t payload_bytes = 0;
  std::string_view payload{};
  std::size_t bytes = 0;  // all of it
};

[[nodiscard]] std::size_t frame_bytes(std::size_t payload);
// What the header at the start of `bytes` says, if it can be one; without the payload.
[[nodiscard]] std::optional<Frame> read_frame_header(std::string_view bytes);
// The frame at the start of `bytes`, if a whole one stands there.
[[nodiscard]] std::optional<Frame> parse_frame(std::string_view bytes, std::uint64_t seed);

// Frames of changes that stand behind a place where none counts.
struct LaterFrames {
  std::uint64_t from = 0;          // not ahead of this place in the slot
  std::uint64_t after = 0;         // with a greater sequence
  std::uint64_t durable_from = 0;  // that say of this sequence, at least, that it was on disk
  std::uint64_t generation_from = 1;
  std::uint64_t generation_to = 0;
};
struct LaterFrame {
  std::uint64_t position = 0;
  Frame frame{};
  // Too much looked like one to go on; `position` is where.
  bool given_up = false;
};
// The first one in either of both copies of a slot.
[[nodiscard]] std::optional<LaterFrame> find_later_frame(const std::string_view (&copies)[2],
                                                         const LaterFrames& wanted,
                                                         std::uint64_t seed, SearchLimit& limit);

}  // namespace once::container
