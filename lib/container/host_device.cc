#include "container/host_device.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace once::container {
namespace {

constexpr std::uint64_t largest_file = std::numeric_limits<off_t>::max();

off_t to_off(std::uint64_t offset) {
  return static_cast<off_t>(offset);
}

bool is_full(int number) {
  return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

bool is_not_known(int number) {
  return number == EOPNOTSUPP || number == ENOSYS;
}

std::unexpected<Error> failed(int number, const std::string& doing, const std::string& name) {
  return std::unexpected(system_error(number, doing, name));
}

// The same for calls of which nobody expects that they need space: a caller that frees some and
// tries again would be wrong.
std::unexpected<Error> failed_for_good(int number, const std::string& doing,
                                       const std::string& name) {
  Error error = system_error(number, doing, name);
  if (error.code == ErrorCode::no_space) error.code = ErrorCode::io;
  return std::unexpected(std::move(error));
}

// How long a file may become in this process (setrlimit(2)). Asked before, since going beyond it is
// answered by a signal that ends the process.
std::uint64_t limit_of_files() {
  struct rlimit limit{};
  const bool limited = ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return limited ? limit.rlim_cur : largest_file;
}

// The kernel's tick, some milliseconds each, which costs no system call.
std::int64_t coarse_time() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

HostDevice::HostDevice(int file, std::string name, HostAccess access)
    : file_(file), name_(std::move(name)), access_(access), generation_(fork_generation()) {}

Result<void> HostDevice::allowed(HostAccess access) const {
  if (generation_ != fork_generation()) {
    return fail(ErrorCode::forked,
                "{} was opened by the process that this one is a fork of; open it again here",
                name_);
  }
  if (access == HostAccess::write && access_ == HostAccess::read) {
    return fail(ErrorCode::unsupported, "{} is open to read; open it for writing to change it",
                name_);
  }
  return {};
}

bool HostDevice::is_over_the_limit(std::uint64_t end) {
  // Once in a tick: that saves most writes a system call. A limit that this process lowers while it
  // has a store open beyond it is met by the signal until then, as it would be by other threads.
  const std::int64_t now = coarse_time();
  if (limit_asked_.load(std::memory_order_acquire) != now) {
    limit_ = limit_of_files();
    limit_asked_.store(now, std::memory_order_release);
  }
  return end > limit_;
}

Result<void> HostDevice::read(std::uint64_t offset, std::size_t length, char* buffer) {
  if (auto may = allowed(HostAccess::read); !may) return may;
  std::size_t done = 0;
  while (done < length) {
    const std::uint64_t at = offset + done;
    const bool reachable = at >= offset && at <= largest_file;
    const ssize_t got =
        reachable ? ::pread(file_, buffer + done, length - done, to_off(at)) : ssize_t{0};
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return failed(errno, fmt::format("reading {} bytes at {} of", length, offset), name_);
    }
    if (got == 0) {
      return fail(ErrorCode::damaged,
                  "{} ends at {}, where {} bytes at {} should be read: it was cut off; restore it "
                  "from a backup, or save what is left with `once salvage`",
                  name_, at, length, offset);
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

Result<void> HostDevice::write(std::uint64_t offset, std::string_view bytes) {
  if (auto may = allowed(HostAccess::write); !may) return may;
  const std::size_t length = bytes.size();
  if (is_over_the_limit(offset + length)) {
    return failed(EFBIG, fmt::format("writing {} bytes at {} of", length, offset), name_);
  }
  while (!bytes.empty()) {
    const std::uint64_t at = offset + (length - bytes.size());
    const ssize_t put = ::pwrite(file_, bytes.data(), bytes.size(), to_off(at));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      return failed(put < 0 ? errno : EIO, fmt::format("writing {} bytes at {} of", length, offset),
                    name_);
    }
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> HostDevice::sync() {
  if (auto may = allowed(HostAccess::write); !may) return may;
  if (::fdatasync(file_) == 0) return {};
  return failed_for_good(errno, "syncing", name_);
}

Result<void> HostDevice::resize(std::uint64_t bytes) {
  if (auto may = allowed(HostAccess::write); !may) return may;
  const MutexLock lock(resizing_);
  const auto now = size();
  if (!now) return std::unexpected(now.error());
  if (bytes > *now) return grow(*now, bytes);
  if (bytes == *now) return {};
  int wrong = 0;
  do {
    wrong = ::ftruncate(file_, to_off(bytes)) == 0 ? 0 : errno;
  } while (wrong == EINTR);
  if (wrong == 0) return {};
  return failed_for_good(wrong, fmt::format("cutting off after {} bytes the end of", bytes), name_);
}

Result<void> HostDevice::grow(std::uint64_t from, std::uint64_t to) {
  const std::string doing = fmt::format("growing from {} to {} bytes", from, to);
  if (to > limit_of_files()) return failed(EFBIG, doing, name_);
  const int wrong = fallocate_fully(0, from, to - from);
  if (wrong == 0) return {};
  Result<void> zeros = std::unexpected(system_error(wrong, doing, name_));
  if (is_not_known(wrong)) zeros = write_zeros(from, to);
  if (zeros) return {};
  // A part may have been added before space ran out.
  if (::ftruncate(file_, to_off(from)) != 0) {
    return failed_for_good(errno, fmt::format("{} failed, and so did cutting back", doing), name_);
  }
  return zeros;
}

Result<void> HostDevice::write_zeros(std::uint64_t from, std::uint64_t to) {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  const std::string zeros(std::min(piece, to - from), '\0');
  for (std::uint64_t at = from; at < to; at += piece) {
    auto written = write(at, std::string_view(zeros).substr(0, std::min(piece, to - at)));
    if (!written) return written;
  }
  return {};
}

Result<void> HostDevice::punch(std::uint64_t offset, std::uint64_t length) {
  if (auto may = allowed(HostAccess::write); !may) return may;
  if (length == 0) return {};
  const int wrong = fallocate_fully(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
  // Making a hole can need space for the file system's own lists: then there is none, no harm done.
  if (wrong == 0 || is_not_known(wrong) || is_full(wrong)) return {};
  return failed(wrong, fmt::format("giving back {} bytes at {} of", length, offset), name_);
}

Result<void> HostDevice::allocate(std::uint64_t offset, std::uint64_t length) {
  if (auto may = allowed(HostAccess::write); !may) return may;
  if (length == 0) return {};
  const int wrong = fallocate_fully(FALLOC_FL_KEEP_SIZE, offset, length);
  // Where it is not known punch() has made no holes either.
  if (wrong == 0 || is_not_known(wrong)) return {};
  return failed(wrong, fmt::format("reserving {} bytes at {} of", length, offset), name_);
}

void HostDevice::start_writing(std::uint64_t offset, std::uint64_t length) {
  if (!allowed(HostAccess::write)) return;
  (void)::sync_file_range(file_, to_off(offset), to_off(length), SYNC_FILE_RANGE_WRITE);
}

void HostDevice::will_be_written(std::uint64_t offset, std::uint64_t length) {
  // Small writes into what Linux keeps in large folios cost it a walk over each of their blocks.
  // Nothing depends on it, so that it may fail.
  if (!allowed(HostAccess::write)) return;
  (void)::posix_fadvise(file_, to_off(offset), to_off(length), POSIX_FADV_DONTNEED);
}

Result<std::uint64_t> HostDevice::size() {
  if (auto may = allowed(HostAccess::read); !may) return pass(may);
  struct stat status{};
  if (::fstat(file_, &status) != 0) return failed(errno, "asking for the size of", name_);
  return static_cast<std::uint64_t>(status.st_size);
}

Result<std::uint64_t> HostDevice::space_left() {
  const auto now = size();
  if (!now) return now;
  struct statvfs disk{};
  int wrong = 0;
  do {
    wrong = ::fstatvfs(file_, &disk) == 0 ? 0 : errno;
  } while (wrong == EINTR);
  if (wrong != 0) return failed(wrong, "asking for the space left for", name_);
  std::uint64_t left = 0;
  // Without any blocks: one that does not count them.
  if (disk.f_blocks == 0 || __builtin_mul_overflow(disk.f_bavail, disk.f_frsize, &left)) {
    left = largest_file;
  }
  const std::uint64_t limit = limit_of_files();
  return std::min(left, limit > *now ? limit - *now : std::uint64_t{0});
}

int HostDevice::fallocate_once(int mode, std::uint64_t offset, std::uint64_t length) {
  return ::fallocate(file_, mode, to_off(offset), to_off(length)) == 0 ? 0 : errno;
}

int HostDevice::fallocate_fully(int mode, std::uint64_t offset, std::uint64_t length) {
  int wrong = 0;
  do {
    wrong = fallocate_once(mode, offset, length);
  } while (wrong == EINTR);
  return wrong;
}

}  // namespace once::container
