#include "model/meta.h"

#include "model/fields.h"
#include "model/key_codec.h"

namespace once::model {

static_assert(clock_mark_bytes == 1 + 8 + sizeof(BootId) + 8);

Bytes encode_clock_mark(const ClockMark& mark) {
  Bytes value;
  value.reserve(clock_mark_bytes);
  Writer out(value);
  out.u8(clock_mark_version);
  write_time(out, mark.time);
  for (const std::uint8_t byte : mark.boot) out.u8(byte);
  out.i64(mark.since_boot.count());
  return value;
}

Result<ClockMark> decode_clock_mark(ByteView value) {
  constexpr std::string_view row = "clock mark";
  Reader in(value);
  const std::uint8_t version = in.u8();
  if (version > clock_mark_version) {
    return fail(ErrorCode::newer_format,
                "the store's clock mark has layout version {}, and this version of Once reads up "
                "to {}; use a newer Once",
                version, clock_mark_version);
  }
  ClockMark mark;
  mark.time = read_time(in);
  for (std::uint8_t& byte : mark.boot) byte = in.u8();
  mark.since_boot = Duration(in.i64());
  if (!in.done() || version == 0) return damaged_row(row, "it has not 33 bytes of version 1");
  if (mark.since_boot < Duration::zero()) return damaged_row(row, "a negative time since boot");
  return mark;
}

Bytes encode_outbox_left(std::uint64_t sequence) {
  return Bytes(outbox_left_prefix) + encode_sequence(sequence);
}

Result<std::uint64_t> decode_outbox_left(ByteView name) {
  if (!name.starts_with(outbox_left_prefix)) {
    return damaged_row("name of an event left behind", "it begins otherwise");
  }
  return decode_sequence(name.substr(outbox_left_prefix.size()));
}

Bytes encode_u64(std::uint64_t number) {
  Bytes value;
  Writer(value).u64(number);
  return value;
}

Result<std::uint64_t> decode_u64(ByteView value) {
  Reader in(value);
  const std::uint64_t number = in.u64();
  if (!in.done()) return damaged_row("number", "it has not 8 bytes");
  return number;
}

}  // namespace once::model
