// Opening a host file. Each turn looks at what is there now; when that has changed by the time the
// lock is held, another turn follows.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "container/host_device.h"
#include "container/host_file.h"
#include "container/host_holder.h"
#include "container/host_locks.h"
#include "container/host_place.h"
#include "container/layout.h"
#include "container/superblock.h"

namespace once::container {
namespace {

constexpr Duration longest_wait = std::chrono::hours(24 * 365);

// Never waits, follows no terminal, and is not inherited by what this process starts.
constexpr int always = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

std::unexpected<Error> nothing_there(const std::string& path) {
  return fail(ErrorCode::store_missing, "there is no store at {}; check the path", path);
}

std::unexpected<Error> nothing_in_it(const std::string& path) {
  return fail(ErrorCode::store_missing, "there is no store in the empty file {} yet", path);
}

std::unexpected<Error> something_else(const std::string& path, std::string_view what) {
  return fail(ErrorCode::not_a_store,
              "{} is no Once store ({}); nothing was changed; give the path of a store, or one "
              "that does not exist yet",
              path, what);
}

Result<void> check_kind(const struct stat& status, const std::string& path) {
  if (S_ISREG(status.st_mode)) return {};
  std::string_view what = "it is a device";
  if (S_ISDIR(status.st_mode)) what = "it is a directory";
  if (S_ISFIFO(status.st_mode)) what = "it is a pipe";
  if (S_ISSOCK(status.st_mode)) what = "it is a socket";
  if (S_ISLNK(status.st_mode)) what = "it is a symbolic link";
  return something_else(path, what);
}

Result<struct stat> status_of(int file, const std::string& path) {
  struct stat status{};
  if (::fstat(file, &status) != 0) {
    return std::unexpected(system_error(errno, "asking for the size of", path));
  }
  return status;
}

Result<void> check_path(const std::string& path) {
  if (!path.empty() && path.find('\0') == std::string::npos) return {};
  return fail(ErrorCode::invalid_argument, "the path of a store is {}; give one that names a file",
              path.empty() ? "empty" : "cut by a zero byte");
}

std::string holder_of(int file) {
  char bytes[holder_text_bytes];
  const ssize_t got = ::pread(file, bytes, sizeof bytes, static_cast<off_t>(holder_offset));
  return decode_holder_text({bytes, got > 0 ? static_cast<std::size_t>(got) : 0});
}

Result<void> empty_it(int file, const std::string& name) {
  const auto contents = contents_of(file, name);
  if (!contents) return std::unexpected(contents.error());
  if (*contents == Contents::something_else) {
    return fail(ErrorCode::not_a_store,
                "{} holds something that is no Once store, where a store is to be made; nothing "
                "was changed; move it away",
                name);
  }
  int failed = 0;
  do {
    failed = ::ftruncate(file, 0) == 0 ? 0 : errno;
  } while (failed == EINTR);
  if (failed != 0) return std::unexpected(system_error(failed, "emptying", name));
  return {};
}

// Somebody may have a store of that name. One that is only being made is not marked as created: it
// gets its final name before.
Result<void> check_is_rest(int file, const std::string& beside, const std::string& wanted) {
  HostDevice device(file, beside, HostAccess::read);
  auto found = read_superblocks(device);
  if (!found && found.error().code == ErrorCode::newer_format) return pass(found);
  if (!found || !found->newest.created) return {};
  return fail(ErrorCode::invalid_argument,
              "{} is a store, and stands where {} is to be made before it gets its name; nothing "
              "was changed; move it away, or take another name",
              beside, wanted);
}

// Makes `file` as accessible as the one it replaces: who made that said who may read it.
Result<void> give_as(int replaced, int file, const std::string& name) {
  const auto status = status_of(replaced, name);
  if (!status) return std::unexpected(status.error());
  // Only root may give files away.
  if (::fchown(file, status->st_uid, status->st_gid) != 0 && errno != EPERM) {
    return std::unexpected(system_error(errno, "changing the owner of", name));
  }
  if (::fchmod(file, status->st_mode & 0777) != 0) {
    return std::unexpected(system_error(errno, "changing the mode of", name));
  }
  return {};
}

}  // namespace

class HostFile::Opener {
 public:
  Opener(const std::string& path, const HostFileOptions& options, const Clock& clock)
      : path_(path), options_(options), clock_(clock) {}

  Result<std::unique_ptr<HostFile>> open();

 private:
  // Null, or nullopt: what was found has changed meanwhile; start over.
  using Turn = Result<std::unique_ptr<HostFile>>;
  using Hold = Result<std::optional<Held>>;

