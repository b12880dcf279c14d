// How long to wait before the next attempt.
#pragma once

#include <cstdint>

#include "once/outbox.h"

namespace once::outbox {

// After `retries` failures (1: the first). `random` is any 64 random bits.
[[nodiscard]] Duration delay_after(const Backoff& backoff, std::uint32_t retries,
                                   std::uint64_t random);

// Errors: invalid_argument, for what is out of its range.
[[nodiscard]] Result<void> check(const RelayOptions& options);

}  // namespace once::outbox
