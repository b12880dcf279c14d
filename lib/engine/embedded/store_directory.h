// The directory of a store: what makes it one, who may write to it, and how it comes into being.
//
//   ONCE        "once store\nformat N\n"
//   ONCE.new    the same, while the store is made: written first, renamed to ONCE last. Where it is
//               without ONCE, nothing was ever acknowledged, and all that lies there may go. Where
//               neither is, a store has lost its marker: damage, and nothing is touched
//   ONCE.lock   locked by the one process that has the store open for writing; says who that is
//   ONCE.files  which logs there are (inventory.h)
//   CURRENT, MANIFEST-*, *.log, *.sst, ...   RocksDB's
//
// The lock is one of the open file description (fcntl(2), F_OFD_SETLK): it keeps out this process
// as well as others, goes with the process however it ends, and a forked child does not keep it.
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"
#include "once/clock.h"
#include "once/error.h"
#include "once/options.h"

namespace once::engine {

// Movable; lets go of the lock when destroyed.
class StoreDirectory {
 public:
  // Locks the store at `path` for writing, making the directory if options.create_if_missing; waits
  // up to options.open_timeout_ms for who holds it. With `discard`, what is there already is thrown
  // away. Errors: store_locked, not_a_store, newer_format, permission, store_missing, no_space, io.
  static Result<StoreDirectory> open(const std::string& path, const Options& options,
                                     const Clock& clock, bool discard = false);
  // Checks that `path` can be read as a store; changes nothing.
  static Result<void> check(const std::string& path);
  // Refuses what a newer version has written; a marker that is gone or damaged says nothing.
  // Errors: newer_format.
  static Result<void> check_not_newer(const std::string& path);

  StoreDirectory(StoreDirectory&& other) noexcept;
  StoreDirectory& operator=(StoreDirectory&&) = delete;
  ~StoreDirectory();

  // True until mark_created(): nothing in the directory counts yet.
  [[nodiscard]] bool fresh() const { return fresh_; }
  // Makes the directory a store, durably.
  Result<void> mark_created();
  void unlock();

 private:
  StoreDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  Result<void> prepare(bool create, bool discard);
  [[nodiscard]] Result<void> begin_creation() const;
  void write_holder() const;

  std::string path_;
  int lock_ = -1;
  bool fresh_ = false;
};

// The number of log files in the directory, and the bytes of all files.
[[nodiscard]] std::size_t count_logs(const std::string& path);
[[nodiscard]] std::uint64_t bytes_in(const std::string& path);
using once::sync_directory;
using once::sync_parent;
using once::system_error;

}  // namespace once::engine
