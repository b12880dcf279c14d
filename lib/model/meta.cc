#include "model/meta.h"

#include "model/fields.h"
#include "model/key_codec.h"

namespace once::model {

static_assert(clock_mark_bytes == 1 + 8 + sizeof(BootId) + 8);
static_assert(tally_bytes == 1 + sizeof(Tally));

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

Bytes encode_tally_name(const LabelTally& label) {
  Bytes name(tally_prefix);
  if (!label.others) name += encode_key_prefix({label.tenant, label.operation, ""});
  return name;
}

Bytes encode_tally(const Tally& tally) {
  Bytes value;
  value.reserve(tally_bytes);
  Writer out(value);
  out.u8(tally_version);
  for (const std::uint64_t number : {tally.executions, tally.replays, tally.busy, tally.mismatches,
                                     tally.in_doubt, tally.fenced}) {
    out.u64(number);
  }
  return value;
}

Result<LabelTally> decode_tally(ByteView name, ByteView value) {
  constexpr std::string_view row = "tally";
  Reader in(value);
  const std::uint8_t version = in.u8();
  if (version > tally_version) {
    return fail(ErrorCode::newer_format,
                "a tally of the store has layout version {}, and this version of Once reads up to "
                "{}; use a newer Once",
                version, tally_version);
  }
  LabelTally label;
  Tally& tally = label.tally;
  for (std::uint64_t* number : {&tally.executions, &tally.replays, &tally.busy, &tally.mismatches,
                                &tally.in_doubt, &tally.fenced}) {
    *number = in.u64();
  }
  if (!in.done() || version == 0) return damaged_row(row, "it has not 49 bytes of version 1");
  if (!name.starts_with(tally_prefix)) return damaged_row(row, "its name begins otherwise");
  name.remove_prefix(tally_prefix.size());
  label.others = name.empty();
  if (label.others) return label;
  // The two parts are those of a key that has some id behind them.
  auto key = decode_key(Bytes(name) + Bytes("-\0\1", 3));
  if (!key || key->id != "-") return damaged_row(row, "its name is none of a label");
  label.tenant = std::move(key->tenant);
  label.operation = std::move(key->operation);
  return label;
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
