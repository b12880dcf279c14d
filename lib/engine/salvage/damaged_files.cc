#include "engine/salvage/damaged_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/file_name.h"
#include "base/files.h"
#include "container/container.h"
#include "container/host_file.h"
#include "engine/embedded/store_directory.h"

namespace once::engine {
namespace {

using container::Container;
using container::HostFile;

std::unexpected<Error> in_use(const std::string& path, const std::string& by) {
  return fail(ErrorCode::store_locked,
              "{} is in use by {}, whose changes would be missing; end that first. Nothing was "
              "changed",
              path, by);
}

std::unexpected<Error> was_in_use(const std::string& path) {
  return fail(ErrorCode::store_locked,
              "{} was opened for writing by somebody while it was read; end that first, and begin "
              "again",
              path);
}

class FilesInContainer final : public DamagedFiles {
 public:
  FilesInContainer(std::string path, std::shared_ptr<HostFile> host)
      : path_(std::move(path)), host_(std::move(host)) {}

  Result<void> open(std::shared_ptr<container::Device> device) {
    if (auto idle = check_idle(); !idle) return idle;
    if (host_) device = {host_, &host_->device()};
    auto opened = Container::open(std::move(device), std::make_shared<container::NoPins>(),
                                  {.read_only = true, .salvage = true});
    if (!opened && opened.error().code == ErrorCode::damaged) {
      return fail(ErrorCode::damaged,
                  "{}. Without it nobody knows where in {} the files of the store are, so that "
                  "nothing can be saved from it; restore a backup",
                  why(opened.error().message), path_);
    }
    if (!opened) return pass(opened);
    container_ = std::move(*opened);
    const std::vector<std::string> no_names;
    for (const std::string& name : container_->children(directory).value_or(no_names)) {
      if (container_->what_is(path_of(name)) != Container::What::file) continue;
      auto file = container_->open_file(path_of(name));
      if (!file) return pass(file);
      if (*file) names_[name] = container_->size(**file);
    }
    const std::string there(container::nameless_directory);
    for (const std::string& name : container_->children(there).value_or(no_names)) {
      const std::string path = fmt::format("{}/{}", there, name);
      auto file = container_->open_file(path);
      if (!file || !*file) continue;
      nameless_[name] = container_->size(**file);
      paths_[name] = path;
    }
    return {};
  }

  const std::map<std::string, std::uint64_t>& names() const override { return names_; }
  bool knows_sizes() const override { return true; }
  std::vector<std::string> mended() const override {
    std::vector<std::string> mended = container_->journal_mended();
    if (container_->superblocks_lost()) {
      mended.insert(mended.begin(),
                    "both superblocks are lost; the journal was found by the labels of its slots");
    }
    return mended;
  }
  std::vector<std::string> lost() const override { return container_->journal_losses(); }
  std::map<std::string, std::uint64_t> nameless() const override { return nameless_; }
  void give_name(const std::string& nameless, const std::string& name) override {
    const auto at = nameless_.extract(nameless);
    if (at.empty()) return;
    names_[name] = at.mapped();
    paths_[name] = paths_[nameless];
  }
  std::vector<std::string> removed_unknown() const override {
    std::vector<std::string> names;
    for (const std::string& path : container_->removed_unknown()) {
      names.emplace_back(file_name_of(path));
    }
    return names;
  }
  Result<Bytes> read(const std::string& name, std::uint64_t offset, std::uint64_t length) override {
    auto file = container_->open_file(path_of(name));
    if (!file) return pass(file);
    if (!*file) return fail(ErrorCode::not_found, "there is no file {}", name);
    const std::uint64_t size = container_->size(**file);
    Bytes bytes(offset < size ? std::min(length, size - offset) : 0, '\0');
    auto got = container_->read(**file, offset, bytes.size(), bytes.data());
    if (!got) return pass(got);
    bytes.resize(*got);
    return bytes;
  }
  Result<Log> read_log(const std::string& name) override {
    auto damaged = container_->read_damaged_log(path_of(name));
    if (!damaged) return pass(damaged);
    return log_of(std::move(*damaged));
  }
  Result<std::vector<Log>> read_nameless_logs() override {
    auto strays = container_->read_stray_logs();
    if (!strays) return pass(strays);
    std::vector<Log> logs;
    for (auto& stray : *strays) logs.push_back(log_of(std::move(stray)));
    return logs;
  }
  Result<void> check_unchanged() override {
    if (auto idle = check_idle(); !idle) return idle;
    const auto same = container_->unchanged();
    if (!same) return std::unexpected(same.error());
    return *same ? Result<void>() : was_in_use(path_);
  }

