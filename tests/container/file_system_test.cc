// What RocksDB relies on of a file system, of its own one and of a container.
#include "container/file_system.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "container/container_place.h"
#include "support/check_result.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using rocksdb::FileOptions;
using rocksdb::FileSystem;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

const IOOptions io;

// The same on both, so that what is expected here is what RocksDB is used to.
void on_each(const std::function<void(FileSystem&, const std::string&)>& body) {
  SUBCASE("RocksDB's own") {
    TemporaryDirectory directory(quick_place());
    body(*FileSystem::Default(), directory.path());
  }
  SUBCASE("a container") {
    ContainerPlace place = value_of(open_place(std::make_shared<SimulatedDevice>()));
    REQUIRE(place.files->CreateDir("/root", io, nullptr).ok());
    body(*place.files, "/root");
    CHECK(problem_with(place) == "");
  }
}

void check_ok(const IOStatus& status) {
  CAPTURE(status.ToString());
  REQUIRE(status.ok());
}

std::unique_ptr<rocksdb::FSWritableFile> create(FileSystem& files, const std::string& path) {
  std::unique_ptr<rocksdb::FSWritableFile> file;
  check_ok(files.NewWritableFile(path, FileOptions(), &file, nullptr));
  return file;
}

void append(rocksdb::FSWritableFile& file, const std::string& bytes) {
  check_ok(file.Append(bytes, io, nullptr));
  check_ok(file.Flush(io, nullptr));
}

void write(FileSystem& files, const std::string& path, const std::string& bytes) {
  auto file = create(files, path);
  append(*file, bytes);
  check_ok(file->Close(io, nullptr));
}

std::string read(FileSystem& files, const std::string& path) {
  std::string bytes;
  check_ok(read_whole(files, path, &bytes));
  return bytes;
}

std::unique_ptr<rocksdb::FSRandomAccessFile> open(FileSystem& files, const std::string& path) {
  std::unique_ptr<rocksdb::FSRandomAccessFile> file;
  check_ok(files.NewRandomAccessFile(path, FileOptions(), &file, nullptr));
  return file;
}

std::string read_at(rocksdb::FSRandomAccessFile& file, std::uint64_t offset, std::size_t length) {
  std::string scratch(length, '?');
  Slice found;
  check_ok(file.Read(offset, length, io, &found, scratch.data(), nullptr));
  return found.ToString();
}

std::uint64_t size_of(FileSystem& files, const std::string& path) {
  std::uint64_t size = 0;
  check_ok(files.GetFileSize(path, io, &size, nullptr));
  return size;
}

std::vector<std::string> children(FileSystem& files, const std::string& path) {
  std::vector<std::string> children;
  check_ok(files.GetChildren(path, io, &children, nullptr));
  std::ranges::sort(children);
  return children;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a missing path is not found, and a path is what was not found") {
  on_each([](FileSystem& files, const std::string& root) {
    const std::string none = root + "/none";
    std::unique_ptr<rocksdb::FSSequentialFile> sequential;
    std::unique_ptr<rocksdb::FSRandomAccessFile> random;
    std::unique_ptr<rocksdb::FSWritableFile> writable;
    std::unique_ptr<rocksdb::FSDirectory> directory;
    std::vector<std::string> names;
    std::uint64_t number = 0;
    bool is = false;
    const IOStatus exists = files.FileExists(none, io, nullptr);
    CHECK(exists.IsNotFound());
    CHECK(files.NewSequentialFile(none, FileOptions(), &sequential, nullptr).IsPathNotFound());
    CHECK(files.NewRandomAccessFile(none, FileOptions(), &random, nullptr).IsPathNotFound());
    CHECK(files.NewWritableFile(none + "/x", FileOptions(), &writable, nullptr).IsPathNotFound());
    CHECK(
        files.ReopenWritableFile(none + "/x", FileOptions(), &writable, nullptr).IsPathNotFound());
    CHECK(files.NewDirectory(none, io, &directory, nullptr).IsPathNotFound());
    const IOStatus listed = files.GetChildren(none, io, &names, nullptr);
    CHECK((listed.IsNotFound() || listed.IsPathNotFound()));
    CHECK(files.DeleteFile(none, io, nullptr).IsPathNotFound());
    CHECK(files.CreateDir(none + "/x", io, nullptr).IsPathNotFound());
    CHECK(files.CreateDirIfMissing(none + "/x", io, nullptr).IsPathNotFound());
    CHECK(files.DeleteDir(none, io, nullptr).IsPathNotFound());
    CHECK(files.GetFileSize(none, io, &number, nullptr).IsPathNotFound());
    CHECK(files.GetFileModificationTime(none, io, &number, nullptr).IsPathNotFound());
    CHECK(files.RenameFile(none, root + "/x", io, nullptr).IsPathNotFound());
    CHECK(files.LinkFile(none, root + "/x", io, nullptr).IsPathNotFound());
    CHECK(files.IsDirectory(none, io, &is, nullptr).IsPathNotFound());
    write(files, root + "/here", "x");
    CHECK(files.RenameFile(root + "/here", none + "/x", io, nullptr).IsPathNotFound());
    CHECK(files.LinkFile(root + "/here", none + "/x", io, nullptr).IsPathNotFound());
    CHECK(children(files, root) == Names{"here"});
  });
}

