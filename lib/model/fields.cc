#include "model/fields.h"

#include <algorithm>

namespace once::model {

void write_time(Writer& out, Time time) {
  out.i64(time.time_since_epoch().count());
}

Time read_time(Reader& in) {
  return Time(Duration(in.i64()));
}

void write_holder(Writer& out, const Holder& holder) {
  for (const std::uint8_t byte : holder.boot) out.u8(byte);
  out.u64(holder.pid_namespace);
  out.u32(holder.pid);
  out.u64(holder.start_time);
}

Holder read_holder(Reader& in) {
  Holder holder;
  for (std::uint8_t& byte : holder.boot) byte = in.u8();
  holder.pid_namespace = in.u64();
  holder.pid = in.u32();
  holder.start_time = in.u64();
  return holder;
}

void write_fingerprint(Writer& out, const Fingerprint& fingerprint) {
  for (const std::uint8_t byte : fingerprint.digest) out.u8(byte);
}

Fingerprint read_fingerprint(Reader& in) {
  Fingerprint fingerprint;
  for (std::uint8_t& byte : fingerprint.digest) byte = in.u8();
  return fingerprint;
}

std::unexpected<Error> damaged_row(std::string_view row, std::string_view why) {
  return fail(ErrorCode::damaged,
              "a stored {} is damaged ({}); `once verify` lists what else is, restore it from a "
              "backup",
              row, why);
}

Result<RowHeader> open_row(Reader& in, std::string_view row, std::uint8_t version) {
  RowHeader header;
  const bool well_formed = read_header(in, header);
  if (header.version > version) {
    return fail(ErrorCode::newer_format,
                "a stored {} has layout version {}, and this version of Once reads up to {}; use a "
                "newer Once",
                row, header.version, version);
  }
  if (!well_formed) return damaged_row(row, "its header is cut short or has unknown flags");
  if (header.version == 0) return damaged_row(row, "layout version 0 is never written");
  return header;
}

}  // namespace once::model
