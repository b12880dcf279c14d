#include "model/event_codec.h"

#include "model/fields.h"

namespace once::model {
namespace {

using Pairs = std::map<std::string, std::string>;

static_assert(event_status_offset == row_header_bytes);
static_assert(event_fixed_bytes == row_header_bytes + 1 + 4 + std::size_t{2} * 8);

void write_pairs(Writer& out, const Pairs& pairs) {
  out.u32(static_cast<std::uint32_t>(pairs.size()));
  for (const auto& [name, value] : pairs) {
    out.string(name);
    out.string(value);
  }
}

// False when a name does not come after the one before it. Ends at the end of the input, whatever
// number of pairs it claims.
bool read_pairs(Reader& in, Pairs& pairs) {
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    const ByteView name = in.string();
    const ByteView value = in.string();
    if (!in.ok()) return false;
    if (!pairs.empty() && name <= pairs.rbegin()->first) return false;
    pairs.emplace_hint(pairs.end(), name, value);
  }
  return in.ok();
}

}  // namespace

Bytes encode_event(const Event& event) {
  const bool tried = event.next_attempt_at != Time{} || !event.last_error.empty();
  Bytes value;
  value.reserve(event_fixed_bytes + 28 + event.id.size() + event.aggregate_type.size() +
                event.aggregate_id.size() + event.type.size() + event.payload.size() +
                (tried ? 12 + event.last_error.size() : 0));
  Writer out(value);
  write_header(out, {.version = static_cast<std::uint8_t>(tried ? 2 : 1),
                     .removable = event.status == EventStatus::delivered,
                     .expires_at = event.expires_at});
  write_enum(out, event.status);
  out.u32(event.retries);
  write_time(out, event.created_at);
  write_time(out, event.published_at);
  out.string(event.id);
  out.string(event.aggregate_type);
  out.string(event.aggregate_id);
  out.string(event.type);
  write_pairs(out, event.headers);
  write_pairs(out, event.metadata);
  out.string(event.payload);
  if (tried) {
    write_time(out, event.next_attempt_at);
    out.string(event.last_error);
  }
  return value;
}

Result<Event> decode_event(std::uint64_t sequence, ByteView value) {
  constexpr std::string_view row = "event";
  Reader in(value);
  auto header = open_row(in, row, event_version);
  if (!header) return pass(header);
  Event event;
  event.sequence = sequence;
  event.expires_at = header->expires_at;
  if (!read_enum(in, EventStatus::dead, event.status)) {
    return damaged_row(row, "it is cut short or its status is unknown");
  }
  event.retries = in.u32();
  event.created_at = read_time(in);
  event.published_at = read_time(in);
  event.id = in.string();
  event.aggregate_type = in.string();
  event.aggregate_id = in.string();
  event.type = in.string();
  if (!read_pairs(in, event.headers) || !read_pairs(in, event.metadata)) {
    return damaged_row(row, "it is cut short, or its headers or metadata are out of order");
  }
  event.payload = in.string();
  const bool tried = header->version >= 2;
  if (tried) {
    event.next_attempt_at = read_time(in);
    event.last_error = in.string();
  }
  if (!in.done()) return damaged_row(row, "it is cut short or has bytes left over");
  if (tried && event.next_attempt_at == Time{} && event.last_error.empty()) {
    return damaged_row(row, "it has the layout of one that was tried, and was not");
  }
  if (header->removable != (event.status == EventStatus::delivered)) {
    return damaged_row(row, "whether it may be swept contradicts its status");
  }
  return event;
}

}  // namespace once::model
