// A file system that fails when a test says so.
//
//   auto disk = std::make_shared<FaultFileSystem>();
//   disk->fail(Call::sync, ".log", 3);  // the third sync of a log from now on, and all after it
//   ...
//   disk->heal();
#pragma once

#include <rocksdb/file_system.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"

namespace once::testing {

enum class Call { append, sync, create, rename, remove, open };

class FaultFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  using IOStatus = rocksdb::IOStatus;
  using IOOptions = rocksdb::IOOptions;
  using IODebugContext = rocksdb::IODebugContext;
  using FileOptions = rocksdb::FileOptions;
  using Hook = std::function<void(Call, const std::string&)>;

  explicit FaultFileSystem(
      std::shared_ptr<rocksdb::FileSystem> target = rocksdb::FileSystem::Default())
      : FileSystemWrapper(std::move(target)), faults_(std::make_shared<Faults>()) {}
  const char* Name() const override { return "FaultFileSystem"; }

  // The `nth` such call on a file whose name contains `part`, and all after it, give `status`.
  void fail(Call call, std::string part, int nth = 1, IOStatus status = IOStatus::IOError("EIO")) {
    MutexLock lock(faults_->mutex);
    faults_->call = call;
    faults_->part = std::move(part);
    faults_->left = nth;
    faults_->status = std::move(status);
  }
  void heal() {
    MutexLock lock(faults_->mutex);
    faults_->left = 0;
  }
  // How often a call was made to fail.
  [[nodiscard]] int failures() const {
    MutexLock lock(faults_->mutex);
    return faults_->failures;
  }
  // Called before each call, without a lock.
  void watch(Hook hook) {
    MutexLock lock(faults_->mutex);
    faults_->hook = std::move(hook);
  }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* context) override {
    IOStatus status = faults_->next(Call::create, name);
    if (status.ok()) status = target()->NewWritableFile(name, options, file, context);
    if (status.ok()) *file = std::make_unique<File>(std::move(*file), name, faults_);
    return status;
  }
  IOStatus NewRandomAccessFile(const std::string& name, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* context) override {
    IOStatus status = faults_->next(Call::open, name);
    return status.ok() ? target()->NewRandomAccessFile(name, options, file, context) : status;
  }
  IOStatus NewSequentialFile(const std::string& name, const FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext* context) override {
    IOStatus status = faults_->next(Call::open, name);
    return status.ok() ? target()->NewSequentialFile(name, options, file, context) : status;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* context) override {
    IOStatus status = faults_->next(Call::rename, to);
    return status.ok() ? target()->RenameFile(from, to, options, context) : status;
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* context) override {
    IOStatus status = faults_->next(Call::remove, name);
    return status.ok() ? target()->DeleteFile(name, options, context) : status;
  }

 private:
  struct Faults {
    mutable Mutex mutex;
    Call call ONCE_GUARDED_BY(mutex) = Call::append;
    std::string part ONCE_GUARDED_BY(mutex);
    int left ONCE_GUARDED_BY(mutex) = 0;  // 0: no fault
    int failures ONCE_GUARDED_BY(mutex) = 0;
    IOStatus status ONCE_GUARDED_BY(mutex);
    Hook hook ONCE_GUARDED_BY(mutex);

    IOStatus next(Call now, const std::string& name) {
      Hook watching;
      {
        MutexLock lock(mutex);
        watching = hook;
      }
      if (watching) watching(now, name);
      MutexLock lock(mutex);
      if (left == 0 || now != call || name.find(part) == std::string::npos) return IOStatus::OK();
      if (left > 1) {
        --left;
        return IOStatus::OK();
      }
      ++failures;
      return status;
    }
  };

  class File final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile>&& target, std::string name,
         std::shared_ptr<Faults> faults)
        : FSWritableFileOwnerWrapper(std::move(target)),
          name_(std::move(name)),
          faults_(std::move(faults)) {}
    IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                    IODebugContext* context) override {
      IOStatus status = faults_->next(Call::append, name_);
      return status.ok() ? FSWritableFileOwnerWrapper::Append(data, options, context) : status;
    }
    IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                    const rocksdb::DataVerificationInfo& info, IODebugContext* context) override {
      IOStatus status = faults_->next(Call::append, name_);
      return status.ok() ? FSWritableFileOwnerWrapper::Append(data, options, info, context)
                         : status;
    }
    IOStatus Sync(const IOOptions& options, IODebugContext* context) override {
      IOStatus status = faults_->next(Call::sync, name_);
      return status.ok() ? FSWritableFileOwnerWrapper::Sync(options, context) : status;
    }
    IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
      IOStatus status = faults_->next(Call::sync, name_);
      return status.ok() ? FSWritableFileOwnerWrapper::Fsync(options, context) : status;
    }

   private:
    const std::string name_;
    const std::shared_ptr<Faults> faults_;
  };

  const std::shared_ptr<Faults> faults_;
};

}  // namespace once::testing
