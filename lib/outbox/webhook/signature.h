// Signatures of requests, as Standard Webhooks has them (https://www.standardwebhooks.com).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "once/bytes.h"
#include "once/error.h"

namespace once::outbox {

// The key that a secret stands for: "whsec_" and base64, or the bytes themselves.
// Errors: invalid_argument, without the secret in the message.
[[nodiscard]] Result<Bytes> signing_key(const std::string& secret);

// "v1," and the base64 of HMAC-SHA256 over `id`.`timestamp`.`body`; `timestamp` in seconds since
// the epoch.
[[nodiscard]] std::string sign(const Bytes& key, std::string_view id, std::int64_t timestamp,
                               std::string_view body);

}  // namespace once::outbox