 private:
  std::string path_of(const std::string& name) const {
    const auto at = paths_.find(name);
    return at != paths_.end() ? at->second : std::string(directory) + "/" + name;
  }
  static Log log_of(Container::DamagedLog damaged) {
    Log log{.bytes = std::move(damaged.bytes),
            .problem = std::move(damaged.problem),
            .newest = damaged.newest};
    for (const auto& gap : damaged.missing) {
      log.missing.push_back({.offset = gap.offset, .length = gap.length});
    }
    return log;
  }
  // The first sentence: what follows tells of salvaging.
  static std::string why(const std::string& message) {
    return message.substr(0, message.find(". Nothing"));
  }
  Result<void> check_idle() {
    if (!host_) return {};
    auto writer = host_->writer();
    if (!writer) return pass(writer);
    if (*writer) return in_use(path_, **writer);
    return {};
  }

  static constexpr const char* directory = "/once";
  const std::string path_;
  const std::shared_ptr<HostFile> host_;
  std::unique_ptr<Container> container_;
  std::map<std::string, std::uint64_t> names_;
  std::map<std::string, std::uint64_t> nameless_;
  std::map<std::string, std::string> paths_;  // of those that are, or were, nameless
};

class FilesInDirectory final : public DamagedFiles {
 public:
  explicit FilesInDirectory(std::string path) : path_(std::move(path)) {}

  Result<void> open() {
    auto names = list();
    if (!names) return pass(names);
    names_ = std::move(*names);
    const bool ours = std::ranges::any_of(names_, [](const auto& file) {
      return is_manifest_name(file.first) || is_table_name(file.first) || is_log_name(file.first);
    });
    const bool marked = names_.contains("ONCE") || names_.contains("ONCE.lock");
    if (!ours || !marked) {
      return fail(ErrorCode::not_a_store,
                  "{} is no Once store (the directory holds nothing of one); nothing was changed",
                  path_);
    }
    if (auto known = StoreDirectory::check_not_newer(path_); !known) return known;
    if (auto idle = check_idle(); !idle) return idle;
    read_inventory();
    return {};
  }

