// The parts of an URL that matter here: whether it can be posted to, whether two are of one origin,
// and how it is shown.
#pragma once

#include <string>

#include "once/error.h"

namespace once::outbox {

struct Url {
  std::string origin{};  // scheme, host and port
  std::string shown{};   // without user, password, query and fragment, which may be secrets
};

// Errors: invalid_argument, unsupported (there is no libcurl).
[[nodiscard]] Result<Url> parse_url(const std::string& text);

}  // namespace once::outbox
