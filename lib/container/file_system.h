// A container as a RocksDB FileSystem.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

#include "container/container.h"

namespace once::container {

// In the property_bag of a new file's options: it is made of other tables, which go when it is
// done, and so must not take what the tables of what stands in logs will need.
inline constexpr const char* rewrite_property = "once.rewrite";

// Thread-safe. Errors name the host file; a missing path is NotFound from FileExists and
// PathNotFound elsewhere; a full disk is NoSpace; nothing is marked as worth trying again.
// Unsupported: memory mapping, and opening a log again to append to it.
[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> make_file_system(
    std::shared_ptr<Container> container);

}  // namespace once::container