  const std::map<std::string, std::uint64_t>& names() const override { return names_; }
  bool knows_sizes() const override { return false; }
  std::vector<std::string> missing_logs() const override { return missing_logs_; }
  Result<Bytes> read(const std::string& name, std::uint64_t offset, std::uint64_t length) override {
    const std::string path = path_ + "/" + name;
    const HeldFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return std::unexpected(system_error(errno, "opening", path));
    Bytes bytes(length, '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(file.get(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return std::unexpected(system_error(errno, "reading", path));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }
  Result<Log> read_log(const std::string& name) override {
    const auto known = names_.find(name);
    if (known == names_.end()) return fail(ErrorCode::not_found, "there is no log {}", name);
    auto bytes = read(name, 0, known->second);
    if (!bytes) return pass(bytes);
    Log log{.bytes = std::move(*bytes)};
    const auto closed = closed_sizes_.find(name);
    if (closed != closed_sizes_.end() && closed->second > log.bytes.size()) {
      log.problem = fmt::format("the log has {} bytes, and {} when the store was closed",
                                log.bytes.size(), closed->second);
      log.missing.push_back(
          {.offset = log.bytes.size(), .length = closed->second - log.bytes.size()});
    }
    return log;
  }
  Result<void> check_unchanged() override {
    if (auto idle = check_idle(); !idle) return idle;
    auto names = list();
    if (!names) return pass(names);
    // Who opens it to write makes a log and a manifest, at least.
    return *names == names_ ? Result<void>() : was_in_use(path_);
  }

 private:
  Result<std::map<std::string, std::uint64_t>> list() const {
    std::map<std::string, std::uint64_t> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end;
         at.increment(error)) {
      std::error_code gone;
      const auto size = at->file_size(gone);
      if (!gone) names[at->path().filename().string()] = size;
    }
    if (error) return std::unexpected(system_error(error.value(), "listing", path_));
    return names;
  }
  Result<void> check_idle() const {
    const std::string name = path_ + "/ONCE.lock";
    const HeldFile file(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return {};
    auto locked = is_locked(file.get(), {}, name);
    if (!locked) return pass(locked);
    return *locked ? in_use(path_, "another program") : Result<void>();
  }
  // What ONCE.files tells (inventory.h), line by line; what cannot be read of it tells nothing.
  void read_inventory() {
    const auto text = read("ONCE.files", 0, std::uint64_t{1} << 24);
    if (!text) return;
    std::set<std::string> logs;
    ByteView left(*text);
    for (std::size_t end = 0; (end = left.find('\n')) != ByteView::npos;
         left.remove_prefix(end + 1)) {
      const ByteView line = left.substr(0, end);
      if (line.size() < 2) continue;
      const std::string name(line.substr(1, line.find(' ') - 1));
      if (!is_log_name(name)) continue;
      if (line[0] == '+') logs.insert(name);
      if (line[0] == '-') logs.erase(name);
      if (line[0] == '=' && name.size() + 2 < line.size()) {
        std::uint64_t size = 0;
        const ByteView number = line.substr(name.size() + 2);
        const auto parsed = std::from_chars(number.data(), number.data() + number.size(), size);
        if (parsed.ec == std::errc()) closed_sizes_[name] = size;
      }
    }
    for (const std::string& name : logs) {
      if (!names_.contains(name)) missing_logs_.push_back(name);
    }
  }

  const std::string path_;
  std::map<std::string, std::uint64_t> names_;
  std::map<std::string, std::uint64_t> closed_sizes_;
  std::vector<std::string> missing_logs_;
};

bool is_numbered(std::string_view number) {
  return !number.empty() && number.size() <= 19 &&
         std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<std::unique_ptr<DamagedFiles>> DamagedFiles::open(const std::string& path,
                                                         const Options& options) {
  struct stat status{};
  const bool there = !options.device && ::stat(path.c_str(), &status) == 0;
  if (there && S_ISDIR(status.st_mode)) {
    auto files = std::make_unique<FilesInDirectory>(path);
    if (auto opened = files->open(); !opened) return pass(opened);
    return files;
  }
  std::shared_ptr<HostFile> host;
  if (!options.device) {
    auto opened = HostFile::open_for_reading(
        path, {.allow_network_file_system = options.allow_network_file_system});
    if (!opened) return pass(opened);
    host = std::move(*opened);
  }
  auto files = std::make_unique<FilesInContainer>(path, std::move(host));
  if (auto opened = files->open(options.device); !opened) return pass(opened);
  return files;
}

bool is_log_name(std::string_view name) {
  return name.ends_with(".log") && is_numbered(name.substr(0, name.size() - 4));
}

bool is_manifest_name(std::string_view name) {
  constexpr std::string_view prefix = "MANIFEST-";
  return name.starts_with(prefix) && is_numbered(name.substr(prefix.size()));
}

bool is_table_name(std::string_view name) {
  return name.ends_with(".sst") && is_numbered(name.substr(0, name.size() - 4));
}

}  // namespace once::engine
