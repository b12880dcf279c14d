// Files of a store in a directory: keeps its inventory (inventory.h) while RocksDB makes and
// removes them, checks the tables that it opens against it, and takes the lock against RocksDB's
// own tools.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

#include "engine/embedded/inventory.h"

namespace once::engine {

[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> make_inventory_file_system(
    const std::shared_ptr<rocksdb::FileSystem>& target, std::shared_ptr<Inventory> inventory);

}  // namespace once::engine
