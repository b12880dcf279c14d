// Fields that several rows share, and what a decoder says when a row is not what was written.
//
//   offset size  holder, 36 bytes
//   0      16    boot id
//   16     8     inode of the pid namespace
//   24     4     pid
//   28     8     start time of the process, in clock ticks since boot
//
// Times are milliseconds since the epoch, durations milliseconds, both i64; a duration is never
// negative. Enumerations are one byte and start at 1, so that a row of zeros is never valid.
//
// Fault model: a row may hold any bytes. A decoder gives a value only for bytes that its encoder
// would have written for that value; everything else is an error, without undefined behaviour and
// without allocating more than the row is long.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/coding.h"
#include "base/error.h"
#include "model/row_header.h"
#include "once/holder.h"
#include "once/record.h"

namespace once::model {

inline constexpr std::size_t holder_bytes = 36;
inline constexpr std::size_t fingerprint_bytes = 16;
inline constexpr std::size_t max_code_bytes = 255;
inline constexpr std::size_t max_content_type_bytes = 255;
inline constexpr std::size_t max_message_bytes = std::size_t{64} << 10;

static_assert(sizeof(BootId) == 16 && sizeof(Fingerprint::digest) == fingerprint_bytes);

void write_time(Writer& out, Time time);
[[nodiscard]] Time read_time(Reader& in);
void write_holder(Writer& out, const Holder& holder);
[[nodiscard]] Holder read_holder(Reader& in);
void write_fingerprint(Writer& out, const Fingerprint& fingerprint);
[[nodiscard]] Fingerprint read_fingerprint(Reader& in);

template <class Enum>
  requires std::is_enum_v<Enum>
void write_enum(Writer& out, Enum value) {
  static_assert(sizeof(Enum) == 1);
  out.u8(static_cast<std::uint8_t>(value));
}

// Reads one of the enumerators 1 to `last`; false, and nothing set, for any other byte.
template <class Enum>
  requires std::is_enum_v<Enum>
[[nodiscard]] bool read_enum(Reader& in, Enum last, Enum& value) {
  const std::uint8_t byte = in.u8();
  if (byte < 1 || byte > static_cast<std::uint8_t>(last)) return false;
  value = static_cast<Enum>(byte);
  return true;
}

// The error for a row of kind `row` ("record", "event", ...) that is malformed.
[[nodiscard]] std::unexpected<Error> damaged_row(std::string_view row, std::string_view why);

// Reads the header of a row whose layout has `version` in this program. A greater version is
// ErrorCode::newer_format; version 0 is never written, and damaged like a header that is too short.
[[nodiscard]] Result<RowHeader> open_row(Reader& in, std::string_view row, std::uint8_t version);

}  // namespace once::model
