// A container as a RocksDB FileSystem.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

#include "container/container.h"

namespace once::container {

// Thread-safe. Errors name the host file; a missing path is NotFound from FileExists and
// PathNotFound elsewhere; a full disk is NoSpace; nothing is marked as worth trying again.
// Unsupported: memory mapping, and opening a log again to append to it.
[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> make_file_system(
    std::shared_ptr<Container> container);

}  // namespace once::container
