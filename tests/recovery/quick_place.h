// A place in which RocksDB loses no time: after a failed flush or compaction it sleeps for a
// second, and whoever closes the store waits for that; and most of an opening goes into a file of
// options, which is written, read back and taken apart.
#pragma once

#include <memory>

#include "engine/embedded/place.h"

namespace once::testing {

// Sleeps but a moment; writes no file of options unless `with_options_file`.
[[nodiscard]] std::unique_ptr<engine::Place> make_quick(std::unique_ptr<engine::Place> place,
                                                        bool with_options_file);

}  // namespace once::testing
