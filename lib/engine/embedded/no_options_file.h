// Keeps RocksDB from writing its OPTIONS file at every opening. Nobody reads it (what RocksDB is
// told stands in rocksdb_options.cc), RocksDB goes on without, and writing it, reading it back and
// taking it apart was most of the time of an opening, with three of its syncs.
#pragma once

#include <rocksdb/env.h>

#include <memory>
#include <string>

namespace once::engine {

[[nodiscard]] std::shared_ptr<rocksdb::FileSystem> without_options_file(
    const std::shared_ptr<rocksdb::FileSystem>& target);

// Removes the ones that versions have left in `directory` which still had them written. That one
// cannot be removed is no error: it is in nobody's way.
void remove_options_files(rocksdb::Env& env, const std::string& directory);

}  // namespace once::engine
