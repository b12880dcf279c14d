#include "model/checkpoint_codec.h"

#include "model/fields.h"

namespace once::model {

static_assert(checkpoint_sequence_offset == row_header_bytes);
static_assert(checkpoint_fixed_bytes == row_header_bytes + std::size_t{3} * 8);

Bytes encode_checkpoint(const Checkpoint& checkpoint) {
  Bytes value;
  value.reserve(checkpoint_fixed_bytes + 4 + checkpoint.data.size());
  Writer out(value);
  write_header(out, {.version = checkpoint_version});
  out.u64(checkpoint.sequence);
  out.u64(checkpoint.token.value);
  write_time(out, checkpoint.created_at);
  out.string(checkpoint.data);
  return value;
}

Result<Checkpoint> decode_checkpoint(ByteView name, ByteView value) {
  constexpr std::string_view row = "checkpoint";
  Reader in(value);
  auto header = open_row(in, row, checkpoint_version);
  if (!header) return pass(header);
  Checkpoint checkpoint;
  checkpoint.sequence = in.u64();
  checkpoint.token.value = in.u64();
  checkpoint.created_at = read_time(in);
  const ByteView data = in.string();
  if (!in.done()) return damaged_row(row, "it is cut short or has bytes left over");
  if (header->removable || header->expires_at != Time{}) {
    return damaged_row(row, "it claims to expire, and checkpoints do not");
  }
  checkpoint.name = name;
  checkpoint.data = data;
  return checkpoint;
}

}  // namespace once::model
