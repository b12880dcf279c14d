// MendedFileSystem: the files of a damaged store as RocksDB has to see them to give out every row
// that is sound: logs without gaps, tables with a way to their data blocks, and a list of files
// that can be read. What is there is not changed: all of this is in memory.
//
//   auto mended = std::make_shared<MendedFileSystem>(files);
//   mended->put("CURRENT", "MANIFEST-000005\n");
//   ...open RocksDB at MendedFileSystem::directory, to read only...
//
// Only what RocksDB needs to open a database to read is there; all else is refused.
#pragma once

#include <rocksdb/file_system.h>

#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "engine/salvage/damaged_files.h"
#include "engine/salvage/damaged_table.h"

namespace once::engine {

class MendedFileSystem final : public rocksdb::FileSystem {
 public:
  using IOStatus = rocksdb::IOStatus;
  using IOOptions = rocksdb::IOOptions;
  using IODebugContext = rocksdb::IODebugContext;
  using FileOptions = rocksdb::FileOptions;
  static constexpr const char* directory = "/once";

  // Shows the tables only.
  explicit MendedFileSystem(std::shared_ptr<DamagedFiles> files) : files_(std::move(files)) {}
  const char* Name() const override { return "once.MendedFileSystem"; }

  // Shows a file of these bytes. Before RocksDB is opened.
  void put(const std::string& name, Bytes bytes);
  // A table is this long according to the list of files, whatever is there of it.
  void expect(const std::string& name, std::uint64_t size);

  // The table of that name, which is shown.
  std::shared_ptr<const DamagedTable> table(const std::string& name);

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext*) override;
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext*) override;
  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* names,
                       IODebugContext*) override;
  IOStatus GetFileSize(const std::string& path, const IOOptions&, std::uint64_t* size,
                       IODebugContext*) override;
  IOStatus GetFileModificationTime(const std::string& path, const IOOptions&, std::uint64_t* time,
                                   IODebugContext*) override;
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* absolute,
                           IODebugContext*) override;
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is,
                       IODebugContext*) override;
  // Fine for the directory that is there.
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus NewDirectory(const std::string& path, const IOOptions&,
                        std::unique_ptr<rocksdb::FSDirectory>*, IODebugContext*) override;

  IOStatus NewWritableFile(const std::string& path, const FileOptions&,
                           std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override;
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override;
  IOStatus RenameFile(const std::string& path, const std::string&, const IOOptions&,
                      IODebugContext*) override;
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock**,
                    IODebugContext*) override;
  IOStatus UnlockFile(rocksdb::FileLock*, const IOOptions&, IODebugContext*) override;
  IOStatus GetTestDirectory(const IOOptions&, std::string* path, IODebugContext*) override;

 private:
  struct Shown {
    std::shared_ptr<const Bytes> bytes{};  // null: a table
    std::uint64_t size = 0;
    std::shared_ptr<const DamagedTable> table{};
    std::shared_ptr<const std::map<std::uint64_t, Bytes>> patches{};
  };
  class ShownFile;
  // nullopt: there is no such file.
  std::optional<Shown> find(const std::string& path);
  Shown* look(const std::string& name) ONCE_REQUIRES(mutex_);

  const std::shared_ptr<DamagedFiles> files_;
  Mutex mutex_;
  std::map<std::string, Shown> shown_ ONCE_GUARDED_BY(mutex_);
  std::map<std::string, std::uint64_t> expected_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::engine
