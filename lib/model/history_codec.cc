#include "model/history_codec.h"

#include "model/fields.h"

namespace once::model {

static_assert(history_previous_offset == row_header_bytes);
static_assert(history_fixed_bytes ==
              row_header_bytes + std::size_t{3} * 8 + 2 + 8 + 4 + holder_bytes);

Bytes encode_history(const HistoryEntry& entry, Time expires_at) {
  Bytes value;
  value.reserve(history_fixed_bytes + 16 + entry.key.tenant.size() + entry.key.operation.size() +
                entry.key.id.size() + entry.note.size());
  Writer out(value);
  write_header(out, {.version = history_version, .removable = true, .expires_at = expires_at});
  out.u64(entry.previous);
  write_time(out, entry.time);
  write_time(out, entry.deadline);
  write_enum(out, entry.what);
  write_enum(out, entry.status);
  out.u64(entry.token.value);
  out.u32(entry.attempt);
  write_holder(out, entry.holder);
  out.string(entry.key.tenant);
  out.string(entry.key.operation);
  out.string(entry.key.id);
  out.string(entry.note);
  return value;
}

Result<HistoryEntry> decode_history(std::uint64_t sequence, ByteView value) {
  constexpr std::string_view row = "history entry";
  Reader in(value);
  auto header = open_row(in, row, history_version);
  if (!header) return pass(header);
  HistoryEntry entry;
  entry.sequence = sequence;
  entry.previous = in.u64();
  entry.time = read_time(in);
  entry.deadline = read_time(in);
  const bool known =
      read_enum(in, What::removed, entry.what) && read_enum(in, Status::released, entry.status);
  if (!known) return damaged_row(row, "it is cut short, or what happened or the status is unknown");
  entry.token.value = in.u64();
  entry.attempt = in.u32();
  entry.holder = read_holder(in);
  entry.key.tenant = in.string();
  entry.key.operation = in.string();
  entry.key.id = in.string();
  entry.note = in.string();
  if (!in.done()) return damaged_row(row, "it is cut short or has bytes left over");
  if (!entry.key.validate()) return damaged_row(row, "its key is empty or over the limits");
  if (!header->removable) return damaged_row(row, "it claims to be kept forever");
  return entry;
}

}  // namespace once::model
