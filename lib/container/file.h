// The live side of a file: what a handle reads and appends through.
//
// The table knows what is durable; this knows what has been written so far. One object is shared by
// the table and all handles, so its blocks are not used again before the last of them lets go.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "container/digest.h"
#include "container/envelope.h"
#include "container/file_table.h"

namespace once::container {

inline constexpr std::size_t tail_bytes = 4096;

[[nodiscard]] inline bool is_wal(std::string_view path) {
  return path.ends_with(".log");
}

class File {
 public:
  File(std::uint64_t file_id, bool is_log, bool is_wal) : id(file_id), log(is_log), wal(is_wal) {}

  const std::uint64_t id;
  const bool log;
  // A log that commits go to. The other logs, MANIFESTs, say which of the other files count.
  const bool wal;

  // Held while the file is appended to or moved; before the container's own mutex.
  Mutex mutex;
  SharedExtents extents ONCE_GUARDED_BY(mutex) = std::make_shared<const Extents>();
  std::uint64_t size ONCE_GUARDED_BY(mutex) = 0;  // all that was appended
  // Made of other tables, which go when it is done: it must leave room for what stands in logs.
  std::atomic<bool> rewrite = false;
  // Has no name any more, so that nothing of it is journaled. Set under the container's mutex.
  std::atomic<bool> removed = false;

  // Logs.
  std::atomic<std::uint64_t> counted = 0;             // in the container's log_bytes_
  std::uint64_t position ONCE_GUARDED_BY(mutex) = 0;  // where the next envelope goes
  std::uint64_t durable ONCE_GUARDED_BY(mutex) = 0;
  std::uint64_t durable_end ONCE_GUARDED_BY(mutex) = 0;  // the envelopes with those end here
  // Where the sync note stands; 0: there is none, or an envelope says the same.
  std::uint64_t note ONCE_GUARDED_BY(mutex) = 0;
  std::uint64_t started ONCE_GUARDED_BY(mutex) = 0;  // writing was begun up to this position
  std::uint64_t blank ONCE_GUARDED_BY(mutex) = 0;    // blocks were written up to this position
  std::vector<LogMark> marks ONCE_GUARDED_BY(mutex);
  Bytes scratch ONCE_GUARDED_BY(mutex);

  // Other files. Nothing: has to be computed anew from what is there.
  std::optional<Digest> digest ONCE_GUARDED_BY(mutex);
  std::string tail ONCE_GUARDED_BY(mutex);      // the last bytes, with which `digest` goes
  Seal sealed ONCE_GUARDED_BY(mutex){};         // as the journal has it
  bool checked ONCE_GUARDED_BY(mutex) = false;  // its bytes were found to be those
};

}  // namespace once::container
