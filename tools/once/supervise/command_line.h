// The command after `--`, byte for byte.
//
// CLI11 takes a list apart that is written as one argument, "[a,b]"; what we hand to a command must
// be what we were given. So the command is read from the kernel's copy of our own command line.
#pragma once

#include <string>
#include <vector>

#include "once/bytes.h"
#include "once/error.h"

namespace once::supervise {

// What stands after the first `--` of this process's command line.
// Errors: invalid_argument when there is no `--`, or nothing after it; io.
[[nodiscard]] Result<std::vector<std::string>> command_after_dashes();

// The arguments as one question, to take a fingerprint of: no two commands give the same bytes.
[[nodiscard]] Bytes question_of(const std::vector<std::string>& command);

// What a shell would give for a command that ended with this wait status: its exit code, or 128 and
// the number of the signal that killed it.
[[nodiscard]] int shell_code(int wait_status);

// The same of a command that was ended because it took too long, as timeout(1) has it.
inline constexpr int shell_code_timed_out = 124;

// What a shell would give for a command that could not be executed: 127 when it is not there, 126
// when it is but cannot be run.
[[nodiscard]] int shell_code_not_started(int error_number);

}  // namespace once::supervise
