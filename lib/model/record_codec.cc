#include "model/record_codec.h"

#include <algorithm>

#include "model/fields.h"
#include "model/key_codec.h"
#include "model/sha256.h"

namespace once::model {
namespace {

constexpr std::uint8_t has_fingerprint = 1;
constexpr std::uint8_t has_outcome = 2;

static_assert(record_last_history_offset == row_header_bytes);
static_assert(record_fixed_bytes ==
              row_header_bytes + 8 + 3 + 4 + std::size_t{6} * 8 + holder_bytes);
static_assert(max_question_fields <= UINT8_MAX && max_field_name_bytes <= UINT8_MAX);

constexpr std::size_t field_digest_bytes = sizeof(FieldDigest::digest);

ByteView view_of(const FieldDigest& field) {
  return {reinterpret_cast<const char*>(field.digest.data()), field.digest.size()};
}

void write_fields(Writer& out, const std::vector<FieldDigest>& fields) {
  out.u8(static_cast<std::uint8_t>(fields.size()));
  for (const FieldDigest& field : fields) {
    out.u8(static_cast<std::uint8_t>(field.name.size()));
    out.raw(field.name);
    out.raw(view_of(field));
  }
}

// False when they are not as write_fields() writes them. Being cut short shows in `in`.
[[nodiscard]] bool read_fields(Reader& in, std::vector<FieldDigest>& fields) {
  const std::size_t count = in.u8();
  if (count == 0 || count > max_question_fields) return false;
  fields.reserve(std::min(count, in.left() / (1 + field_digest_bytes)));
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    FieldDigest field;
    field.name = in.raw(in.u8());
    std::ranges::copy(in.raw(field_digest_bytes), field.digest.begin());
    if (!fields.empty() && fields.back().name >= field.name) return false;
    fields.push_back(std::move(field));
  }
  return true;
}

}  // namespace

std::vector<FieldDigest> bind_fields(const Key& key, std::vector<FieldDigest> fields) {
  if (fields.empty()) return fields;
  const Bytes prefix = encode_key(key);
  for (FieldDigest& field : fields) {
    const Sha256 digest = sha256({prefix, field.name, view_of(field)});
    std::copy_n(digest.begin(), field.digest.size(), field.digest.begin());
  }
  std::ranges::sort(fields, {}, &FieldDigest::name);
  return fields;
}

Bytes encode_record(const Record& record) {
  Bytes value;
  value.reserve(record_fixed_bytes + 2 * fingerprint_bytes);
  Writer out(value);
  const bool with_fields = !record.fields.empty();
  write_header(out, {.version = with_fields ? record_version_with_fields : record_version,
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
  if (with_fields) write_fields(out, record.fields);
  return value;
}

Result<Record> decode_record(ByteView value) {
  constexpr std::string_view row = "record";
  Reader in(value);
  auto header = open_row(in, row, record_version_with_fields);
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
  if (header->version == record_version_with_fields && !read_fields(in, record.fields)) {
    return damaged_row(row, "its fields are none, too many or out of order");
  }
  if (!in.done()) return damaged_row(row, "it is cut short or has bytes left over");
  if ((present & ~(has_fingerprint | has_outcome)) != 0) return damaged_row(row, "unknown flags");
  if (record.retention < Duration::zero()) return damaged_row(row, "its retention is negative");
  if (header->removable != is_finished(record.status)) {
    return damaged_row(row, "whether it may be swept contradicts its status");
  }
  return record;
}

}  // namespace once::model
