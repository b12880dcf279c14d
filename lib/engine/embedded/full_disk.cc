#include "engine/embedded/full_disk.h"

#include <rocksdb/file_system.h>

#include <chrono>
#include <string>
#include <utility>

#include "container/file_system.h"

namespace once::engine {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using Counter = std::shared_ptr<std::atomic<std::uint64_t>>;

// Of a compaction that found no room.
constexpr Duration pause_without_room = std::chrono::seconds(1);

class WatchedLog final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WatchedLog(std::unique_ptr<rocksdb::FSWritableFile>&& target, Counter appends)
      : FSWritableFileOwnerWrapper(std::move(target)), appends_(std::move(appends)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* context) override {
    ++*appends_;
    return FSWritableFileOwnerWrapper::Append(data, options, context);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& info, IODebugContext* context) override {
    ++*appends_;
    return FSWritableFileOwnerWrapper::Append(data, options, info, context);
  }

 private:
  const Counter appends_;
};

class WatchedFiles final : public rocksdb::FileSystemWrapper {
 public:
  WatchedFiles(const std::shared_ptr<rocksdb::FileSystem>& target, Counter appends)
      : FileSystemWrapper(target), appends_(std::move(appends)) {}
  const char* Name() const override { return "once.WatchedFiles"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* context) override {
    const bool table = path.ends_with(".sst") || path.ends_with(".blob");
    if (table && FullDisk::makes_rewrite()) {
      FileOptions told = options;
      told.io_options.property_bag[container::rewrite_property] = "";
      return target()->NewWritableFile(path, told, file, context);
    }
    IOStatus made = target()->NewWritableFile(path, options, file, context);
    if (made.ok() && path.ends_with(".log")) {
      *file = std::make_unique<WatchedLog>(std::move(*file), appends_);
    }
    return made;
  }

 private:
  const Counter appends_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> FullDisk::watch(
    const std::shared_ptr<rocksdb::FileSystem>& target) {
  return std::make_shared<WatchedFiles>(target, log_appends_);
}

void FullDisk::pause() {
  const auto clock = system_clock();
  const Duration end = clock->since_boot() + pause_without_room;
  MutexLock lock(mutex_);
  while (hurries_ == 0 && clock->since_boot() < end) hurried_.wait_until(mutex_, *clock, end);
}

void FullDisk::hurry(int more) {
  MutexLock lock(mutex_);
  hurries_ += more;
  hurried_.notify_all();
}

bool FullDisk::explains(const rocksdb::Status& refused, std::uint64_t appends_before) {
  if (!knows_room_ || log_appends() != appends_before) return false;
  // Incomplete: it was waiting for tables to be written, and they were not. That it has stopped may
  // not show here yet or any more, if somebody tried to go on at the moment at which it stopped.
  const bool waited_in_vain =
      refused.IsIncomplete() &&
      (stopped_ || refused.ToString().find("No space left") != std::string::npos);
  if (!refused.IsNoSpace() && !waited_in_vain) return false;
  stopped_ = true;
  return true;
}

}  // namespace once::engine
