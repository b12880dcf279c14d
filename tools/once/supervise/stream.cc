#include "stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>

namespace once::supervise {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{64} << 10;
// A pipe that polls as writable takes this much without blocking (pipe(7)). Our own stdout must not
// be made non-blocking for that: the flag would be seen by every other process that has it.
constexpr std::size_t unblocked_bytes = 4096;

}  // namespace

Stream::Stream(Descriptor in, int out, Keep keep)
    : in_(std::move(in)), out_(out), keep_(std::move(keep)) {}

int Stream::wants_to_read() const {
  return waiting_.size() < buffer_bytes ? in_.get() : -1;
}

int Stream::wants_to_write() const {
  return waiting_.empty() ? -1 : out_;
}

void Stream::read_some() {
  std::array<char, buffer_bytes> buffer;
  take(buffer.data(), buffer.size());
}

void Stream::take(char* buffer, std::size_t size) {
  const auto got = retry([&] { return ::read(in_.get(), buffer, size); });
  if (got <= 0) {
    in_.reset();
    return;
  }
  const ByteView bytes(buffer, static_cast<std::size_t>(got));
  keep_(bytes);
  if (out_ >= 0) waiting_.append(bytes);
}

void Stream::drain() {
  int there = 0;
  if (!in_ || ::ioctl(in_.get(), FIONREAD, &there) != 0) return;
  std::array<char, buffer_bytes> buffer;
  for (auto left = static_cast<std::size_t>(there); left > 0 && in_;) {
    const std::size_t part = std::min(left, buffer.size());
    take(buffer.data(), part);
    left -= part;
  }
  in_.reset();
}

void Stream::write_some() {
  std::size_t written = 0;
  while (written < waiting_.size()) {
    pollfd ready{.fd = out_, .events = POLLOUT, .revents = 0};
    if (retry([&] { return ::poll(&ready, 1, 0); }) <= 0) break;
    const std::size_t part = std::min(waiting_.size() - written, unblocked_bytes);
    const auto got = retry([&] { return ::write(out_, waiting_.data() + written, part); });
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) {
      // Nobody reads it any more (`once run ... | head`), or the disk it goes to is full. The
      // command is not told: it would die half-way through what it must do exactly once, for the
      // sake of somebody who has seen enough. What it writes is still kept, and replayed whole.
      failure_ = errno == EPIPE ? 0 : errno;
      out_ = -1;
      waiting_.clear();
      return;
    }
    written += static_cast<std::size_t>(got);
  }
  waiting_.erase(0, written);
}

}  // namespace once::supervise