TEST_CASE("what is there is not called missing, whatever is wrong with it") {
  on_each([](FileSystem& files, const std::string& root) {
    check_ok(files.CreateDir(root + "/d", io, nullptr));
    write(files, root + "/d/f", "x");
    const auto refused = [](const IOStatus& status) {
      CAPTURE(status.ToString());
      CHECK_FALSE(status.ok());
      CHECK_FALSE(status.IsNotFound());
      CHECK_FALSE(status.IsPathNotFound());
    };
    std::unique_ptr<rocksdb::FSWritableFile> writable;
    refused(files.NewWritableFile(root + "/d", FileOptions(), &writable, nullptr));
    refused(files.DeleteFile(root + "/d", io, nullptr));
    refused(files.DeleteDir(root + "/d", io, nullptr));
    refused(files.DeleteDir(root + "/d/f", io, nullptr));
    refused(files.CreateDir(root + "/d", io, nullptr));
    refused(files.CreateDir(root + "/d/f", io, nullptr));
    refused(files.CreateDirIfMissing(root + "/d/f", io, nullptr));
    refused(files.RenameFile(root + "/d/f", root + "/d", io, nullptr));
    refused(files.RenameFile(root + "/d", root + "/d/f", io, nullptr));
    refused(files.RenameFile(root + "/d", root + "/d/in", io, nullptr));
    refused(files.LinkFile(root + "/d/f", root + "/d", io, nullptr));
    refused(files.LinkFile(root + "/d", root + "/e", io, nullptr));
    check_ok(files.CreateDirIfMissing(root + "/d", io, nullptr));
    CHECK(children(files, root) == Names{"d"});
    CHECK(children(files, root + "/d") == Names{"f"});
    CHECK(read(files, root + "/d/f") == "x");
  });
}

TEST_CASE("paths may have slashes to spare") {
  on_each([](FileSystem& files, const std::string& root) {
    check_ok(files.CreateDirIfMissing(root + "//a/", io, nullptr));
    write(files, root + "/a//f", "x");
    CHECK(read(files, root + "//a/f") == "x");
    CHECK(children(files, root + "/a/") == Names{"f"});
    check_ok(files.RenameFile(root + "/a//f", root + "/./a/g", io, nullptr));
    check_ok(files.FileExists(root + "/a/g", io, nullptr));
    check_ok(files.RenameFile(root + "/a/", root + "/b", io, nullptr));
    CHECK(children(files, root + "/b") == Names{"g"});
    std::string absolute;
    check_ok(files.GetAbsolutePath(root + "/b", io, &absolute, nullptr));
    CHECK(absolute == root + "/b");
  });
}

