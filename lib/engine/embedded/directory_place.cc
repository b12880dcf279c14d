// A store in a directory: RocksDB on the ordinary file system, with an inventory of its logs and
// tables (inventory.h), in a directory that one process has locked (store_directory.h).
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "container/host_place.h"
#include "engine/embedded/inventory.h"
#include "engine/embedded/inventory_file_system.h"
#include "engine/embedded/place.h"
#include "engine/embedded/read_only_file_system.h"
#include "engine/embedded/store_directory.h"
#include "engine/embedded/threads_env.h"

namespace once::engine {
namespace {

std::shared_ptr<rocksdb::FileSystem> base_of(const PlaceConfig& config) {
  auto base = config.file_system ? config.file_system : rocksdb::FileSystem::Default();
  if (!config.options.read_only) return base;
  return std::make_shared<ReadOnlyFileSystem>(base);
}

// What changes when the writer reorganises the files. Tables come and go as they like: the
// manifest, which grows with every change that counts, says which of them belong to the store.
struct Seen {
  std::set<std::string> logs{};
  std::map<std::string, std::uint64_t> manifests{};  // and their bytes
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen look_at(const std::string& path) {
  Seen seen;
  std::error_code error;
  for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::error_code gone;
    if (name.ends_with(".log")) seen.logs.insert(name);
    if (name.starts_with("MANIFEST")) seen.manifests[name] = at->file_size(gone);
  }
  return seen;
}

class DirectoryPlace final : public Place {
 public:
  DirectoryPlace(std::string path, const PlaceConfig& config)
      : path_(std::move(path)),
        options_(config.options),
        discard_(config.discard),
        inventory_(std::make_shared<Inventory>(path_)),
        env_(make_threads_env(
            rocksdb::NewCompositeEnv(make_inventory_file_system(base_of(config), inventory_)))) {}

  const std::string& name() const override { return path_; }
  rocksdb::Env* env() override { return env_.get(); }
  const std::string& database() const override { return path_; }

  Result<void> open_for_writing() override {
    if (!options_.allow_network_file_system) {
      const bool there = layout_at(path_).has_value();
      auto checked =
          container::check_file_system(there ? path_ : container::directory_of(path_), path_);
      // What is wrong with the path, opening tells better.
      if (!checked && checked.error().code == ErrorCode::unsupported) return checked;
    }
    const auto clock = options_.clock ? options_.clock : system_clock();
    auto directory = StoreDirectory::open(path_, options_, *clock, discard_);
    if (!directory) return pass(directory);
    directory_.emplace(std::move(*directory));
    if (auto checked = check_files(); !checked) return checked;
    return inventory_->start_writing();
  }
  bool fresh() const override { return directory_ && directory_->fresh(); }
  Result<void> mark_created() override { return directory_->mark_created(); }
  std::size_t logs() const override { return count_logs(path_); }
  Result<void> note_closed() override { return inventory_->note_closed(); }
  Result<void> move_to(const std::string& path) override {
    // Replaces an empty directory.
    if (::rename(path_.c_str(), path.c_str()) == 0) return sync_parent(path);
    if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) {
      return fail(ErrorCode::invalid_argument, "something has appeared at {} meanwhile", path);
    }
    return std::unexpected(system_error(errno, "putting the store in its place,", path));
  }
  void unlock() override { directory_.reset(); }

  Result<void> begin_reading() override {
    before_.reset();
    // Again at every turn: whoever makes the store may be in the middle of it.
    if (auto checked = StoreDirectory::check(path_); !checked) return checked;
    before_ = look_at(path_);
    return check_files();
  }
  bool saw_one_state(bool opened) override {
    if (!before_) return true;
    const Seen now = look_at(path_);
    // Once it has opened, only logs count: one may have gone before RocksDB read it and after it
    // had read the manifest, so that its rows are in a table that RocksDB does not know. All tables
    // are open by now, and none of those that came meanwhile is needed.
    return opened ? now.logs == before_->logs : now == *before_;
  }

  // A full disk is met when it is written to.
  Result<void> admit(std::size_t, bool, const Unflushed&) override { return {}; }
  Result<void> admit_flush(const Unflushed&) override { return {}; }
  bool knows_room() const override { return false; }

  std::uint64_t bytes() override { return bytes_in(path_); }
  FreeBytes free_bytes() override { return {}; }
  Result<void> give_back() override { return {}; }
  Result<void> compact(const Progress&) override { return {}; }
  std::shared_ptr<void> clean_up() override { return nullptr; }
  Result<CheckedBytes> check_bytes(const Progress&, const Problem&) override {
    return CheckedBytes{.bytes = bytes()};
  }
  std::string advice_on_damage() const override {
    return fmt::format(
        "Restore a backup, or save every row that can be read into a fresh store: once salvage {0} "
        "FRESH. After a power cut the last lines of a log can be torn although nothing that was "
        "acknowledged is missing; what stands before them is saved by: once dump {0} --damaged-log "
        "keep-prefix --format jsonl | once load FRESH",
        path_);
  }

 private:
  Result<void> check_files() {
    auto checked = inventory_->load();
    // Who asks for what stands before the damage gets it, whatever is missing.
    if (checked && options_.damaged_log == DamagedLog::refuse) checked = inventory_->check();
    if (!checked && checked.error().code == ErrorCode::damaged) {
      checked.error().message = fmt::format("{} is damaged: {}. Nothing was changed. {}", path_,
                                            checked.error().message, advice_on_damage());
    }
    return checked;
  }

  const std::string path_;
  const Options options_;
  const bool discard_;
  const std::shared_ptr<Inventory> inventory_;
  const std::unique_ptr<rocksdb::Env> env_;
  std::optional<StoreDirectory> directory_;  // when open for writing
  std::optional<Seen> before_;               // when reading, at the start of this turn
};

}  // namespace

std::unique_ptr<Place> make_directory_place(const std::string& path, const PlaceConfig& config) {
  return std::make_unique<DirectoryPlace>(path, config);
}

}  // namespace once::engine