  Turn open_what_is_there();
  Turn make_beside(std::optional<Held> blank);
  [[nodiscard]] Result<void> check_place(const std::string& there) const;
  // What open(2) gave, claimed, locked and still in its place under `name`.
  Hold hold(int opened, const std::string& name);
  Result<void> lock(int file, const std::string& name);
  Duration left();
  void remove_second_name(int file) const;
  [[nodiscard]] bool is_still_wanted(const std::optional<Held>& blank) const;

  const std::string& path_;
  const HostFileOptions& options_;
  const Clock& clock_;
  std::string name_{};  // where path_ leads to at this turn
  std::optional<Duration> deadline_{};
};

Result<std::unique_ptr<HostFile>> HostFile::Opener::open() {
  // Each turn but the last one needs somebody else to have had the lock and let go of it. So many
  // of them mean that the file system does not tell the same of a file twice.
  constexpr int most_turns = 10'000;
  for (int turns = 0; turns < most_turns; ++turns) {
    auto name = follow_links(path_);
    if (!name) return pass(name);
    name_ = std::move(*name);
    auto opened = open_what_is_there();
    if (!opened || *opened) return opened;
  }
  return fail(ErrorCode::io,
              "{} changes under its name all the time; keep the store on a local disk, where "
              "nothing else moves it",
              path_);
}

HostFile::Opener::Turn HostFile::Opener::open_what_is_there() {
  // Before it is opened: opening a device may already do something.
  struct stat there{};
  if (::stat(name_.c_str(), &there) != 0) {
    if (errno == ENOENT) return make_beside(std::nullopt);
    return std::unexpected(system_error(errno, "opening", path_));
  }
  if (auto checked = check_kind(there, path_); !checked) return pass(checked);
  if (auto checked = check_place(name_); !checked) return pass(checked);
  const int opened = ::open(name_.c_str(), O_RDWR | always);
  if (opened < 0 && errno == ENOENT) return nullptr;
  auto held = hold(opened, name_);
  if (!held) return pass(held);
  if (!*held) return nullptr;
  const auto status = status_of((*held)->file.get(), name_);
  if (!status) return std::unexpected(status.error());
  if (status->st_size == 0 && !options_.discard) {
    if (!options_.create) return nothing_in_it(path_);
    return make_beside(std::move(*held));
  }
  if (options_.discard) {
    if (auto emptied = empty_it((*held)->file.get(), name_); !emptied) return pass(emptied);
  }
  if (status->st_nlink > 1) remove_second_name((*held)->file.get());

  std::unique_ptr<HostFile> file(new HostFile(std::move((*held)->file), path_, HostAccess::write));
  file->claim_ = std::move((*held)->claim);
  file->name_ = name_;
  file->empty_ = options_.discard;
  // Only for people, so that it may fail; and never into what is somebody else's.
  const auto contents = contents_of(file->file_.get(), name_);
  if (contents && *contents == Contents::container) (void)file->announce();
  return file;
}

HostFile::Opener::Turn HostFile::Opener::make_beside(std::optional<Held> blank) {
  if (!options_.create) return nothing_there(path_);
  if (auto checked = check_place(directory_of(name_)); !checked) return pass(checked);
  const std::string beside = name_ + ".new";
  struct stat status{};
  if (::lstat(beside.c_str(), &status) == 0) {
    if (auto checked = check_kind(status, beside); !checked) return pass(checked);
  }
  auto held = hold(::open(beside.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | always, 0666), beside);
  if (!held) return pass(held);
  if (!*held) return nullptr;
  const int file = (*held)->file.get();
  const auto found = status_of(file, beside);
  if (!found) return std::unexpected(found.error());
  if (!is_still_wanted(blank)) {
    if (found->st_size == 0) (void)::unlink(beside.c_str());
    return nullptr;
  }
  if (found->st_nlink > 1) {
    // It was given its final name, and moved away from there, before this name of it went: what is
    // in it is somebody's store.
    (void)::unlink(beside.c_str());
    return nullptr;
  }
  if (auto rest = check_is_rest(file, beside, path_); !rest) return pass(rest);
  if (auto emptied = empty_it(file, beside); !emptied) return pass(emptied);
  if (blank) {
    if (auto given = give_as(blank->file.get(), file, beside); !given) return pass(given);
  }

  std::unique_ptr<HostFile> made(new HostFile(std::move((*held)->file), path_, HostAccess::write));
  made->claim_ = std::move((*held)->claim);
  made->name_ = name_;
  made->beside_ = beside;
  made->blank_ = std::move(blank);
  made->empty_ = true;
  return made;
}

Result<void> HostFile::Opener::check_place(const std::string& there) const {
  if (options_.allow_network_file_system) return {};
  return check_file_system(there, path_);
}

// Whether the place is as it was: with the blank file that is to be replaced, or with nothing.
bool HostFile::Opener::is_still_wanted(const std::optional<Held>& blank) const {
  struct stat status{};
  if (!blank) return ::lstat(name_.c_str(), &status) != 0 && errno == ENOENT;
  return is_in_place(blank->file.get(), name_) && ::stat(name_.c_str(), &status) == 0 &&
         status.st_size == 0;
}

// What a creation that was cut off between giving the final name and taking the other one left.
void HostFile::Opener::remove_second_name(int file) const {
  const std::string beside = name_ + ".new";
  struct stat status{};
  if (::lstat(beside.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (is_in_place(file, beside)) (void)::unlink(beside.c_str());
}

HostFile::Opener::Hold HostFile::Opener::hold(int opened, const std::string& name) {
  if (opened < 0) return std::unexpected(system_error(errno, "opening", name));
  HeldFile file(opened);
  const auto status = status_of(file.get(), name);
  if (!status) return std::unexpected(status.error());
  if (auto checked = check_kind(*status, name); !checked) return pass(checked);
  auto claim = WriterClaim::take(status->st_dev, status->st_ino);
  if (!claim) {
    return fail(ErrorCode::store_locked,
                "{} is open for writing in this process already, {}; use the store that is open, "
                "or close it first",
                path_, describe_this_process());
  }
  Held held{.claim = std::move(*claim), .file = std::move(file)};
  if (auto locked = lock(held.file.get(), name); !locked) return pass(locked);
  if (!is_in_place(held.file.get(), name)) return std::nullopt;
  return held;
}

Result<void> HostFile::Opener::lock(int file, const std::string& name) {
  auto locked = try_lock(file, writer_bytes, path_);
  if (locked && !*locked) locked = wait_for_lock(file, writer_bytes, name, left(), clock_);
  if (!locked) return pass(locked);
  if (*locked) return {};
  return fail(ErrorCode::store_locked,
              "{} is in use by {}; wait for it to finish, or give it more time "
              "(Options::open_timeout_ms, now {} ms)",
              path_, holder_of(file), options_.timeout.count());
}

// What is left of the time, over all turns.
Duration HostFile::Opener::left() {
  const Duration now = clock_.since_boot();
  if (!deadline_) deadline_ = now + std::clamp(options_.timeout, Duration(0), longest_wait);
  return *deadline_ - now;
}

Result<std::unique_ptr<HostFile>> HostFile::open_for_writing(const std::string& path,
                                                             const HostFileOptions& options,
                                                             const Clock& clock) {
  if (auto checked = check_path(path); !checked) return pass(checked);
  return Opener(path, options, clock).open();
}

Result<std::unique_ptr<HostFile>> HostFile::open_for_reading(const std::string& path,
                                                             const HostFileOptions& options) {
  if (auto checked = check_path(path); !checked) return pass(checked);
  struct stat there{};
  const bool found = ::stat(path.c_str(), &there) == 0;
  if (found) {
    if (auto checked = check_kind(there, path); !checked) return pass(checked);
    if (!options.allow_network_file_system) {
      if (auto checked = check_file_system(path, path); !checked) return pass(checked);
    }
  }
  const int number = found ? ::open(path.c_str(), O_RDONLY | always) : -1;
  if (number < 0 && errno == ENOENT) return nothing_there(path);
  if (number < 0) return std::unexpected(system_error(errno, "opening", path));
  HeldFile file(number);
  const auto status = status_of(file.get(), path);
  if (!status) return std::unexpected(status.error());
  if (auto checked = check_kind(*status, path); !checked) return pass(checked);
  if (status->st_size == 0) return nothing_in_it(path);
  std::unique_ptr<HostFile> opened(new HostFile(std::move(file), path, HostAccess::read));
  if (auto pinned = opened->repin(); !pinned) return pass(pinned);
  return opened;
}

Result<std::optional<std::string>> HostFile::writer() {
  if (auto may = device_.allowed(HostAccess::read); !may) return pass(may);
  auto locked = is_locked(file_.get(), writer_bytes, path_);
  if (!locked) return pass(locked);
  if (!*locked) return std::nullopt;
  return holder_of(file_.get());
}

}  // namespace once::container
