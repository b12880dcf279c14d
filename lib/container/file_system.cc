#include "container/file_system.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"

namespace once::container {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus to_status(const Error& error) {
  IOStatus status;
  switch (error.code) {
    case ErrorCode::no_space:
      status = IOStatus::NoSpace(error.message);
      break;
    case ErrorCode::not_found:
      return IOStatus::PathNotFound(error.message);
    case ErrorCode::damaged:
      status = IOStatus::Corruption(error.message);
      break;
    case ErrorCode::unsupported:
      return IOStatus::NotSupported(error.message);
    case ErrorCode::invalid_argument:
      return IOStatus::InvalidArgument(error.message);
    default:
      status = IOStatus::IOError(error.message);
  }
  // Trying again proves nothing: the kernel forgets what it could not write.
  status.SetRetryable(false);
  return status;
}

template <class T>
IOStatus to_status(const Result<T>& result) {
  return result ? IOStatus::OK() : to_status(result.error());
}

IOStatus missing(const std::string& path) {
  return IOStatus::PathNotFound(path, "there is no such file in the container");
}

std::string_view view(const Slice& slice) {
  return {slice.data(), slice.size()};
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  SequentialFile(std::shared_ptr<Container> container, std::shared_ptr<File> file)
      : container_(std::move(container)), file_(std::move(file)) {}

  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) override {
    auto read = container_->read(*file_, offset_, n, scratch);
    if (!read) return to_status(read.error());
    offset_ += *read;
    *result = Slice(scratch, *read);
    return IOStatus::OK();
  }
  IOStatus Skip(std::uint64_t n) override {
    offset_ = std::min(offset_ + n, std::max(offset_, container_->size(*file_)));
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<Container> container_;
  const std::shared_ptr<File> file_;
  std::uint64_t offset_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccessFile(std::shared_ptr<Container> container, std::shared_ptr<File> file)
      : container_(std::move(container)), file_(std::move(file)) {}

  IOStatus Read(std::uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    auto read = container_->read(*file_, offset, n, scratch);
    if (!read) return to_status(read.error());
    *result = Slice(scratch, *read);
    return IOStatus::OK();
  }
  // Files in a container have no place that another would have.
  size_t GetUniqueId(char* id, size_t max_size) const override {
    std::string unique(reinterpret_cast<const char*>(container_->store_id().data()), 16);
    for (int i = 0; i < 8; ++i) {
      unique.push_back(static_cast<char>(static_cast<std::uint8_t>(file_->id >> (8 * i))));
    }
    if (max_size < unique.size()) return 0;
    std::ranges::copy(unique, id);
    return unique.size();
  }

 private:
  const std::shared_ptr<Container> container_;
  const std::shared_ptr<File> file_;
};

class RandomRWFile final : public rocksdb::FSRandomRWFile {
 public:
  RandomRWFile(std::shared_ptr<Container> container, std::shared_ptr<File> file)
      : container_(std::move(container)), file_(std::move(file)) {}

