// What `once run` asks under its key: the command line, and the fields given with --field.
#pragma once

#include <string>
#include <vector>

#include "once/error.h"
#include "once/options.h"

namespace once::tool {

// Sets fingerprint and fields of `options`. `command` is part of the question unless
// `any_command`; `fields` are NAME=VALUE each. Without fields the fingerprint is that of the
// command alone, as it was before there were any. Errors: invalid_argument (no '=', no name, a name
// twice), limit_exceeded.
[[nodiscard]] Result<void> ask(const std::vector<std::string>& command, bool any_command,
                               const std::vector<std::string>& fields, ReserveOptions& options);

}  // namespace once::tool
