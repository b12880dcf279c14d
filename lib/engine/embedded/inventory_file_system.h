// Keeps the inventory of a store (inventory.h) while RocksDB makes and removes its files, and
// checks the tables that it opens against it.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

#include "engine/embedded/inventory.h"

namespace once::engine {

[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> make_inventory_file_system(
    const std::shared_ptr<rocksdb::FileSystem>& target, std::shared_ptr<Inventory> inventory);

}  // namespace once::engine
