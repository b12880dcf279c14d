#include "watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace once::tool {
namespace {

constexpr std::uint32_t changes = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                  IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

ErrorCode code_of(int error) {
  switch (error) {
    case ENOENT:
      return ErrorCode::store_missing;
    case ENOTDIR:
      return ErrorCode::not_a_store;
    case EACCES:
      return ErrorCode::permission;
    default:
      return ErrorCode::io;
  }
}

}  // namespace

Result<Watch> Watch::open(const std::string& directory) {
  const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (descriptor < 0) {
    return fail(ErrorCode::io,
                "cannot watch '{}': {}; the limit is fs.inotify.max_user_instances of sysctl",
                directory, std::strerror(errno));
  }
  Watch watch(directory, descriptor);
  if (auto added = watch.add(directory); !added) return pass(added);
  return watch;
}

Watch::Watch(Watch&& other) noexcept
    : directory_(std::move(other.directory_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

Watch::~Watch() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> Watch::add(const std::string& directory) {
  if (::inotify_add_watch(descriptor_, directory.c_str(), changes) >= 0) return {};
  const int error = errno;
  if (error == ENOSPC) {
    return fail(ErrorCode::io,
                "cannot watch '{}': the limit of watches is reached; raise "
                "fs.inotify.max_user_watches with sysctl",
                directory);
  }
  return fail(code_of(error), "cannot watch '{}': {}", directory, std::strerror(error));
}

Result<void> Watch::look_again() {
  // The directory itself too: another may have been put in its place. Watching it again changes
  // nothing.
  if (auto added = add(directory_); !added) return added;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;
    if (!entry->is_directory(gone) || gone) continue;
    // One that was removed in the meantime needs no watch.
    if (auto added = add(entry->path().string()); !added) {
      if (added.error().code != ErrorCode::store_missing) return added;
    }
  }
  return {};
}

Result<bool> Watch::take() {
  std::array<char, 16384> events;
  bool any = false;
  for (;;) {
    const ssize_t got = ::read(descriptor_, events.data(), events.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return any;
    if (got < 0) return fail(ErrorCode::io, "cannot read what changed: {}", std::strerror(errno));
    any = true;
  }
}

}  // namespace once::tool
