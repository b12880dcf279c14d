#include "run_output.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <system_error>

#include "base/coding.h"
#include "base/error.h"

namespace once::tool {
namespace {

constexpr std::uint8_t run_output_version = 1;
constexpr std::string_view failure_prefix = "exit-";

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

std::string failure_code(int exit_code) {
  return fmt::format("{}{}", failure_prefix, exit_code);
}

std::optional<int> exit_code_in(const Outcome& outcome) {
  std::string_view code = outcome.code;
  if (outcome.content_type != run_content_type) return std::nullopt;
  if (!code.starts_with(failure_prefix)) return std::nullopt;
  code.remove_prefix(failure_prefix.size());
  int number = 0;
  const auto [end, failed] = std::from_chars(code.data(), code.data() + code.size(), number);
  const bool whole = failed == std::errc{} && end == code.data() + code.size();
  return whole && number > 0 && number < 256 ? std::optional(number) : std::nullopt;
}

std::string why_omitted(const Outcome& outcome) {
  // The message of a failure tells how it failed.
  if (outcome.kind == OutcomeKind::success && !outcome.message.empty()) return outcome.message;
  return fmt::format("({} bytes) was too large to keep", outcome.omitted_bytes);
}

}  // namespace once::tool
