#include "engine/embedded/inventory_file_system.h"

#include <fcntl.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file_name.h"
#include "engine/embedded/store_directory.h"

namespace once::engine {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

std::string name_of(const std::string& path) {
  return std::string(file_name_of(path));
}

IOStatus to_status(const Result<void>& result) {
  if (result) return IOStatus::OK();
  if (result.error().code == ErrorCode::no_space) return IOStatus::NoSpace(result.error().message);
  return IOStatus::IOError(result.error().message);
}

// A table while it is written: remembers its last bytes.
class NotedTable final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  NotedTable(std::unique_ptr<rocksdb::FSWritableFile>&& target, std::string name,
             std::shared_ptr<Inventory> inventory)
      : FSWritableFileOwnerWrapper(std::move(target)),
        name_(std::move(name)),
        inventory_(std::move(inventory)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* context) override {
    take(data);
    return FSWritableFileOwnerWrapper::Append(data, options, context);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& info, IODebugContext* context) override {
    take(data);
    return FSWritableFileOwnerWrapper::Append(data, options, info, context);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* context) override {
    IOStatus closed = FSWritableFileOwnerWrapper::Close(options, context);
    if (closed.ok()) {
      inventory_->note_table(name_,
                             {.bytes = bytes_, .digest = XXH3_64bits(tail_.data(), tail_.size())});
    }
    return closed;
  }

 private:
  void take(const rocksdb::Slice& data) {
    bytes_ += data.size();
    tail_.append(data.data(), data.size());
    if (tail_.size() > Inventory::tail_bytes) tail_.erase(0, tail_.size() - Inventory::tail_bytes);
  }

  const std::string name_;
  const std::shared_ptr<Inventory> inventory_;
  std::uint64_t bytes_ = 0;
  std::string tail_;
};

// RocksDB's own lock, against its tools. Taken here, since RocksDB also keeps a list of the locks
// of the process, which a forked child inherits: it could never open what its parent has closed.
class ProcessLock final : public rocksdb::FileLock {
 public:
  static IOStatus take(const std::string& path, rocksdb::FileLock** lock) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return to_status(std::unexpected(system_error(errno, "opening", path)));
    auto taken = std::make_unique<ProcessLock>(file);
    struct flock all{};
    all.l_type = F_WRLCK;
    all.l_whence = SEEK_SET;
    if (::fcntl(file, F_SETLK, &all) != 0) {
      return to_status(std::unexpected(system_error(errno, "locking", path)));
    }
    *lock = taken.release();
    return IOStatus::OK();
  }
  explicit ProcessLock(int file) : file_(file) {}
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;
  ~ProcessLock() override { ::close(file_); }

 private:
  const int file_;
};

class InventoryFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  InventoryFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target,
                      std::shared_ptr<Inventory> inventory)
      : FileSystemWrapper(target), inventory_(std::move(inventory)) {}
  const char* Name() const override { return "once.InventoryFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* context) override {
    IOStatus made = target()->NewWritableFile(path, options, file, context);
    if (!made.ok()) return made;
    if (path.ends_with(".sst")) {
      inventory_->forget_table(name_of(path));
      *file = std::make_unique<NotedTable>(std::move(*file), name_of(path), inventory_);
    }
    return path.ends_with(".log") ? to_status(inventory_->note_log(name_of(path))) : made;
  }

  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* context) override {
    IOStatus opened = target()->NewRandomAccessFile(path, options, file, context);
    if (!opened.ok()) return opened;
    const auto known = inventory_->seen(name_of(path));
    return known ? check_tail(path, **file, *known) : opened;
  }

  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* context) override {
    if (path.ends_with(".log")) {
      if (IOStatus noted = to_status(inventory_->note_removal(name_of(path))); !noted.ok()) {
        return noted;
      }
    }
    if (path.ends_with(".sst")) inventory_->forget_table(name_of(path));
    return target()->DeleteFile(path, options, context);
  }

  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    return ProcessLock::take(path, lock);
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    delete lock;
    return IOStatus::OK();
  }

 private:
  IOStatus check_tail(const std::string& path, rocksdb::FSRandomAccessFile& file,
                      const Inventory::Seen& known) {
    std::uint64_t size = 0;
    IOStatus status = target()->GetFileSize(path, IOOptions(), &size, nullptr);
    if (!status.ok()) return status;
    const std::size_t length = std::min<std::uint64_t>(known.bytes, Inventory::tail_bytes);
    std::string buffer(length, '\0');
    rocksdb::Slice tail;
    status = file.Read(known.bytes - length, length, IOOptions(), &tail, buffer.data(), nullptr);
    if (!status.ok()) return status;
    const bool same = size == known.bytes && tail.size() == length &&
                      XXH3_64bits(tail.data(), tail.size()) == known.digest;
    return same ? IOStatus::OK()
                : IOStatus::Corruption("the end of " + path + " is not what was written");
  }

  const std::shared_ptr<Inventory> inventory_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> make_inventory_file_system(
    const std::shared_ptr<rocksdb::FileSystem>& target, std::shared_ptr<Inventory> inventory) {
  return std::make_shared<InventoryFileSystem>(target, std::move(inventory));
}

}  // namespace once::engine
