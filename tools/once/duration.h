// Durations as people write them on a command line: "250ms", "30s", "5m", "24h", "7d", "forever".
#pragma once

#include <string>
#include <string_view>

#include "once/clock.h"
#include "once/error.h"

namespace once::tool {

// Errors: invalid_argument, naming the text and the units there are.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

// Reads `text`, the duration of `option`, into `duration`. Errors: as parse_duration(), naming the
// option; invalid_argument for one that is shorter than `least`.
[[nodiscard]] Result<void> take_duration(std::string_view option, std::string_view text,
                                         Duration& duration, Duration least = Duration{0});

// The largest unit that fits, rounded down: "812ms", "41s", "3h", "12d", "forever".
[[nodiscard]] std::string short_duration(Duration duration);

}  // namespace once::tool
