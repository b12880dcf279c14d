#include "model/result_codec.h"

#include "model/fields.h"

namespace once::model {
namespace {

constexpr std::uint8_t has_value = 1;

static_assert(result_token_offset == row_header_bytes);
static_assert(result_fixed_bytes == row_header_bytes + 8 + 2 + 8);

}  // namespace

Bytes encode_result(const StoredResult& result) {
  const Outcome& outcome = result.outcome;
  const std::size_t value_bytes = outcome.value ? 4 + outcome.value->size() : 0;
  Bytes row;
  row.reserve(result_fixed_bytes + 12 + outcome.code.size() + outcome.message.size() +
              outcome.content_type.size() + value_bytes);
  Writer out(row);
  write_header(out, {.version = result_version,
                     .removable = result.expires_at != Time{},
                     .expires_at = result.expires_at});
  out.u64(result.token.value);
  write_enum(out, outcome.kind);
  out.u8(outcome.value ? has_value : 0);
  out.u64(outcome.omitted_bytes);
  out.string(outcome.code);
  out.string(outcome.message);
  out.string(outcome.content_type);
  if (outcome.value) out.string(*outcome.value);
  return row;
}

Result<StoredResult> decode_result(ByteView value) {
  constexpr std::string_view row = "outcome";
  Reader in(value);
  auto header = open_row(in, row, result_version);
  if (!header) return pass(header);
  StoredResult result;
  Outcome& outcome = result.outcome;
  result.expires_at = header->expires_at;
  result.token.value = in.u64();
  if (!read_enum(in, OutcomeKind::killed, outcome.kind)) {
    return damaged_row(row, "it is cut short or its kind is unknown");
  }
  const std::uint8_t present = in.u8();
  outcome.omitted_bytes = in.u64();
  const ByteView code = in.string();
  const ByteView message = in.string();
  const ByteView content_type = in.string();
  const ByteView bytes = (present & has_value) != 0 ? in.string() : ByteView();
  if (!in.done()) return damaged_row(row, "it is cut short or has bytes left over");
  if ((present & ~has_value) != 0) return damaged_row(row, "unknown flags");
  if (code.size() > max_code_bytes || message.size() > max_message_bytes ||
      content_type.size() > max_content_type_bytes) {
    return damaged_row(row, "its code, message or content type is over the limit");
  }
  if (header->removable != (result.expires_at != Time{})) {
    return damaged_row(row, "whether it may be swept contradicts its expiry");
  }
  outcome.code = code;
  outcome.message = message;
  outcome.content_type = content_type;
  if ((present & has_value) != 0) outcome.value = bytes;
  return result;
}

}  // namespace once::model
