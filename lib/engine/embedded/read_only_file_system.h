// A file system that refuses every change: what a store opened to look at runs on, so that "changes
// nothing on disk" does not depend on what RocksDB does while it opens.
//
// A table that is open stays readable under its name, although the writer may have removed it: a
// check of all bytes opens it a second time.
#pragma once

#include <rocksdb/file_system.h>

#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"

namespace once::engine {

class ReadOnlyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  using IOStatus = rocksdb::IOStatus;
  using IOOptions = rocksdb::IOOptions;
  using IODebugContext = rocksdb::IODebugContext;
  using FileOptions = rocksdb::FileOptions;

  explicit ReadOnlyFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target)
      : FileSystemWrapper(target) {}
  const char* Name() const override { return "once.ReadOnlyFileSystem"; }

  IOStatus NewRandomAccessFile(const std::string& name, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* context) override;
  IOStatus GetFileSize(const std::string& name, const IOOptions& options, std::uint64_t* size,
                       IODebugContext* context) override;

  IOStatus NewWritableFile(const std::string& name, const FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override;
  IOStatus ReopenWritableFile(const std::string& name, const FileOptions&,
                              std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override;
  IOStatus ReuseWritableFile(const std::string& name, const std::string&, const FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override;
  IOStatus NewRandomRWFile(const std::string& name, const FileOptions&,
                           std::unique_ptr<rocksdb::FSRandomRWFile>*, IODebugContext*) override;
  IOStatus DeleteFile(const std::string& name, const IOOptions&, IODebugContext*) override;
  IOStatus CreateDir(const std::string& name, const IOOptions&, IODebugContext*) override;
  // Fine for a directory that is there.
  IOStatus CreateDirIfMissing(const std::string& name, const IOOptions& options,
                              IODebugContext* context) override;
  IOStatus DeleteDir(const std::string& name, const IOOptions&, IODebugContext*) override;
  IOStatus RenameFile(const std::string& name, const std::string&, const IOOptions&,
                      IODebugContext*) override;
  IOStatus LinkFile(const std::string& name, const std::string&, const IOOptions&,
                    IODebugContext*) override;
  IOStatus LockFile(const std::string& name, const IOOptions&, rocksdb::FileLock**,
                    IODebugContext*) override;
  IOStatus Truncate(const std::string& name, std::size_t, const IOOptions&,
                    IODebugContext*) override;

 private:
  struct OpenTable {
    std::unique_ptr<rocksdb::FSRandomAccessFile> file;
    std::uint64_t size = 0;
  };
  class SharedTable;
  std::shared_ptr<OpenTable> open_table(const std::string& name);

  Mutex mutex_;
  std::map<std::string, std::weak_ptr<OpenTable>> tables_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::engine
