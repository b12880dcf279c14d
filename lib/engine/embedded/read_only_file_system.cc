#include "engine/embedded/read_only_file_system.h"

namespace once::engine {
namespace {

rocksdb::IOStatus refuse(const std::string& name) {
  return rocksdb::IOStatus::IOError(name, "the store was opened to read");
}

}  // namespace

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
