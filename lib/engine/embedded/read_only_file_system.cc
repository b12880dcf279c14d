#include "engine/embedded/read_only_file_system.h"

#include <utility>

namespace once::engine {
namespace {

rocksdb::IOStatus refuse(const std::string& name) {
  return rocksdb::IOStatus::IOError(name, "the store was opened to read");
}

}  // namespace

class ReadOnlyFileSystem::SharedTable final : public rocksdb::FSRandomAccessFileWrapper {
 public:
  explicit SharedTable(std::shared_ptr<OpenTable> table)
      : FSRandomAccessFileWrapper(table->file.get()), table_(std::move(table)) {}

 private:
  const std::shared_ptr<OpenTable> table_;
};

std::shared_ptr<ReadOnlyFileSystem::OpenTable> ReadOnlyFileSystem::open_table(
    const std::string& name) {
  MutexLock lock(mutex_);
  const auto at = tables_.find(name);
  return at == tables_.end() ? nullptr : at->second.lock();
}

rocksdb::IOStatus ReadOnlyFileSystem::NewRandomAccessFile(
    const std::string& name, const FileOptions& options,
    std::unique_ptr<rocksdb::FSRandomAccessFile>* file, IODebugContext* context) {
  if (!name.ends_with(".sst")) return target()->NewRandomAccessFile(name, options, file, context);
  auto table = open_table(name);
  if (!table) {
    table = std::make_shared<OpenTable>();
    IOStatus status = target()->NewRandomAccessFile(name, options, &table->file, context);
    if (status.ok())
      status = target()->GetFileSize(name, options.io_options, &table->size, context);
    if (!status.ok()) return status;
    MutexLock lock(mutex_);
    std::erase_if(tables_, [](const auto& entry) { return entry.second.expired(); });
    tables_[name] = table;
  }
  *file = std::make_unique<SharedTable>(std::move(table));
  return IOStatus::OK();
}

rocksdb::IOStatus ReadOnlyFileSystem::GetFileSize(const std::string& name, const IOOptions& options,
                                                  std::uint64_t* size, IODebugContext* context) {
  if (const auto table = open_table(name)) {
    *size = table->size;
    return IOStatus::OK();
  }
  return target()->GetFileSize(name, options, size, context);
}

rocksdb::IOStatus ReadOnlyFileSystem::CreateDirIfMissing(const std::string& name,
                                                         const IOOptions& options,
                                                         IODebugContext* context) {
  bool is_directory = false;
  const IOStatus status = IsDirectory(name, options, &is_directory, context);
  return status.ok() && is_directory ? IOStatus::OK() : refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::NewWritableFile(const std::string& name, const FileOptions&,
                                                      std::unique_ptr<rocksdb::FSWritableFile>*,
                                                      IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::ReopenWritableFile(const std::string& name,
                                                         const FileOptions&,
                                                         std::unique_ptr<rocksdb::FSWritableFile>*,
                                                         IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::ReuseWritableFile(const std::string& name, const std::string&,
                                                        const FileOptions&,
                                                        std::unique_ptr<rocksdb::FSWritableFile>*,
                                                        IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::NewRandomRWFile(const std::string& name, const FileOptions&,
                                                      std::unique_ptr<rocksdb::FSRandomRWFile>*,
                                                      IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::DeleteFile(const std::string& name, const IOOptions&,
                                                 IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::CreateDir(const std::string& name, const IOOptions&,
                                                IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::DeleteDir(const std::string& name, const IOOptions&,
                                                IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::RenameFile(const std::string& name, const std::string&,
                                                 const IOOptions&, IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::LinkFile(const std::string& name, const std::string&,
                                               const IOOptions&, IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::LockFile(const std::string& name, const IOOptions&,
                                               rocksdb::FileLock**, IODebugContext*) {
  return refuse(name);
}

rocksdb::IOStatus ReadOnlyFileSystem::Truncate(const std::string& name, std::size_t,
                                               const IOOptions&, IODebugContext*) {
  return refuse(name);
}

}  // namespace once::engine
