// Which logs a store has, and what some of its files looked like: what RocksDB cannot miss by
// itself. It opens a store that lacks a log, or whose log was cut, as if nothing had been in it,
// and aborts on a damaged byte in the part of a table that it reads before any checksum.
//
// File ONCE.files, one fact a line, only appended to (and written anew when it has grown):
//
//   +000012.log                         there is this log. Durable before anything stands in it
//   -000012.log                         it is about to be removed
//   =000012.log 8825 1f0c...            its bytes and their XXH3 (64 bits, 16 hexadecimal digits)
//                                       when the store was closed; nobody appends to it later
//   =000013.sst 1813 77ab...            bytes of a table, and XXH3 of the last 4,096 of them
//
// Invariants: a log that is listed exists, so that a missing one is damage. A line without its end
// is the rest of an append that was cut off, and counts for nothing. The file itself may be
// missing: then nothing is known.
// Fault model: any byte of any of these files may be changed, and any of them cut or removed, while
// the store is closed. After a kill or a power cut the newest log has no digest yet: what its last
// lines tell is then up to RocksDB's recovery.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "once/error.h"

namespace once::engine {

// Thread-safe.
class Inventory {
 public:
  struct Seen {
    std::uint64_t bytes = 0;
    std::uint64_t digest = 0;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  static constexpr std::size_t tail_bytes = 4096;

  explicit Inventory(std::string directory) : directory_(std::move(directory)) {}
  Inventory(const Inventory&) = delete;
  Inventory& operator=(const Inventory&) = delete;
  ~Inventory();

  // Reads the file. Errors: damaged, permission, io.
  Result<void> load();
  // Compares the logs on disk with it. Errors: damaged, naming the log; permission, io.
  [[nodiscard]] Result<void> check() const;
  // Makes ready for notes. What the logs hold is made durable first, since a synced commit of this
  // opening may rest on a buffered one of the opening before.
  Result<void> start_writing();

  Result<void> note_log(const std::string& name);
  Result<void> note_removal(const std::string& name);
  void note_table(const std::string& name, const Seen& tail);
  // The table is made anew or removed: what was noted of it counts no more.
  void forget_table(const std::string& name);
  // For a store that was closed in good order.
  Result<void> note_closed();
  [[nodiscard]] std::optional<Seen> seen(const std::string& name) const;

 private:
  Result<void> take(std::string_view line) ONCE_REQUIRES(mutex_);
  Result<void> write_anew() ONCE_REQUIRES(mutex_);
  Result<void> open_file(const std::string& path, int flags) ONCE_REQUIRES(mutex_);
  Result<void> append(const std::string& text, bool sync) ONCE_REQUIRES(mutex_);
  [[nodiscard]] std::string path_of(const std::string& name) const;

  const std::string directory_;
  mutable Mutex mutex_;
  int file_ ONCE_GUARDED_BY(mutex_) = -1;       // for appending
  bool whole_ ONCE_GUARDED_BY(mutex_) = false;  // can be appended to as it is
  // The file tells of tables that are gone.
  bool stale_ ONCE_GUARDED_BY(mutex_) = false;
  std::set<std::string> logs_ ONCE_GUARDED_BY(mutex_);
  std::map<std::string, Seen> seen_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::engine
