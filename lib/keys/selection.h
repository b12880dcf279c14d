// Which parts of a tree count; see Selection in once/key.h.
#pragma once

#include "keys/json_tree.h"
#include "once/error.h"
#include "once/key.h"

namespace once::keys {

// Removes from `root` what does not count. All paths are looked up before anything is removed, so
// that indices mean what the caller sees. Errors: invalid_argument for a path that is not there, or
// when no value is left.
[[nodiscard]] Result<void> select(JsonNode& root, const Selection& selection);

}  // namespace once::keys
