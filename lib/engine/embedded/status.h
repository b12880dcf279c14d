// The one place where RocksDB's statuses become errors of Once.
#pragma once

#include <rocksdb/status.h>

#include <string_view>
#include <utility>

#include "once/error.h"

namespace once::engine {

// Keeps the first failure of a row of calls.
inline void keep_first(rocksdb::Status& status, rocksdb::Status&& next) {
  if (status.ok()) status = std::move(next);
}

// `place` says what was being done to what, e.g. "reading table keys of payments.once".
// NotFound is for the caller to tell from an error; here it counts as damage, since every other
// NotFound of RocksDB means a file that should be there.
[[nodiscard]] Error to_error(const rocksdb::Status& status, std::string_view place);

}  // namespace once::engine