  IOStatus Write(std::uint64_t offset, const Slice& data, const IOOptions&,
                 IODebugContext*) override {
    const std::uint64_t size = container_->size(*file_);
    const std::uint64_t inside = offset < size ? std::min(size - offset, data.size()) : 0;
    if (offset > size) return IOStatus::NotSupported("a file has no holes in a container");
    auto done = container_->overwrite(*file_, offset, view(data).substr(0, inside));
    if (done && inside < data.size()) done = container_->append(*file_, view(data).substr(inside));
    return to_status(done);
  }
  IOStatus Read(std::uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    auto read = container_->read(*file_, offset, n, scratch);
    if (!read) return to_status(read.error());
    *result = Slice(scratch, *read);
    return IOStatus::OK();
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    return to_status(container_->sync(*file_));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
    return Sync(options, context);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  const std::shared_ptr<Container> container_;
  const std::shared_ptr<File> file_;
};

class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(std::shared_ptr<Container> container, std::shared_ptr<File> file,
               const FileOptions& options)
      : FSWritableFile(options), container_(std::move(container)), file_(std::move(file)) {}
  // RocksDB syncs files and drops them without closing.
  ~WritableFile() override {
    if (!closed_) (void)container_->finish(*file_);
  }

  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    return to_status(container_->append(*file_, view(data)));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* context) override {
    return Append(data, options, context);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions&, IODebugContext*) override {
    return to_status(container_->truncate(*file_, size));
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    closed_ = true;
    // What was allocated ahead goes back at the latest when the container is closed.
    (void)container_->finish(*file_);
    return IOStatus::OK();
  }
  // What was appended is with the operating system already.
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    return to_status(container_->sync(*file_));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
    return Sync(options, context);
  }
  IOStatus RangeSync(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    return container_->size(*file_);
  }
  // The container allocates ahead by itself.
  void PrepareWrite(size_t, size_t, const IOOptions&, IODebugContext*) override {}
  IOStatus Allocate(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<Container> container_;
  const std::shared_ptr<File> file_;
  bool closed_ = false;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  explicit Directory(std::shared_ptr<Container> container) : container_(std::move(container)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return to_status(container_->sync_names());
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  const std::shared_ptr<Container> container_;
};

class Lock final : public rocksdb::FileLock {
 public:
  explicit Lock(std::string locked) : path(std::move(locked)) {}
  const std::string path;
};

class ContainerFileSystem final : public rocksdb::FileSystem {
 public:
  explicit ContainerFileSystem(std::shared_ptr<Container> container)
      : container_(std::move(container)) {}
  const char* Name() const override { return "once.ContainerFileSystem"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result,
                             IODebugContext*) override {
    std::shared_ptr<File> file;
    if (IOStatus status = open(path, &file); !status.ok()) return status;
    *result = std::make_unique<SequentialFile>(container_, std::move(file));
    return IOStatus::OK();
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                               IODebugContext*) override {
    std::shared_ptr<File> file;
    if (IOStatus status = open(path, &file); !status.ok()) return status;
    *result = std::make_unique<RandomAccessFile>(container_, std::move(file));
    return IOStatus::OK();
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext*) override {
    auto file = container_->create(path);
    if (!file) return to_status(file.error());
    (*file)->rewrite = options.io_options.property_bag.contains(rewrite_property);
    *result = std::make_unique<WritableFile>(container_, std::move(*file), options);
    return IOStatus::OK();
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* result,
                              IODebugContext* context) override {
    if (container_->what_is(path) == Container::What::none) {
      return NewWritableFile(path, options, result, context);
    }
    std::shared_ptr<File> file;
    if (IOStatus status = open(path, &file); !status.ok()) return status;
    // Behind the end of a log may lie what was torn off; it must not come back.
    if (file->log) return IOStatus::NotSupported("a log is not appended to again");
    *result = std::make_unique<WritableFile>(container_, std::move(file), options);
    return IOStatus::OK();
  }
  IOStatus ReuseWritableFile(const std::string& path, const std::string& old,
                             const FileOptions& options,
                             std::unique_ptr<rocksdb::FSWritableFile>* result,
                             IODebugContext* context) override {
    if (IOStatus status = DeleteFile(old, options.io_options, context); !status.ok()) return status;
    return NewWritableFile(path, options, result, context);
  }
  IOStatus NewRandomRWFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                           IODebugContext*) override {
    std::shared_ptr<File> file;
    if (IOStatus status = open(path, &file); !status.ok()) return status;
    if (file->log) return IOStatus::NotSupported("a log is not overwritten");
    *result = std::make_unique<RandomRWFile>(container_, std::move(file));
    return IOStatus::OK();
  }
  IOStatus NewMemoryMappedFileBuffer(const std::string&,
                                     std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) override {
    return IOStatus::NotSupported("files of a container cannot be mapped");
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) override {
    if (container_->what_is(path) != Container::What::directory) return missing(path);
    *result = std::make_unique<Directory>(container_);
    return IOStatus::OK();
  }

  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    return container_->what_is(path) == Container::What::none ? IOStatus::NotFound(path)
                                                              : IOStatus::OK();
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    auto names = container_->children(path);
    if (!names) return missing(path);
    *result = std::move(*names);
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_status(container_->remove(path));
  }
  IOStatus Truncate(const std::string& path, size_t size, const IOOptions&,
                    IODebugContext*) override {
    std::shared_ptr<File> file;
    if (IOStatus status = open(path, &file); !status.ok()) return status;
    return to_status(container_->truncate(*file, size));
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_status(container_->make_directory(path));
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions& options,
                              IODebugContext* context) override {
    if (container_->what_is(path) == Container::What::directory) return IOStatus::OK();
    return CreateDir(path, options, context);
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_status(container_->remove_directory(path));
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, std::uint64_t* size,
                       IODebugContext*) override {
    std::shared_ptr<File> file;
    if (IOStatus status = open(path, &file); !status.ok()) return status;
    *size = container_->size(*file);
    return IOStatus::OK();
  }
  IOStatus GetFileModificationTime(const std::string& path, const IOOptions&, std::uint64_t* time,
                                   IODebugContext*) override {
    if (container_->what_is(path) == Container::What::none) return missing(path);
    *time =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, container_->modified_ms(path))) / 1000;
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&,
                      IODebugContext*) override {
    return to_status(container_->rename(from, to));
  }
  IOStatus LinkFile(const std::string& existing, const std::string& added, const IOOptions&,
                    IODebugContext*) override {
    return to_status(container_->link(existing, added));
  }
  IOStatus NumFileLinks(const std::string& path, const IOOptions&, std::uint64_t* count,
                        IODebugContext*) override {
    *count = container_->links(path);
    return *count == 0 ? missing(path) : IOStatus::OK();
  }
  IOStatus AreFilesSame(const std::string& first, const std::string& second, const IOOptions&,
                        bool* same, IODebugContext*) override {
    std::shared_ptr<File> files[2];
    if (IOStatus status = open(first, &files[0]); !status.ok()) return status;
    if (IOStatus status = open(second, &files[1]); !status.ok()) return status;
    *same = files[0] == files[1];
    return IOStatus::OK();
  }

  // Within this process; the host file has a lock of its own.
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock,
                    IODebugContext*) override {
    const std::string normal = normal_path(path);
    MutexLock guard(mutex_);
    if (!locked_.insert(normal).second) {
      return IOStatus::IOError("lock " + path, "it is held by this process already");
    }
    *lock = new Lock(normal);
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    MutexLock guard(mutex_);
    locked_.erase(static_cast<Lock*>(lock)->path);
    delete lock;
    return IOStatus::OK();
  }

  IOStatus GetTestDirectory(const IOOptions&, std::string* path, IODebugContext*) override {
    path->assign(1, '/');
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* absolute,
                           IODebugContext*) override {
    *absolute = normal_path(path);
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is,
                       IODebugContext*) override {
    const Container::What what = container_->what_is(path);
    if (what == Container::What::none) return missing(path);
    *is = what == Container::What::directory;
    return IOStatus::OK();
  }
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, std::uint64_t* bytes,
                        IODebugContext*) override {
    auto left = container_->space_left();
    if (!left) return to_status(left.error());
    *bytes = *left;
    return IOStatus::OK();
  }

 private:
  IOStatus open(const std::string& path, std::shared_ptr<File>* file) {
    auto opened = container_->open_file(path);
    if (!opened) return to_status(opened.error());
    *file = std::move(*opened);
    return *file ? IOStatus::OK() : missing(path);
  }

  const std::shared_ptr<Container> container_;
  Mutex mutex_;
  std::set<std::string> locked_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> make_file_system(std::shared_ptr<Container> container) {
  return std::make_shared<ContainerFileSystem>(std::move(container));
}

}  // namespace once::container
