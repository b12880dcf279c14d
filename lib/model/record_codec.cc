#include "model/record_codec.h"

#include "model/fields.h"

namespace once::model {
namespace {

constexpr std::uint8_t has_fingerprint = 1;
constexpr std::uint8_t has_outcome = 2;

static_assert(record_last_history_offset == row_header_bytes);
static_assert(record_fixed_bytes ==
              row_header_bytes + 8 + 3 + 4 + std::size_t{6} * 8 + holder_bytes);

}  // namespace

Bytes encode_record(const Record& record) {
  Bytes value;
  value.reserve(record_fixed_bytes + 2 * fingerprint_bytes);
  Writer out(value);
  write_header(out, {.version = record_version,
                     .removable = is_finished(record.status),
                     .expires_at = record.expires_at});
  out.u64(record.last_history);
  write_enum(out, record.status);
  write_enum(out, record.on_abandon);
  out.u8(static_cast<std::uint8_t>((record.fingerprint ? has_fingerprint : 0) |
                                   (record.outcome ? has_outcome : 0)));
  out.u32(record.attempt);
  out.u64(record.token.value);
  out.u64(record.origin.value);
  write_time(out, record.created_at);
  write_time(out, record.updated_at);
  write_time(out, record.lease_until);
  out.i64(record.retention.count());
  write_holder(out, record.holder);
  if (record.fingerprint) write_fingerprint(out, *record.fingerprint);
  if (record.outcome) write_fingerprint(out, *record.outcome);
  return value;
}

Result<Record> decode_record(ByteView value) {
  constexpr std::string_view row = "record";
  Reader in(value);
  auto header = open_row(in, row, record_version);
  if (!header) return pass(header);
  Record record;
  record.expires_at = header->expires_at;
  record.last_history = in.u64();
  const bool known = read_enum(in, Status::released, record.status) &&
                     read_enum(in, OnAbandon::rerun, record.on_abandon);
  if (!known) return damaged_row(row, "it is cut short, or its status or on_abandon is unknown");
  const std::uint8_t present = in.u8();
  record.attempt = in.u32();
  record.token.value = in.u64();
  record.origin.value = in.u64();
  record.created_at = read_time(in);
  record.updated_at = read_time(in);
  record.lease_until = read_time(in);
  record.retention = Duration(in.i64());
  record.holder = read_holder(in);
  if ((present & has_fingerprint) != 0) record.fingerprint = read_fingerprint(in);
  if ((present & has_outcome) != 0) record.outcome = read_fingerprint(in);
  if (!in.done()) return damaged_row(row, "it is cut short or has bytes left over");
  if ((present & ~(has_fingerprint | has_outcome)) != 0) return damaged_row(row, "unknown flags");
  if (record.retention < Duration::zero()) return damaged_row(row, "its retention is negative");
  if (header->removable != is_finished(record.status)) {
    return damaged_row(row, "whether it may be swept contradicts its status");
  }
  return record;
}

}  // namespace once::model
