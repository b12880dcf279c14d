#include "engine/salvage/mended_file_system.h"

#include <algorithm>
#include <utility>

#include "base/file_name.h"

namespace once::engine {
namespace {

using rocksdb::IOStatus;

IOStatus refuse(const std::string& path) {
  return IOStatus::NotSupported(path, "a damaged store is not written to");
}

IOStatus missing(const std::string& path) {
  return IOStatus::PathNotFound(path, "there is no such file");
}

std::string name_in(const std::string& path) {
  return std::string(file_name_of(path));
}

bool is_directory(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path == MendedFileSystem::directory;
}

class Directory final : public rocksdb::FSDirectory {
 public:
  IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return IOStatus::OK();
  }
};

}  // namespace

// Bytes in memory; or those of the damaged file, with patches in front of them.
class MendedFileSystem::ShownFile final : public rocksdb::FSRandomAccessFile,
                                          public rocksdb::FSSequentialFile {
 public:
  using Slice = rocksdb::Slice;
  ShownFile(std::shared_ptr<DamagedFiles> files, std::string name, Shown shown)
      : files_(std::move(files)), name_(std::move(name)), shown_(std::move(shown)) {}

  IOStatus Read(std::uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    if (shown_.bytes) {
      const std::uint64_t size = shown_.bytes->size();
      const std::size_t length = offset < size ? std::min<std::uint64_t>(n, size - offset) : 0;
      std::copy_n(shown_.bytes->data() + std::min(offset, size), length, scratch);
      *result = Slice(scratch, length);
      return IOStatus::OK();
    }
    std::fill_n(scratch, n, '\0');
    std::uint64_t end = shown_.size;
    const auto cover = [&](std::uint64_t from, ByteView bytes) {
      const std::uint64_t start = std::max(from, offset);
      const std::uint64_t stop = std::min(from + bytes.size(), offset + n);
      if (start < stop) {
        std::copy_n(bytes.data() + (start - from), stop - start, scratch + (start - offset));
      }
    };
    if (offset < shown_.size) {
      auto there = files_->read(name_, offset, std::min<std::uint64_t>(n, shown_.size - offset));
      if (!there) return IOStatus::Corruption(there.error().message);
      cover(offset, *there);
    }
    for (const auto& [from, bytes] : *shown_.patches) {
      cover(from, bytes);
      end = std::max(end, from + bytes.size());
    }
    *result = Slice(scratch, offset < end ? std::min<std::uint64_t>(n, end - offset) : 0);
    return IOStatus::OK();
  }

  IOStatus Read(size_t n, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* context) override {
    const IOStatus status = Read(position_, n, options, result, scratch, context);
    if (status.ok()) position_ += result->size();
    return status;
  }
  IOStatus Skip(std::uint64_t n) override {
    position_ += n;
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<DamagedFiles> files_;
  const std::string name_;
  const Shown shown_;
  std::uint64_t position_ = 0;
};

void MendedFileSystem::put(const std::string& name, Bytes bytes) {
  MutexLock lock(mutex_);
  const std::uint64_t size = bytes.size();
  shown_[name] = {.bytes = std::make_shared<const Bytes>(std::move(bytes)), .size = size};
}

void MendedFileSystem::expect(const std::string& name, std::uint64_t size) {
  MutexLock lock(mutex_);
  expected_[name] = size;
  shown_.erase(name);
}

MendedFileSystem::Shown* MendedFileSystem::look(const std::string& name) {
  if (const auto at = shown_.find(name); at != shown_.end()) return &at->second;
  const auto there = files_->names().find(name);
  if (there == files_->names().end() || !is_table_name(name)) return nullptr;
  const auto expected = expected_.find(name);
  const std::uint64_t size = expected != expected_.end() ? expected->second : there->second;
  const auto table = std::make_shared<const DamagedTable>(
      [files = files_, name](std::uint64_t offset, std::uint64_t length) {
        return files->read(name, offset, length);
      },
      size);
  Shown& shown = shown_[name];
  shown = {.size = size,
           .table = table,
           .patches = std::make_shared<const std::map<std::uint64_t, Bytes>>(table->patches())};
  return &shown;
}

std::shared_ptr<const DamagedTable> MendedFileSystem::table(const std::string& name) {
  MutexLock lock(mutex_);
  const Shown* shown = look(name);
  return shown == nullptr ? nullptr : shown->table;
}

std::optional<MendedFileSystem::Shown> MendedFileSystem::find(const std::string& path) {
  MutexLock lock(mutex_);
  const Shown* shown = look(name_in(path));
  return shown == nullptr ? std::nullopt : std::optional(*shown);
}

IOStatus MendedFileSystem::NewSequentialFile(const std::string& path, const FileOptions&,
                                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                             IODebugContext*) {
  auto shown = find(path);
  if (!shown) return missing(path);
  *file = std::make_unique<ShownFile>(files_, name_in(path), std::move(*shown));
  return IOStatus::OK();
}

IOStatus MendedFileSystem::NewRandomAccessFile(const std::string& path, const FileOptions&,
                                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                               IODebugContext*) {
  auto shown = find(path);
  if (!shown) return missing(path);
  *file = std::make_unique<ShownFile>(files_, name_in(path), std::move(*shown));
  return IOStatus::OK();
}

IOStatus MendedFileSystem::FileExists(const std::string& path, const IOOptions&, IODebugContext*) {
  return is_directory(path) || find(path) ? IOStatus::OK() : IOStatus::NotFound(path);
}

IOStatus MendedFileSystem::GetChildren(const std::string& path, const IOOptions&,
                                       std::vector<std::string>* names, IODebugContext*) {
  if (!is_directory(path)) return missing(path);
  names->clear();
  MutexLock lock(mutex_);
  for (const auto& [name, shown] : shown_) {
    if (shown.bytes) names->push_back(name);
  }
  for (const auto& [name, size] : files_->names()) {
    if (is_table_name(name)) names->push_back(name);
  }
  return IOStatus::OK();
}

IOStatus MendedFileSystem::GetFileSize(const std::string& path, const IOOptions&,
                                       std::uint64_t* size, IODebugContext*) {
  const auto shown = find(path);
  if (!shown) return missing(path);
  *size = shown->size;
  return IOStatus::OK();
}

IOStatus MendedFileSystem::GetFileModificationTime(const std::string& path, const IOOptions&,
                                                   std::uint64_t* time, IODebugContext*) {
  *time = 0;
  return find(path) ? IOStatus::OK() : missing(path);
}

IOStatus MendedFileSystem::GetAbsolutePath(const std::string& path, const IOOptions&,
                                           std::string* absolute, IODebugContext*) {
  *absolute = path;
  return IOStatus::OK();
}

IOStatus MendedFileSystem::IsDirectory(const std::string& path, const IOOptions&, bool* is,
                                       IODebugContext*) {
  *is = is_directory(path);
  return *is || find(path) ? IOStatus::OK() : missing(path);
}

IOStatus MendedFileSystem::CreateDirIfMissing(const std::string& path, const IOOptions&,
                                              IODebugContext*) {
  return is_directory(path) ? IOStatus::OK() : refuse(path);
}

IOStatus MendedFileSystem::NewDirectory(const std::string& path, const IOOptions&,
                                        std::unique_ptr<rocksdb::FSDirectory>* made,
                                        IODebugContext*) {
  if (!is_directory(path)) return missing(path);
  *made = std::make_unique<Directory>();
  return IOStatus::OK();
}

IOStatus MendedFileSystem::NewWritableFile(const std::string& path, const FileOptions&,
                                           std::unique_ptr<rocksdb::FSWritableFile>*,
                                           IODebugContext*) {
  return refuse(path);
}
IOStatus MendedFileSystem::DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) {
  return refuse(path);
}
IOStatus MendedFileSystem::CreateDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return refuse(path);
}
IOStatus MendedFileSystem::DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return refuse(path);
}
IOStatus MendedFileSystem::RenameFile(const std::string& path, const std::string&, const IOOptions&,
                                      IODebugContext*) {
  return refuse(path);
}
IOStatus MendedFileSystem::LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock**,
                                    IODebugContext*) {
  return refuse(path);
}
IOStatus MendedFileSystem::UnlockFile(rocksdb::FileLock*, const IOOptions&, IODebugContext*) {
  return IOStatus::OK();
}
IOStatus MendedFileSystem::GetTestDirectory(const IOOptions&, std::string* path, IODebugContext*) {
  *path = directory;
  return IOStatus::OK();
}

}  // namespace once::engine
