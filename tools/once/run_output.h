// What `once run` keeps of a command: the value of an outcome with the content type below.
//
//   offset size
//   0      1    version of this layout, 1
//   1      4    exit code as the shell tells it: 128 + signal for a command that was killed, 124
//               for one that --timeout ended
//   5      4    length of what it wrote to stdout, n
//   9      n    what it wrote to stdout
//   9+n    4    length of what it wrote to stderr, m
//   13+n   m    what it wrote to stderr
//
// Integers are little-endian. Nothing may follow. The value lies in a row with a checksum of its
// own, so that only a value written by somebody else fails to decode.
//
// What was too large to keep has no value (Outcome::omitted_bytes); the exit code of a command that
// failed is in the outcome's code all the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "once/bytes.h"
#include "once/error.h"
#include "once/outcome.h"

namespace once::tool {

inline constexpr std::string_view run_content_type = "application/vnd.once.run";

struct RunOutput {
  int exit_code = 0;
  Bytes out;
  Bytes err;
  friend bool operator==(const RunOutput&, const RunOutput&) = default;
};

[[nodiscard]] Bytes encode_run_output(const RunOutput& output);
// Errors: damaged; newer_format for a version that this tool does not know.
[[nodiscard]] Result<RunOutput> decode_run_output(ByteView value);

// The outcome's code for a command that ended with `exit_code`, which is not 0: "exit-3".
[[nodiscard]] std::string failure_code(int exit_code);
// The exit code in such a code; nullopt for an outcome that no command gave.
[[nodiscard]] std::optional<int> exit_code_in(const Outcome& outcome);
// "(17000000 bytes) was too large to keep", or what salvaging tells; of an outcome without a value.
[[nodiscard]] std::string why_omitted(const Outcome& outcome);

}  // namespace once::tool
