#include "engine/embedded/store_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/files.h"
#include "base/process.h"
#include "once/version.h"

namespace once::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* marker = "ONCE";
constexpr const char* new_marker = "ONCE.new";
constexpr const char* lock_name = "ONCE.lock";
constexpr std::string_view magic = "once store\nformat ";

std::string join(const std::string& path, std::string_view name) {
  return fmt::format("{}/{}", path, name);
}

bool is_rocksdb_file(const std::string& name) {
  for (const char* prefix : {"CURRENT", "MANIFEST-", "OPTIONS-", "IDENTITY", "LOCK", "LOG"}) {
    if (name.starts_with(prefix)) return true;
  }
  for (const char* suffix : {".log", ".sst", ".dbtmp"}) {
    if (name.ends_with(suffix)) return true;
  }
  return name == new_marker || name == "ONCE.files" || name == "ONCE.files.new";
}

// Whether a store stands there that has lost its marker: while one is made, ONCE.new is there.
bool lacks_marker(const std::vector<std::string>& names) {
  return std::ranges::count(names, new_marker) == 0 && std::ranges::any_of(names, is_rocksdb_file);
}

std::unexpected<Error> marker_is_missing(const std::string& path) {
  return fail(ErrorCode::damaged,
              "{} is missing, and the files of a store are there; nothing was changed; restore it "
              "from a backup (its text is \"once store\", a new line, \"format {}\")",
              join(path, marker), store_format);
}

// What stands in the marker: a format version, or nullopt if the file is not there.
Result<std::optional<std::uint32_t>> read_marker(const std::string& path) {
  const std::string name = join(path, marker);
  const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return std::nullopt;
    return std::unexpected(system_error(errno, "opening", name));
  }
  char buffer[64];
  const ssize_t got = ::read(file, buffer, sizeof buffer);
  const int number = errno;
  ::close(file);
  if (got < 0) return std::unexpected(system_error(number, "reading", name));
  const std::string_view text(buffer, static_cast<std::size_t>(got));
  std::uint32_t format = 0;
  const char* digits = text.data() + magic.size();
  if (!text.starts_with(magic) ||
      std::from_chars(digits, text.data() + text.size(), format).ptr == digits) {
    return fail(ErrorCode::damaged,
                "{} does not say what format the store has; restore the file from a backup (its "
                "text is \"once store\", a new line, \"format {}\")",
                name, store_format);
  }
  return format;
}

Result<void> check_format(const std::string& path, std::uint32_t format) {
  if (format <= store_format) return {};
  return fail(ErrorCode::newer_format,
              "{} has format {}, and this version of Once ({}) knows formats up to {}; nothing was "
              "changed; use a newer version",
              path, format, version, store_format);
}

// The names in the directory.
Result<std::vector<std::string>> list(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  if (error) return std::unexpected(system_error(error.value(), "listing", path));
  return names;
}

Error something_else(const std::string& path, const std::string& what) {
  return {
      .code = ErrorCode::not_a_store,
      .message = fmt::format("{} is no Once store ({}); nothing was changed; give the path of a "
                             "store, or one that does not exist yet",
                             path, what)};
}

std::string read_holder(int file) {
  char buffer[128];
  const ssize_t got = ::pread(file, buffer, sizeof buffer, 0);
  std::string text(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.pop_back();
  return text.empty() ? "another process" : text;
}

Result<void> make_directory(const std::string& path, const Options& options) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode)) {
      return std::unexpected(something_else(path, "it is not a directory"));
    }
    auto names = list(path);
    if (!names) return pass(names);
    const bool known = names->empty() || std::ranges::count(*names, marker) > 0 ||
                       std::ranges::count(*names, lock_name) > 0;
    if (!known) {
      return std::unexpected(something_else(path, "the directory holds something else"));
    }
    if (names->empty() && !options.create_if_missing) {
      return fail(ErrorCode::store_missing, "there is no store in the empty directory {}", path);
    }
    return {};
  }
  if (errno != ENOENT) return std::unexpected(system_error(errno, "opening", path));
  if (!options.create_if_missing) {
    return fail(ErrorCode::store_missing, "there is no store at {}; check the path", path);
  }
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    return std::unexpected(system_error(errno, "making the directory", path));
  }
  return {};
}

}  // namespace

std::size_t count_logs(const std::string& path) {
  const auto names = list(path);
  if (!names) return 0;
  return static_cast<std::size_t>(std::ranges::count_if(
      *names, [](const std::string& name) { return name.ends_with(".log"); }));
}

std::uint64_t bytes_in(const std::string& path) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;  // a file may be removed meanwhile
    const auto size = at->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

