#include "engine/embedded/read_only_file_system.h"

#include <doctest/doctest.h>

#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once::engine;
using namespace once::testing;

TEST_CASE("every call that changes something is refused and changes nothing; reading works") {
  const TemporaryDirectory directory;
  const std::string there = directory.file("there");
  const std::string fresh = directory.file("fresh");
  write_file(there, "content");
  const auto before = files_of(directory.path());
  ReadOnlyFileSystem files(rocksdb::FileSystem::Default());
  const rocksdb::FileOptions file_options;
  const rocksdb::IOOptions options;

  std::unique_ptr<rocksdb::FSWritableFile> writable;
  std::unique_ptr<rocksdb::FSRandomRWFile> both;
  rocksdb::FileLock* lock = nullptr;
  CHECK_FALSE(files.NewWritableFile(fresh, file_options, &writable, nullptr).ok());
  CHECK_FALSE(files.NewWritableFile(there, file_options, &writable, nullptr).ok());
  CHECK_FALSE(files.ReopenWritableFile(there, file_options, &writable, nullptr).ok());
  CHECK_FALSE(files.ReuseWritableFile(fresh, there, file_options, &writable, nullptr).ok());
  CHECK_FALSE(files.NewRandomRWFile(there, file_options, &both, nullptr).ok());
  CHECK_FALSE(files.DeleteFile(there, options, nullptr).ok());
  CHECK_FALSE(files.CreateDir(fresh, options, nullptr).ok());
  CHECK_FALSE(files.CreateDirIfMissing(fresh, options, nullptr).ok());
  CHECK(files.CreateDirIfMissing(directory.path(), options, nullptr).ok());
  CHECK_FALSE(files.DeleteDir(directory.path(), options, nullptr).ok());
  CHECK_FALSE(files.RenameFile(there, fresh, options, nullptr).ok());
  CHECK_FALSE(files.LinkFile(there, fresh, options, nullptr).ok());
  CHECK_FALSE(files.LockFile(fresh, options, &lock, nullptr).ok());
  CHECK_FALSE(files.Truncate(there, 1, options, nullptr).ok());
  CHECK(files_of(directory.path()) == before);
  CHECK_FALSE(std::filesystem::exists(fresh));

  std::unique_ptr<rocksdb::FSSequentialFile> readable;
  REQUIRE(files.NewSequentialFile(there, file_options, &readable, nullptr).ok());
  char buffer[16];
  rocksdb::Slice content;
  REQUIRE(readable->Read(sizeof buffer, options, &content, buffer, nullptr).ok());
  CHECK(content == rocksdb::Slice("content"));
}
