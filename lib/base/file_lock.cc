#include "base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace once {
namespace {

constexpr Duration longest = std::chrono::hours(24 * 365);

// 0, or errno. `what` gets what stands in the way, if that is asked for.
int ask(int file, int command, short type, LockedBytes bytes, struct flock* what = nullptr) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = bytes.first;
  lock.l_len = bytes.count;
  int failed = 0;
  do {
    failed = ::fcntl(file, command, &lock) == 0 ? 0 : errno;
  } while (failed == EINTR);
  if (what != nullptr) *what = lock;
  return failed;
}

std::unexpected<Error> cannot_lock(int number, const std::string& name) {
  Error error = system_error(number, "locking", name);
  // EINVAL: a kernel or a file system that does not know locks of open files.
  if (number == ENOLCK || number == ENOSYS || number == EOPNOTSUPP || number == EINVAL) {
    error.code = ErrorCode::unsupported;
    error.message += "; a store needs a file system that can lock files, such as a local one";
  }
  return std::unexpected(std::move(error));
}

Result<bool> try_lock_as(short type, int file, LockedBytes bytes, const std::string& name) {
  const int failed = ask(file, F_OFD_SETLK, type, bytes);
  if (failed == 0) return true;
  if (failed == EAGAIN || failed == EACCES) return false;
  return cannot_lock(failed, name);
}

}  // namespace

Result<bool> try_lock(int file, LockedBytes bytes, const std::string& name) {
  return try_lock_as(F_WRLCK, file, bytes, name);
}

Result<bool> try_lock_shared(int file, LockedBytes bytes, const std::string& name) {
  return try_lock_as(F_RDLCK, file, bytes, name);
}

void unlock(int file, LockedBytes bytes) {
  (void)ask(file, F_OFD_SETLK, F_UNLCK, bytes);
}

// Its holder's closing of the file is an event that inotify tells; a look from time to time covers
// systems that cannot tell.
Result<bool> wait_for_lock(int file, LockedBytes bytes, const std::string& name, Duration timeout,
                           const Clock& clock) {
  auto locked = try_lock(file, bytes, name);
  if (!locked || *locked) return locked;
  const Duration deadline =
      clock.since_boot() + std::clamp<Duration>(timeout, Duration(0), longest);
  const int events = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (events >= 0) ::inotify_add_watch(events, name.c_str(), IN_CLOSE_WRITE);
  locked = try_lock(file, bytes, name);
  while (locked && !*locked) {
    const Duration left = deadline - clock.since_boot();
    if (left <= Duration::zero()) break;
    constexpr Duration look_again{20};
    pollfd ready{.fd = events, .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, static_cast<int>(std::min(left, look_again).count()));
    char drained[4096];
    while (events >= 0 && ::read(events, drained, sizeof drained) > 0) {
    }
    locked = try_lock(file, bytes, name);
  }
  if (events >= 0) ::close(events);
  return locked;
}

Result<bool> is_locked(int file, LockedBytes bytes, const std::string& name) {
  struct flock found{};
  const int failed = ask(file, F_OFD_GETLK, F_WRLCK, bytes, &found);
  if (failed != 0) return cannot_lock(failed, name);
  return found.l_type != F_UNLCK;
}

std::string describe_this_process() {
  const auto pid = static_cast<std::uint32_t>(::getpid());
  return fmt::format("pid {} ({})", pid, command_name(pid));
}

HeldFile::HeldFile(int file) : file_(file), generation_(fork_generation()) {
  if (file_ >= 0) close_in_forked_child(file_);
}

HeldFile& HeldFile::operator=(HeldFile&& other) noexcept {
  if (this == &other) return *this;
  close();
  file_ = std::exchange(other.file_, -1);
  generation_ = other.generation_;
  return *this;
}

void HeldFile::close() {
  const int file = std::exchange(file_, -1);
  // In a forked child the number may be another file's by now.
  if (file < 0 || generation_ != fork_generation()) return;
  forget_in_forked_child(file);
  // By itself, since a child forked at a bad moment may have the file open, too.
  unlock(file, {});
  ::close(file);
}

}  // namespace once
