// What was written to logs into blocks of which no frame of the journal that is left says whose
// they are. For salvage only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "container/device.h"
#include "container/layout.h"

namespace once::container {

// The blocks in which whole envelopes or sync notes stand, by the file that they are of, for the
// files that are `wanted`. Too much that looks like envelopes ends the search.
[[nodiscard]] std::map<std::uint64_t, Extents> find_stray_logs(
    Device& device, const Extents& unclaimed, std::uint64_t seed,
    const std::function<bool(std::uint64_t id)>& wanted);

}  // namespace once::container
