// Stream: one of the two ways on which a command's output passes through us.
//
// Reads what the command wrote, hands it on, and never holds back more than one buffer of it: a
// reader that is slow slows the command down, just as without us. Nothing here waits; the loop that
// owns it does (see follow.h).
#pragma once

#include <cstdint>
#include <functional>

#include "descriptor.h"
#include "once/bytes.h"

namespace once::supervise {

class Stream {
 public:
  using Keep = std::function<void(ByteView)>;

  // Passes what comes from `in` on to the descriptor `out`, and shows it to `keep`.
  Stream(Descriptor in, int out, Keep keep);

  // What to poll for: the reading end while there is room, the writing end while something waits.
  // -1 otherwise.
  [[nodiscard]] int wants_to_read() const;
  [[nodiscard]] int wants_to_write() const;

  // Takes what is there; at most one buffer. The end of the stream ends it.
  void read_some();
  // Writes as much as is taken without blocking.
  void write_some();
  // Takes what is in the pipe now, and nothing that comes later: for when the command has ended,
  // but something that it left in the background still has the pipe open.
  void drain();
  // Why nothing is passed on any more (an errno), or 0. A reader that went away is no error.
  [[nodiscard]] int failure() const { return failure_; }

 private:
  void take(char* buffer, std::size_t size);

  Descriptor in_;
  int out_;  // -1 when nobody reads it any more
  int failure_ = 0;
  Keep keep_;
  Bytes waiting_;  // read and not yet written
};

}  // namespace once::supervise
