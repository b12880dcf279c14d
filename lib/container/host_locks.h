// Which bytes of a host file are locked for what. Far beyond all data, since a lock on bytes that
// somebody reads would mean something else to other programs.
#pragma once

#include <cstdint>

#include "base/file_lock.h"
#include "container/pins.h"

namespace once::container {

inline constexpr LockedBytes writer_bytes{.first = std::int64_t{1} << 62, .count = 1};

[[nodiscard]] constexpr LockedBytes bytes_of_place(std::uint32_t slot) {
  return {.first = writer_bytes.first + 1 + slot, .count = 1};
}

}  // namespace once::container