TEST_CASE("bytes are read as they were written, and fewer at the end") {
  on_each([](FileSystem& files, const std::string& root) {
    for (const char* name : {"/000001.log", "/MANIFEST-000001", "/000002.sst", "/CURRENT"}) {
      CAPTURE(name);
      const std::string path = root + name;
      std::string whole;
      auto file = create(files, path);
      CHECK(size_of(files, path) == 0);
      CHECK(read(files, path).empty());
      for (const std::size_t length : {1u, 100u, 5000u, 70'000u, 3u}) {
        const std::string piece = bytes_of(length, length);
        append(*file, piece);
        whole += piece;
        CHECK(size_of(files, path) == whole.size());
        CHECK(file->GetFileSize(io, nullptr) == whole.size());
      }
      check_ok(file->Append("checked", io, rocksdb::DataVerificationInfo(), nullptr));
      check_ok(file->Append("", io, nullptr));
      whole += "checked";
      check_ok(file->Flush(io, nullptr));
      CHECK(read(files, path) == whole);
      check_ok(file->Sync(io, nullptr));
      check_ok(file->Fsync(io, nullptr));
      check_ok(file->Close(io, nullptr));
      CHECK(size_of(files, path) == whole.size());

      auto random = open(files, path);
      for (const std::size_t offset : {0u, 1u, 99u, 4096u, 70'000u, 75'000u, 75'110u}) {
        CHECK(read_at(*random, offset, 1000) == whole.substr(offset, 1000));
      }
      CHECK(read_at(*random, whole.size(), 10).empty());
      CHECK(read_at(*random, whole.size() + 1'000'000, 10).empty());
      std::string scratch[2] = {std::string(50, '?'), std::string(50, '?')};
      rocksdb::FSReadRequest requests[2];
      for (std::size_t i = 0; i < 2; ++i) {
        requests[i].offset = i == 0 ? 10 : whole.size() - 20;
        requests[i].len = 50;
        requests[i].scratch = scratch[i].data();
      }
      check_ok(random->MultiRead(requests, 2, io, nullptr));
      CHECK(requests[0].result == whole.substr(10, 50));
      CHECK(requests[1].result == whole.substr(whole.size() - 20));

      std::unique_ptr<rocksdb::FSSequentialFile> sequential;
      check_ok(files.NewSequentialFile(path, FileOptions(), &sequential, nullptr));
      const auto next = [&](std::size_t length) {
        std::string buffer(length, '?');
        Slice found;
        check_ok(sequential->Read(length, io, &found, buffer.data(), nullptr));
        return found.ToString();
      };
      CHECK(next(10) == whole.substr(0, 10));
      check_ok(sequential->Skip(5000));
      CHECK(next(10) == whole.substr(5010, 10));
      CHECK(next(1'000'000) == whole.substr(5020));
      CHECK(next(10).empty());
    }
  });
}

TEST_CASE("a log can be read while it is appended to") {
  on_each([](FileSystem& files, const std::string& root) {
    for (const char* name : {"/000001.log", "/MANIFEST-000001"}) {
      auto file = create(files, root + name);
      append(*file, "first");
      std::unique_ptr<rocksdb::FSSequentialFile> reader;
      check_ok(files.NewSequentialFile(root + name, FileOptions(), &reader, nullptr));
      const auto next = [&] {
        char buffer[100];
        Slice found;
        check_ok(reader->Read(sizeof buffer, io, &found, buffer, nullptr));
        return found.ToString();
      };
      CHECK(next() == "first");
      CHECK(next().empty());
      append(*file, "second");
      append(*file, "third");
      CHECK(next() == "secondthird");
      std::string much = bytes_of(1, 200'000);
      append(*file, much);
      std::string found;
      for (std::string piece = next(); !piece.empty(); piece = next()) found += piece;
      CHECK(found == much);
    }
  });
}

TEST_CASE("who has a file open goes on reading it when it is replaced or removed") {
  on_each([](FileSystem& files, const std::string& root) {
    const std::string old = bytes_of(1, 30'000);
    for (const char* how : {"renamed over", "removed", "made anew"}) {
      CAPTURE(how);
      write(files, root + "/f", old);
      auto reader = open(files, root + "/f");
      if (how == std::string("renamed over")) {
        write(files, root + "/new", "new");
        check_ok(files.RenameFile(root + "/new", root + "/f", io, nullptr));
        CHECK(read(files, root + "/f") == "new");
      } else {
        check_ok(files.DeleteFile(root + "/f", io, nullptr));
        if (how == std::string("made anew")) write(files, root + "/f", "anew");
      }
      std::unique_ptr<rocksdb::FSDirectory> directory;
      check_ok(files.NewDirectory(root, io, &directory, nullptr));
      check_ok(directory->Fsync(io, nullptr));
      // What others write meanwhile must not come in its place.
      for (int i = 0; i < 10; ++i) {
        auto other = create(files, root + "/other" + std::to_string(i));
        append(*other, bytes_of(9, 30'000));
        check_ok(other->Sync(io, nullptr));
      }
      CHECK(read_at(*reader, 0, old.size()) == old);
    }
  });
}

TEST_CASE("a rename replaces, and moves a directory with all in it") {
  on_each([](FileSystem& files, const std::string& root) {
    write(files, root + "/CURRENT", "old");
    write(files, root + "/000001.dbtmp", "new");
    check_ok(files.RenameFile(root + "/000001.dbtmp", root + "/CURRENT", io, nullptr));
    CHECK(read(files, root + "/CURRENT") == "new");
    CHECK(children(files, root) == Names{"CURRENT"});

    check_ok(files.CreateDir(root + "/copy.tmp", io, nullptr));
    check_ok(files.CreateDir(root + "/copy.tmp/deep", io, nullptr));
    write(files, root + "/copy.tmp/a", "1");
    write(files, root + "/copy.tmp/deep/b", "2");
    write(files, root + "/copy.tmpx", "3");
    auto reader = open(files, root + "/copy.tmp/a");
    check_ok(files.RenameFile(root + "/copy.tmp", root + "/copy", io, nullptr));
    CHECK(children(files, root) == Names{"CURRENT", "copy", "copy.tmpx"});
    CHECK(children(files, root + "/copy") == Names{"a", "deep"});
    CHECK(read(files, root + "/copy/deep/b") == "2");
    CHECK(read_at(*reader, 0, 9) == "1");
    CHECK(files.FileExists(root + "/copy.tmp/a", io, nullptr).IsNotFound());
    bool is = false;
    check_ok(files.IsDirectory(root + "/copy", io, &is, nullptr));
    CHECK(is);
    check_ok(files.IsDirectory(root + "/CURRENT", io, &is, nullptr));
    CHECK_FALSE(is);
  });
}

TEST_CASE("a second name keeps a file when the first one goes") {
  on_each([](FileSystem& files, const std::string& root) {
    write(files, root + "/a", "bytes");
    check_ok(files.LinkFile(root + "/a", root + "/b", io, nullptr));
    CHECK_FALSE(files.LinkFile(root + "/a", root + "/b", io, nullptr).ok());
    std::uint64_t links = 0;
    check_ok(files.NumFileLinks(root + "/b", io, &links, nullptr));
    CHECK(links == 2);
    bool same = false;
    check_ok(files.AreFilesSame(root + "/a", root + "/b", io, &same, nullptr));
    CHECK(same);
    write(files, root + "/c", "bytes");
    check_ok(files.AreFilesSame(root + "/a", root + "/c", io, &same, nullptr));
    CHECK_FALSE(same);
    check_ok(files.DeleteFile(root + "/a", io, nullptr));
    CHECK(read(files, root + "/b") == "bytes");
    check_ok(files.NumFileLinks(root + "/b", io, &links, nullptr));
    CHECK(links == 1);
  });
}

TEST_CASE("what is allocated ahead shows in no size") {
  on_each([](FileSystem& files, const std::string& root) {
    for (const char* name : {"/000001.log", "/000002.sst"}) {
      auto file = create(files, root + name);
      file->SetPreallocationBlockSize(1 << 20);
      file->PrepareWrite(0, 10, io, nullptr);
      append(*file, "0123456789");
      check_ok(file->Allocate(0, 4 << 20, io, nullptr));
      check_ok(file->RangeSync(0, 10, io, nullptr));
      CHECK(file->IsSyncThreadSafe());
      check_ok(file->Sync(io, nullptr));
      check_ok(file->Close(io, nullptr));
      CHECK(size_of(files, root + name) == 10);
      CHECK(read(files, root + name) == "0123456789");
    }
  });
}

TEST_CASE("an ordinary file is opened again at its end, and can be cut") {
  on_each([](FileSystem& files, const std::string& root) {
    const std::string path = root + "/000001.sst";
    write(files, path, "0123456789");
    std::unique_ptr<rocksdb::FSWritableFile> file;
    check_ok(files.ReopenWritableFile(path, FileOptions(), &file, nullptr));
    append(*file, "more");
    CHECK(read(files, path) == "0123456789more");
    check_ok(file->Truncate(4, io, nullptr));
    append(*file, "new");
    check_ok(file->Sync(io, nullptr));
    check_ok(file->Close(io, nullptr));
    CHECK(read(files, path) == "0123new");
    check_ok(files.ReopenWritableFile(root + "/made", FileOptions(), &file, nullptr));
    CHECK(size_of(files, root + "/made") == 0);
  });
}

TEST_CASE("bytes in the middle of a file can be written over") {
  on_each([](FileSystem& files, const std::string& root) {
    write(files, root + "/f", std::string(10'000, 'a'));
    std::unique_ptr<rocksdb::FSRandomRWFile> file;
    check_ok(files.NewRandomRWFile(root + "/f", FileOptions(), &file, nullptr));
    check_ok(file->Write(5000, "bbb", io, nullptr));
    char buffer[5];
    Slice found;
    check_ok(file->Read(4999, 5, io, &found, buffer, nullptr));
    CHECK(found == "abbba");
    check_ok(file->Sync(io, nullptr));
    check_ok(file->Close(io, nullptr));
    CHECK(read(files, root + "/f").substr(4999, 5) == "abbba");
    CHECK(size_of(files, root + "/f") == 10'000);
  });
}

TEST_CASE("attributes, times, free space and locks") {
  on_each([](FileSystem& files, const std::string& root) {
    write(files, root + "/a", "12345");
    std::vector<rocksdb::FileAttributes> attributes;
    check_ok(files.GetChildrenFileAttributes(root, io, &attributes, nullptr));
    REQUIRE(attributes.size() == 1);
    CHECK(attributes[0].name == "a");
    CHECK(attributes[0].size_bytes == 5);
    std::uint64_t time = 0;
    check_ok(files.GetFileModificationTime(root + "/a", io, &time, nullptr));
    CHECK(time >= 1'700'000'000);
    std::uint64_t space = 0;
    check_ok(files.GetFreeSpace(root, io, &space, nullptr));
    CHECK(space > 0);
    rocksdb::FileLock* lock = nullptr;
    rocksdb::FileLock* second = nullptr;
    check_ok(files.LockFile(root + "/LOCK", io, &lock, nullptr));
    CHECK_FALSE(files.LockFile(root + "/LOCK", io, &second, nullptr).ok());
    check_ok(files.UnlockFile(lock, io, nullptr));
    check_ok(files.LockFile(root + "/LOCK", io, &lock, nullptr));
    check_ok(files.UnlockFile(lock, io, nullptr));
  });
}

TEST_CASE("threads write, sync and read files of their own together") {
  on_each([](FileSystem& files, const std::string& root) {
    std::vector<std::jthread> threads;
    std::vector<int> good(4);
    for (std::size_t me = 0; me < good.size(); ++me) {
      threads.emplace_back([&, me] {
        for (int round = 0; round < 20; ++round) {
          const std::string path = root + "/" + std::to_string(me) + (me % 2 ? ".log" : ".sst");
          std::unique_ptr<rocksdb::FSWritableFile> file;
          if (!files.NewWritableFile(path, FileOptions(), &file, nullptr).ok()) return;
          std::string whole;
          for (std::uint64_t i = 0; i < 10; ++i) {
            const std::string piece = bytes_of(me * 100 + i, 1000);
            if (!file->Append(piece, io, nullptr).ok() || !file->Sync(io, nullptr).ok()) return;
            whole += piece;
          }
          std::string found;
          if (!file->Close(io, nullptr).ok() || !read_whole(files, path, &found).ok()) return;
          if (found != whole || !files.DeleteFile(path, io, nullptr).ok()) return;
        }
        good[me] = 1;
      });
    }
    threads.clear();
    CHECK(good == std::vector<int>{1, 1, 1, 1});
  });
}

TEST_CASE("a file that was synced and dropped without closing is there after a power cut") {
  ContainerPlace place = value_of(open_place(std::make_shared<SimulatedDevice>()));
  FileSystem& files = *place.files;
  for (const char* path : {"/synced.sst", "/synced.log"}) {
    auto file = create(files, path);
    append(*file, bytes_of(1, 9000));
    check_ok(file->Sync(io, nullptr));
    append(*file, "never synced");
  }
  std::unique_ptr<rocksdb::FSDirectory> directory;
  check_ok(files.NewDirectory("/", io, &directory, nullptr));
  check_ok(directory->Fsync(io, nullptr));
  auto unsynced = create(files, "/unsynced.log");
  append(*unsynced, "never synced");
  ContainerPlace after =
      value_of(open_place(place.device->moment().crash({CrashPlan::Kind::none})));
  CHECK(read(*after.files, "/synced.sst") == bytes_of(1, 9000));
  CHECK(read(*after.files, "/synced.log").substr(0, 9000) == bytes_of(1, 9000));
  CHECK(after.files->FileExists("/unsynced.log", io, nullptr).IsNotFound());
}

TEST_CASE("a log is not appended to again") {
  ContainerPlace place = value_of(open_place(std::make_shared<SimulatedDevice>()));
  write(*place.files, "/000001.log", "bytes");
  std::unique_ptr<rocksdb::FSWritableFile> file;
  CHECK(place.files->ReopenWritableFile("/000001.log", FileOptions(), &file, nullptr)
            .IsNotSupported());
  CHECK(read(*place.files, "/000001.log") == "bytes");
}

namespace {

// Where a log lies, and what it is known by.
struct Lying {
  std::uint64_t id = 0;
  container::Extents extents{};
};

Lying lying(ContainerPlace& place, const std::string& path) {
  const auto file = value_of(place.container->open_file(path));
  MutexLock lock(file->mutex);
  return {.id = file->id, .extents = *file->extents};
}

bool same(const container::Extents& one, const container::Extents& other) {
  return std::ranges::equal(one, other, [](const auto& left, const auto& right) {
    return left.offset == right.offset && left.length == right.length;
  });
}

enum class Way { kill, close, power_cut };

// What the next process finds.
ContainerPlace opened_again(ContainerPlace& place, Way way) {
  if (way == Way::close) value_of(place.container->close());
  const auto lost = way == Way::power_cut ? CrashPlan::Kind::none : CrashPlan::Kind::all;
  return value_of(open_place(place.device->moment().crash({lost})));
}

// Records of one size, so that an envelope of an old log stands where each of a new one ends; four
// of them fill a sector, so that what a power cut leaves of the next one is the old log's.
constexpr std::size_t record_bytes = 88;
static_assert(4 * 128 == container::sector_bytes);

std::string records(std::uint64_t seed, std::size_t count) {
  return bytes_of(seed, count * record_bytes);
}
void append_records(rocksdb::FSWritableFile& file, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += record_bytes) {
    append(file, bytes.substr(at, record_bytes));
  }
}

// What is wrong with a new log, whatever a power cut leaves of it.
std::string problem_with_new(const DiskImage& image, const std::string& whole, bool synced) {
  auto place = open_place(image);
  if (!place) return place.error().message;
  if (place->files->FileExists("/new.log", io, nullptr).IsNotFound()) {
    return synced ? "it is not there" : "";
  }
  const std::string found = read(*place->files, "/new.log");
  if (synced && found.size() < whole.size()) return "it lacks what was synced";
  if (whole.starts_with(found)) return "";
  return "it shows " + std::to_string(found.size()) + " bytes that it never had";
}

// All that a power cut may leave of a log that is made where an old one was. Tells where that is.
Lying check_new(ContainerPlace& place, const std::string& whole, std::uint64_t* count) {
  place.device->keep_moments();
  auto file = create(*place.files, "/new.log");
  append_records(*file, whole);
  check_ok(file->Sync(io, nullptr));
  std::uint64_t& images = *count;
  const auto moments = place.device->moments();
  for (const KeptMoment& kept : moments) {
    std::vector<CrashPlan> plans{{.kind = CrashPlan::Kind::none}, {.kind = CrashPlan::Kind::all}};
    for (std::size_t i = 0; i < kept.moment.pending.size(); ++i) {
      plans.push_back({.kind = CrashPlan::Kind::all_but, .index = i});
      plans.push_back({.kind = CrashPlan::Kind::some, .seed = images + i});
    }
    for (const CrashPlan& plan : plans) {
      ++images;
      CAPTURE(kept.calls);
      CAPTURE(plan.describe());
      CHECK(problem_with_new(kept.moment.crash(plan), whole, &kept == &moments.back()) == "");
    }
  }
  // While it is open: closing gives back what was allocated ahead.
  return lying(place, "/new.log");
}

}  // namespace

TEST_CASE("a log that takes the place of an old one never shows what the old one held") {
  std::uint64_t images = 0;
  for (const Way way : {Way::kill, Way::close, Way::power_cut}) {
    CAPTURE(static_cast<int>(way));
    ContainerPlace place = value_of(open_place(std::make_shared<SimulatedDevice>()));
    std::set<std::uint64_t> ids;
    const auto note = [&](const Lying& file) {
      CHECK(ids.insert(file.id).second);
      return file;
    };
    for (std::uint64_t round = 0; round < 4; ++round) {
      CAPTURE(round);
      // Each the first one of its opening.
      auto file = create(*place.files, "/old.log");
      append_records(*file, records(round, 50));
      check_ok(file->Sync(io, nullptr));
      const Lying old = note(lying(place, "/old.log"));
      file.reset();
      const auto active = [&] {
        return value_of(container::read_superblocks(*place.device)).newest.active;
      };
      const std::uint32_t before = active();
      for (int i = 0; active() == before; ++i) {
        REQUIRE(i < 10'000);
        create(*place.files, "/turns.sst").reset();
        note(lying(place, "/turns.sst"));
      }
      check_ok(place.files->DeleteFile("/old.log", io, nullptr));
      value_of(place.container->sync_names());
      {
        // In the same opening: its blocks are not even zeroed.
        const std::string whole = records(100 + round, 4);
        const Lying fresh = note(check_new(place, whole, &images));
        CHECK(same(fresh.extents, old.extents));
        CHECK(read(*place.files, "/new.log") == whole);
      }
      check_ok(place.files->DeleteFile("/new.log", io, nullptr));
      value_of(place.container->sync_names());

      place = opened_again(place, way);
      const std::string whole = records(200 + round, 4);
      const Lying fresh = note(check_new(place, whole, &images));
      CHECK(same(fresh.extents, old.extents));
      place = opened_again(place, way);
      CHECK(read(*place.files, "/new.log") == whole);
      CHECK(lying(place, "/new.log").id == fresh.id);
      CHECK(problem_with(place) == "");
      check_ok(place.files->DeleteFile("/new.log", io, nullptr));
      value_of(place.container->sync_names());
      place = opened_again(place, way);
    }
  }
  MESSAGE(images << " crash images");
}