Result<StoreDirectory> StoreDirectory::open(const std::string& path, const Options& options,
                                            const Clock& clock, bool discard) {
  const std::string name = join(path, lock_name);
  if (auto made = make_directory(path, options); !made) return pass(made);
  const int file = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) return std::unexpected(system_error(errno, "opening", name));
  close_in_forked_child(file);
  StoreDirectory directory(path, file);
  auto locked = wait_for_lock(file, {}, name, options.open_timeout_ms, clock);
  if (!locked) return pass(locked);
  if (!*locked) {
    return fail(ErrorCode::store_locked,
                "{} is in use by {}; wait for it to finish, or give it more time "
                "(Options::open_timeout_ms, now {} ms)",
                path, read_holder(file), options.open_timeout_ms.count());
  }
  // Every turn needs somebody else to have had the lock and let go of it, so this ends.
  if (!is_in_place(file, name)) return open(path, options, clock, discard);
  if (auto prepared = directory.prepare(options.create_if_missing, discard); !prepared)
    return pass(prepared);
  directory.write_holder();
  return directory;
}

Result<void> StoreDirectory::check(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) {
      return fail(ErrorCode::store_missing, "there is no store at {}; check the path", path);
    }
    return std::unexpected(system_error(errno, "opening", path));
  }
  if (!S_ISDIR(status.st_mode)) {
    return std::unexpected(something_else(path, "it is not a directory"));
  }
  auto format = read_marker(path);
  if (!format) return pass(format);
  if (!*format) {
    auto names = list(path);
    if (!names) return pass(names);
    const bool ours = names->empty() || std::ranges::count(*names, lock_name) > 0;
    if (ours && lacks_marker(*names)) return marker_is_missing(path);
    if (ours) {
      return fail(ErrorCode::store_missing, "there is no store in the directory {} yet", path);
    }
    return std::unexpected(something_else(path, "the directory holds something else"));
  }
  return check_format(path, **format);
}

Result<void> StoreDirectory::check_not_newer(const std::string& path) {
  const auto format = read_marker(path);
  return format && *format ? check_format(path, **format) : Result<void>();
}

Result<void> StoreDirectory::prepare(bool create, bool discard) {
  auto format = read_marker(path_);
  if (!format) return pass(format);
  fresh_ = discard || !*format;
  if (!fresh_) {
    if (auto checked = check_format(path_, **format); !checked) return checked;
    // Left by a creation that was cut off after its last step. It must not outlive the marker.
    if (::unlink(join(path_, new_marker).c_str()) == 0 || errno == ENOENT) return {};
    return std::unexpected(system_error(errno, "removing", join(path_, new_marker)));
  }
  auto names = list(path_);
  if (!names) return pass(names);
  if (!discard && lacks_marker(*names)) return marker_is_missing(path_);
  if (!create) {
    return fail(ErrorCode::store_missing, "there is no store in the directory {} yet", path_);
  }
  for (const std::string& name : *names) {
    const bool ours = name == lock_name || name == marker || is_rocksdb_file(name);
    if (!ours) return std::unexpected(something_else(path_, "it holds " + name));
  }
  if (auto begun = begin_creation(); !begun) return begun;
  // The marker goes first: without it, whatever else is left counts for nothing.
  if (::unlink(join(path_, marker).c_str()) != 0 && errno != ENOENT) {
    return std::unexpected(system_error(errno, "removing", join(path_, marker)));
  }
  for (const std::string& name : *names) {
    if (name == lock_name || name == marker || name == new_marker) continue;
    if (::unlink(join(path_, name).c_str()) != 0 && errno != ENOENT) {
      return std::unexpected(system_error(errno, "removing", join(path_, name)));
    }
  }
  return {};
}

Result<void> StoreDirectory::begin_creation() const {
  const std::string name = join(path_, new_marker);
  const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return std::unexpected(system_error(errno, "making", name));
  const std::string text = fmt::format("{}{}\n", magic, store_format);
  const ssize_t written = ::write(file, text.data(), text.size());
  int failed = written == static_cast<ssize_t>(text.size()) ? 0 : (written < 0 ? errno : ENOSPC);
  if (failed == 0 && ::fsync(file) != 0) failed = errno;
  ::close(file);
  if (failed != 0) return std::unexpected(system_error(failed, "writing", name));
  return sync_directory(path_);
}

Result<void> StoreDirectory::mark_created() {
  const std::string name = join(path_, marker);
  if (::rename(join(path_, new_marker).c_str(), name.c_str()) != 0) {
    return std::unexpected(system_error(errno, "making", name));
  }
  if (auto synced = sync_directory(path_); !synced) return pass(synced);
  // Here, and not where the directory was made: that may have been another process, killed since.
  if (auto synced = sync_parent(path_); !synced) return pass(synced);
  fresh_ = false;
  return {};
}

void StoreDirectory::write_holder() const {
  const std::string text = describe_this_process() + "\n";
  // Only for people; a failure here is no reason not to open.
  if (::ftruncate(lock_, 0) == 0) {
    [[maybe_unused]] const auto written = ::pwrite(lock_, text.data(), text.size(), 0);
  }
}

StoreDirectory::StoreDirectory(StoreDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), fresh_(other.fresh_) {}

void StoreDirectory::unlock() {
  if (lock_ < 0) return;
  forget_in_forked_child(lock_);
  // By itself, since a child forked at a bad moment may have the file open, too.
  once::unlock(lock_, {});
  ::close(std::exchange(lock_, -1));
}

StoreDirectory::~StoreDirectory() {
  unlock();
}

}  // namespace once::engine
