// The holder page of a host file: who has it open for writing, and which place readers are to pin.
//
//   offset  size
//     8192   128  text for people, "pid N (command)\n", then zeros
//     8704     4  the place that is published (pins.h), little-endian
//     8708     4  its complement
// The rest of the 4 KiB stands as it was, zeros.
//
// Written by whoever has the writer's lock, and never synced. Nothing in the container depends on
// it: an unreadable text becomes "another process", and an unreadable place 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "container/layout.h"

namespace once::container {

inline constexpr std::size_t holder_text_bytes = 128;
inline constexpr std::uint64_t published_place_offset = holder_offset + 512;
inline constexpr std::size_t published_place_bytes = 8;

// `text` in the 128 bytes; what cannot be printed becomes a question mark.
[[nodiscard]] std::string encode_holder_text(std::string_view text);
// "pid N (command)", or "another process" where that does not stand or no such process lives.
[[nodiscard]] std::string decode_holder_text(std::string_view bytes);

[[nodiscard]] std::string encode_published_place(std::uint32_t slot);
[[nodiscard]] std::uint32_t decode_published_place(std::string_view bytes);

}  // namespace once::container
