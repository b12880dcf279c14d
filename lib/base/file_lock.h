// Locks on files: one of two processes gets it, the other one waits or is told who has it.
//
// They are locks of the open file description (fcntl(2), F_OFD_SETLK): they keep out this process
// as well as others, hold on the file whatever name it was opened by, and go with the process
// however it ends. A forked child shares them until it closes its copy of the file: HeldFile has it
// do so at once.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "once/clock.h"
#include "once/error.h"

namespace once {

// Which bytes of the file; they need not be there. Without a count: all from the first one on.
struct LockedBytes {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// Shared locks keep out exclusive ones only. False: somebody else keeps it out. Errors: unsupported
// if the file system has no locks, io.
[[nodiscard]] Result<bool> try_lock(int file, LockedBytes bytes, const std::string& name);
[[nodiscard]] Result<bool> try_lock_shared(int file, LockedBytes bytes, const std::string& name);
void unlock(int file, LockedBytes bytes);

// Waits for an exclusive lock up to `timeout`; false if somebody else has it still.
[[nodiscard]] Result<bool> wait_for_lock(int file, LockedBytes bytes, const std::string& name,
                                         Duration timeout, const Clock& clock);

// Whether another open file has a lock there that keeps an exclusive one out.
[[nodiscard]] Result<bool> is_locked(int file, LockedBytes bytes, const std::string& name);

// This process in a message: "pid 12 (worker)".
[[nodiscard]] std::string describe_this_process();

// An open file that can have locks: let go of and closed when destroyed, and closed at once in a
// forked child, which leaves it alone from then on.
class HeldFile {
 public:
  HeldFile() = default;
  explicit HeldFile(int file);
  HeldFile(HeldFile&& other) noexcept
      : file_(std::exchange(other.file_, -1)), generation_(other.generation_) {}
  HeldFile& operator=(HeldFile&& other) noexcept;
  ~HeldFile() { close(); }

  [[nodiscard]] int get() const { return file_; }
  void close();

 private:
  int file_ = -1;
  std::uint32_t generation_ = 0;
};

}  // namespace once
