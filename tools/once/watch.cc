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

// A file that somebody has open tells of its removal as of a change of attributes.
constexpr std::uint32_t changes = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM |
                                  IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF;

ErrorCode code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::store_missing;
    case EACCES:
      return ErrorCode::permission;
    default:
      return ErrorCode::io;
  }
}

}  // namespace

Result<Watch> Watch::open(const std::string& store) {
  const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (descriptor < 0) {
    return fail(ErrorCode::io,
                "cannot watch '{}': {}; the limit is fs.inotify.max_user_instances of sysctl",
                store, std::strerror(errno));
  }
  Watch watch(store, descriptor);
  if (auto added = watch.add(store); !added) return pass(added);
  return watch;
}

Watch::Watch(Watch&& other) noexcept
    : store_(std::move(other.store_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

Watch::~Watch() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> Watch::add(const std::string& path) {
  if (::inotify_add_watch(descriptor_, path.c_str(), changes) >= 0) return {};
  const int error = errno;
  if (error == ENOSPC) {
    return fail(ErrorCode::io,
                "cannot watch '{}': the limit of watches is reached; raise "
                "fs.inotify.max_user_watches with sysctl",
                path);
  }
  const ErrorCode code = code_of(error);
  if (code == ErrorCode::store_missing) {
    return fail(code, "there is no store at {}; check the path", path);
  }
  return fail(code, "cannot watch '{}': {}", path, std::strerror(error));
}

Result<void> Watch::look_again() {
  // The store itself too: another may have been put in its place. Watching it again changes
  // nothing.
  if (auto added = add(store_); !added) return added;
  std::error_code error;  // if it is a file, too
  for (std::filesystem::directory_iterator entry(store_, error), end; !error && entry != end;
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
