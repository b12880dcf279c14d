// A place in which RocksDB loses no time: after a failed flush or compaction it sleeps for a
// second, and whoever closes the store waits for that.
#pragma once

#include <memory>

#include "engine/embedded/place.h"

namespace once::testing {

// Sleeps but a moment.
[[nodiscard]] std::unique_ptr<engine::Place> make_quick(std::unique_ptr<engine::Place> place);

}  // namespace once::testing
