// What every row's value begins with, in every table but `data`:
//
//   offset size
//   0      1    version of the row's layout
//   1      1    flags: bit 0 = removable once expired; others zero
//   2      8    expires_at, milliseconds since the epoch, little-endian; 0 = never
//
// It stands at a fixed place so that whether a row may be swept is decided without decoding it.
// Only finished records, their outcomes, delivered events and history set the flag: what is in
// progress, in doubt or undelivered cannot be removed by any clock.
#pragma once

#include <cstdint>
#include <optional>

#include "base/coding.h"
#include "once/bytes.h"
#include "once/clock.h"

namespace once::model {

inline constexpr std::size_t row_header_bytes = 10;
inline constexpr std::uint8_t removable_flag = 1;

struct RowHeader {
  std::uint8_t version = 0;
  bool removable = false;
  Time expires_at{};
};

inline void write_header(Writer& out, const RowHeader& header) {
  out.u8(header.version);
  out.u8(header.removable ? removable_flag : 0);
  out.i64(header.expires_at.time_since_epoch().count());
}

// False when `in` is too short or has unknown flags; the caller checks the version.
[[nodiscard]] inline bool read_header(Reader& in, RowHeader& header) {
  header.version = in.u8();
  const std::uint8_t flags = in.u8();
  header.expires_at = Time(Duration(in.i64()));
  header.removable = (flags & removable_flag) != 0;
  return in.ok() && (flags & ~removable_flag) == 0;
}

// When the row may be removed for good; nullopt: never. A row too short to tell is kept.
[[nodiscard]] inline std::optional<Time> removable_from(ByteView value) {
  RowHeader header;
  Reader in(value);
  const bool goes = read_header(in, header) && header.removable && header.expires_at != Time{};
  return goes ? std::optional(header.expires_at) : std::nullopt;
}

[[nodiscard]] inline bool may_remove(ByteView value, Time now) {
  const auto from = removable_from(value);
  return from && *from <= now;
}

}  // namespace once::model
