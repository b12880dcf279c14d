// Random bytes for identities (stores, events): from the operating system.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "once/clock.h"

namespace once {

// 16 bytes nobody has seen before.
[[nodiscard]] std::array<std::uint8_t, 16> random_id();

// A UUID of version 7 (RFC 9562, section 5.7): the milliseconds of `now`, then random bits.
[[nodiscard]] std::string uuid_v7(Time now);

}  // namespace once
