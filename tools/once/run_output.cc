#include "run_output.h"

#include <cstdint>

#include "base/coding.h"
#include "base/error.h"

namespace once::tool {
namespace {

constexpr std::uint8_t run_output_version = 1;

}  // namespace

Bytes encode_run_output(const RunOutput& output) {
  Bytes value;
  value.reserve(13 + output.out.size() + output.err.size());
  Writer writer(value);
  writer.u8(run_output_version);
  writer.u32(static_cast<std::uint32_t>(output.exit_code));
  writer.string(output.out);
  writer.string(output.err);
  return value;
}

Result<RunOutput> decode_run_output(ByteView value) {
  Reader reader(value);
  const std::uint8_t version = reader.u8();
  if (reader.ok() && version > run_output_version) {
    return fail(ErrorCode::newer_format,
                "the output was kept by a newer version of once (layout {}); use that one",
                version);
  }
  RunOutput output;
  output.exit_code = static_cast<int>(reader.u32());
  output.out = reader.string();
  output.err = reader.string();
  if (!reader.done() || version != run_output_version) {
    return fail(ErrorCode::damaged,
                "the outcome says that it is the output of a command, but does not decode as one; "
                "see it with --json");
  }
  return output;
}

}  // namespace once::tool
