// Gives a store background threads of its own, where RocksDB has one pool for the whole process.
//
// A forked child has none of its parent's threads, but believes in them: what it schedules there
// never runs, and it hangs at its first flush. With a pool for each store, what a child opens by
// itself has threads that are there. They start when there is something to do.
#pragma once

#include <rocksdb/env.h>

#include <memory>

namespace once::engine {

[[nodiscard]] std::unique_ptr<rocksdb::Env> make_threads_env(std::unique_ptr<rocksdb::Env> target);

}  // namespace once::engine
