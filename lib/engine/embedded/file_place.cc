// A store in one file: RocksDB on a container (lib/container), in a host file that one process has
// locked to write.
#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "container/file_system.h"
#include "container/host_file.h"
#include "container/host_place.h"
#include "engine/embedded/place.h"
#include "engine/embedded/threads_env.h"

namespace once::engine {
namespace {

using container::Container;
using container::HostFile;

// What is read while the writer appends can look damaged for a moment; what is, stays so.
constexpr int looks_at_damage = 5;

class FilePlace final : public Place {
 public:
  FilePlace(std::string path, const PlaceConfig& config)
      : path_(std::move(path)),
        options_(config.options),
        discard_(config.discard),
        simulated_(config.device) {}
  ~FilePlace() override { unlock(); }

  const std::string& name() const override { return path_; }
  rocksdb::Env* env() override { return env_.get(); }
  const std::string& database() const override { return database_; }

  Result<void> open_for_writing() override {
    const auto clock = options_.clock ? options_.clock : system_clock();
    if (!simulated_) {
      auto host = HostFile::open_for_writing(
          path_,
          {.create = options_.create_if_missing,
           .timeout = options_.open_timeout_ms,
           .allow_network_file_system = options_.allow_network_file_system,
           .discard = discard_},
          *clock);
      if (!host) return pass(host);
      host_ = std::move(*host);
    }
    auto opened = open_container({.create_if_missing = options_.create_if_missing});
    if (!opened || !host_) return opened;
    if (host_->empty()) {
      if (auto published = host_->publish(); !published) return published;
    }
    return host_->announce();
  }
  bool fresh() const override { return container_->fresh(); }
  Result<void> mark_created() override { return container_->mark_created(); }
  std::size_t logs() const override {
    const auto names = container_->children(database_);
    if (!names) return 0;
    return static_cast<std::size_t>(std::ranges::count_if(
        *names, [](const std::string& name) { return name.ends_with(".log"); }));
  }
  Result<void> note_closed() override { return container_->close(); }
  Result<void> move_to(const std::string& path) override {
    const int failed = container::rename_to_free_name(path_, path);
    if (failed == 0) return sync_parent(path);
    if (failed == EEXIST) {
      return fail(ErrorCode::invalid_argument, "something has appeared at {} meanwhile", path);
    }
    return std::unexpected(system_error(failed, "putting the store in its place,", path));
  }
  void unlock() override {
    env_.reset();
    container_.reset();
    host_.reset();
  }

  Result<void> begin_reading() override {
    env_.reset();
    container_.reset();
    if (host_) {
      if (auto pinned = host_->repin(); !pinned) return pinned;
    } else if (!simulated_) {
      auto host = HostFile::open_for_reading(
          path_, {.allow_network_file_system = options_.allow_network_file_system});
      if (!host) {
        settled_ = true;
        return pass(host);
      }
      host_ = std::move(*host);
    }
    auto opened = open_container(
        {.read_only = true, .keep_prefix = options_.damaged_log == DamagedLog::keep_prefix});
    settled_ = !opened && ++failed_ >= looks_at_damage;
    return opened;
  }
  // The names are those of one moment, and what they stand for stays as long as it is read.
  bool saw_one_state(bool opened) override {
    if (opened) return true;
    if (!container_) return settled_;
    const auto same = container_->unchanged();
    return same && *same;
  }

  Result<void> admit(std::size_t bytes, bool from_reserve, const Unflushed& unflushed) override {
    return container_->admit(bytes, from_reserve, unflushed);
  }
  Result<void> admit_flush(const Unflushed& unflushed) override {
    return container_->admit_flush(unflushed);
  }
  bool knows_room() const override { return true; }

  std::uint64_t bytes() override { return container_->space().bytes; }
  Result<void> give_back() override { return container_->give_back(); }
  FreeBytes free_bytes() override {
    const auto space = container_->space();
    return {.free = space.free, .held_back = space.held_back};
  }
  Result<void> compact(const Progress& progress) override {
    return container_->compact([&](std::uint64_t done, std::uint64_t all) {
      if (progress) progress(done, all, "bytes moved");
    });
  }
  std::shared_ptr<void> clean_up() override {
    return std::make_shared<Container::CleaningUp>(*container_);
  }
  Result<CheckedBytes> check_bytes(const Progress& progress, const Problem& problem) override {
    auto report = container_->fsck([&](std::uint64_t done, std::uint64_t all) {
      if (progress) progress(done, all, "bytes");
    });
    if (!report) return pass(report);
    for (const std::string& found : report->problems) {
      problem(fmt::format("{}: {}", path_, found));
    }
    return CheckedBytes{
        .bytes = bytes(), .blocks = report->blocks, .blocks_free = report->blocks_free};
  }
  std::string advice_on_damage() const override {
    return fmt::format(
        "Restore a backup, or save every row that can be read into a fresh store: once salvage {} "
        "FRESH",
        path_);
  }

 private:
  Result<void> open_container(const container::ContainerOptions& options) {
    auto device = simulated_;
    std::shared_ptr<container::Pins> pins = std::make_shared<container::NoPins>();
    if (host_) {
      device = {host_, &host_->device()};
      pins = {host_, &host_->pins()};
    }
    auto opened = Container::open(device, pins, options);
    if (!opened) return pass(opened);
    container_ = std::move(*opened);
    env_ = make_threads_env(rocksdb::NewCompositeEnv(container::make_file_system(container_)));
    return {};
  }

  const std::string path_;
  const std::string database_ = "/once";
  const Options options_;
  const bool discard_;
  const std::shared_ptr<container::Device> simulated_;  // instead of the file, for tests
  std::shared_ptr<HostFile> host_;
  std::shared_ptr<Container> container_;
  std::unique_ptr<rocksdb::Env> env_;
  int failed_ = 0;        // openings to read, in a row
  bool settled_ = false;  // the failure will not go away by itself
};

}  // namespace

std::unique_ptr<Place> make_file_place(const std::string& path, const PlaceConfig& config) {
  return std::make_unique<FilePlace>(path, config);
}

}  // namespace once::engine
