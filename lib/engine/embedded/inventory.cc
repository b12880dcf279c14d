#include "engine/embedded/inventory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "engine/embedded/store_directory.h"

namespace once::engine {
namespace {

constexpr const char* file_name = "ONCE.files";
constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
constexpr std::size_t most_bytes = std::size_t{64} << 10;  // from then on it is written anew

std::string line_of(const std::string& name, const Inventory::Seen& seen) {
  return fmt::format("={} {} {:016x}\n", name, seen.bytes, seen.digest);
}

// Reads all of a file, piece by piece.
Result<void> read_through(const std::string& path,
                          const std::function<void(std::string_view)>& visit) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::unexpected(system_error(errno, "opening", path));
  std::vector<char> buffer(chunk_bytes);
  ssize_t got = 0;
  while ((got = ::read(file, buffer.data(), buffer.size())) > 0) {
    visit({buffer.data(), static_cast<std::size_t>(got)});
  }
  const int number = errno;
  ::close(file);
  if (got < 0) return std::unexpected(system_error(number, "reading", path));
  return {};
}

Result<Inventory::Seen> look_at(const std::string& path) {
  Inventory::Seen seen;
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  auto read = read_through(path, [&](std::string_view piece) {
    seen.bytes += piece.size();
    XXH3_64bits_update(state, piece.data(), piece.size());
  });
  seen.digest = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  if (!read) return pass(read);
  return seen;
}

Result<void> write_all(int file, std::string_view bytes, bool sync, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return std::unexpected(system_error(errno, "writing", path));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (sync && ::fdatasync(file) != 0) {
    return std::unexpected(system_error(errno, "syncing", path));
  }
  return {};
}

Result<void> sync_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::unexpected(system_error(errno, "opening", path));
  const int failed = ::fdatasync(file) == 0 ? 0 : errno;
  ::close(file);
  if (failed != 0) return std::unexpected(system_error(failed, "syncing", path));
  return {};
}

}  // namespace

Inventory::~Inventory() {
  MutexLock lock(mutex_);
  if (file_ >= 0) ::close(file_);
}

std::string Inventory::path_of(const std::string& name) const {
  return fmt::format("{}/{}", directory_, name);
}

Result<void> Inventory::load() {
  MutexLock lock(mutex_);
  logs_.clear();
  seen_.clear();
  whole_ = true;
  std::string text;
  const std::string path = path_of(file_name);
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 && errno == ENOENT) {
    whole_ = false;
    return {};
  }
  if (auto read = read_through(path, [&](std::string_view piece) { text += piece; }); !read) {
    return read;
  }
  std::string_view left = text;
  for (std::size_t end = 0; (end = left.find('\n')) != std::string_view::npos;) {
    if (auto taken = take(left.substr(0, end)); !taken) return taken;
    left.remove_prefix(end + 1);
  }
  whole_ = whole_ && left.empty() && text.size() <= most_bytes;
  return {};
}

Result<void> Inventory::take(std::string_view line) {
  // Zeros: an append whose size reached the disk before a power cut, and part of whose bytes did
  // not.
  if (line.find('\0') != std::string_view::npos) {
    whole_ = false;
    return {};
  }
  const auto damaged = [&] {
    return fail(ErrorCode::damaged,
                "{} has a line that nobody wrote; restore a backup, or remove the file to open the "
                "store without it (a log that is missing is then not noticed)",
                path_of(file_name));
  };
  const char kind = line.empty() ? ' ' : line.front();
  const std::size_t name_end = std::min(line.find(' '), line.size());
  const std::string name(line.substr(std::min<std::size_t>(1, name_end), name_end - 1));
  if (name.size() < 5 || name.find('/') != std::string::npos) return damaged();
  if (kind == '+' || kind == '-') {
    if (name_end != line.size() || !name.ends_with(".log")) return damaged();
    if (kind == '+') logs_.insert(name);
    if (kind == '-') logs_.erase(name);
    return {};
  }
  if (kind != '=' || name_end == line.size()) return damaged();
  Seen seen;
  const char* end = line.data() + line.size();
  const auto bytes = std::from_chars(line.data() + name_end + 1, end, seen.bytes);
  if (bytes.ec != std::errc() || bytes.ptr == end || *bytes.ptr != ' ' || end - bytes.ptr != 17) {
    return damaged();
  }
  const auto digest = std::from_chars(bytes.ptr + 1, end, seen.digest, 16);
  if (digest.ec != std::errc() || digest.ptr != end) return damaged();
  seen_[name] = seen;
  return {};
}

Result<void> Inventory::check() const {
  MutexLock lock(mutex_);
  for (const std::string& name : logs_) {
    const std::string path = path_of(name);
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0 && errno == ENOENT) {
      return fail(ErrorCode::damaged, "the log {} is missing", path);
    }
    const auto known = seen_.find(name);
    if (known == seen_.end()) continue;
    auto now = look_at(path);
    if (!now) return pass(now);
    if (*now == known->second) continue;
    return fail(ErrorCode::damaged,
                "the log {} ({} bytes) is not what it was when the store was closed ({} bytes)",
                path, now->bytes, known->second.bytes);
  }
  return {};
}

Result<void> Inventory::start_writing() {
  MutexLock lock(mutex_);
  std::error_code error;
  std::set<std::string> logs;
  std::map<std::string, Seen> kept;
  for (std::filesystem::directory_iterator at(directory_, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".log")) {
      if (auto synced = sync_file(at->path().string()); !synced) return synced;
      logs.insert(name);
    }
    if (const auto known = seen_.find(name); known != seen_.end()) kept.insert(*known);
  }
  if (error) return std::unexpected(system_error(error.value(), "listing", directory_));
  const bool anew = !whole_ || logs != logs_;
  // Only noted: a table that is missing makes RocksDB refuse, and then nothing may have changed.
  stale_ = kept.size() != seen_.size();
  logs_ = std::move(logs);
  seen_ = std::move(kept);
  return anew ? write_anew() : open_file(path_of(file_name), O_APPEND);
}

Result<void> Inventory::write_anew() {
  const std::string path = path_of(file_name);
  const std::string fresh = path + ".new";
  std::string text;
  for (const std::string& name : logs_) text += "+" + name + "\n";
  for (const auto& [name, seen] : seen_) text += line_of(name, seen);
  if (auto opened = open_file(fresh, O_CREAT | O_TRUNC | O_APPEND); !opened) return opened;
  if (auto written = append(text, true); !written) return written;
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    return std::unexpected(system_error(errno, "making", path));
  }
  return sync_directory(directory_);
}

Result<void> Inventory::open_file(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
  if (file < 0) return std::unexpected(system_error(errno, "opening", path));
  if (file_ >= 0) ::close(file_);
  file_ = file;
  return {};
}

Result<void> Inventory::append(const std::string& line, bool sync) {
  if (file_ < 0) return {};
  struct stat before{};
  if (::fstat(file_, &before) != 0) {
    return std::unexpected(system_error(errno, "looking at", path_of(file_name)));
  }
  auto written = write_all(file_, line, sync, path_of(file_name));
  // Half a line must not stay: the next one would begin behind it. Where it cannot be cut off,
  // nothing more is appended, and the next opening writes the file anew.
  if (!written && ::ftruncate(file_, before.st_size) != 0) ::close(std::exchange(file_, -1));
  return written;
}

Result<void> Inventory::note_log(const std::string& name) {
  MutexLock lock(mutex_);
  if (file_ < 0) return {};
  // The log must not be listed and then turn out never to have come into being.
  if (auto synced = sync_directory(directory_); !synced) return synced;
  logs_.insert(name);
  // RocksDB has taken the store as it is: what is told of tables that are gone must not be held
  // against later ones of the same number.
  if (stale_) {
    stale_ = false;
    return write_anew();
  }
  if (auto noted = append("+" + name + "\n", true); !noted) {
    logs_.erase(name);
    return noted;
  }
  return {};
}

Result<void> Inventory::note_removal(const std::string& name) {
  MutexLock lock(mutex_);
  if (!logs_.contains(name)) return {};
  if (auto noted = append("-" + name + "\n", true); !noted) return noted;
  logs_.erase(name);
  return {};
}

void Inventory::note_table(const std::string& name, const Seen& tail) {
  MutexLock lock(mutex_);
  // Not synced, and no harm if it fails: a table without a note is opened without the check.
  seen_.erase(name);
  if (append(line_of(name, tail), false)) seen_[name] = tail;
}

void Inventory::forget_table(const std::string& name) {
  MutexLock lock(mutex_);
  seen_.erase(name);
  struct stat status{};
  if (file_ < 0 || ::fstat(file_, &status) != 0) return;
  // A store that is open for months makes and removes many tables.
  if (static_cast<std::size_t>(status.st_size) > most_bytes) (void)write_anew();
}

Result<void> Inventory::note_closed() {
  MutexLock lock(mutex_);
  if (file_ < 0) return {};
  for (const std::string& name : logs_) {
    if (seen_.contains(name)) continue;
    // What the digest tells must not be more durable than the bytes.
    if (auto synced = sync_file(path_of(name)); !synced) return synced;
    auto seen = look_at(path_of(name));
    if (!seen) return pass(seen);
    if (auto noted = append(line_of(name, *seen), false); !noted) return noted;
    seen_[name] = *seen;
  }
  return {};
}

std::optional<Inventory::Seen> Inventory::seen(const std::string& name) const {
  MutexLock lock(mutex_);
  const auto known = seen_.find(name);
  if (known == seen_.end()) return std::nullopt;
  return known->second;
}

}  // namespace once::engine
