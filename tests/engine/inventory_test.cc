#include "engine/embedded/inventory.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "engine/embedded/inventory_file_system.h"
#include "support/check_result.h"
#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;

namespace {

struct Place {
  TemporaryDirectory directory;
  std::string log = directory.file("000007.log");
  std::string list = directory.file("ONCE.files");

  // Notes that there is a log, and what it holds when the store is closed.
  void close_with(const std::string& content) const {
    Inventory inventory(directory.path());
    value_of(inventory.load());
    value_of(inventory.start_writing());
    write_file(log, content);
    value_of(inventory.note_log("000007.log"));
    value_of(inventory.note_closed());
  }
  [[nodiscard]] Result<void> check() const {
    Inventory inventory(directory.path());
    if (auto loaded = inventory.load(); !loaded) return loaded;
    return inventory.check();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Place, "without the file nothing is known, and all is well") {
  write_file(log, "content");
  value_of(check());
}

TEST_CASE_FIXTURE(Place, "a log that is as it was is fine; any other is damage and named") {
  close_with("content");
  value_of(check());
  for (const char* other : {"contenu", "conten", "content+", ""}) {
    write_file(log, other);
    const auto checked = check();
    CHECK(error_of(checked) == ErrorCode::damaged);
    CHECK(checked.error().message.find(log) != std::string::npos);
  }
  std::filesystem::remove(log);
  CHECK(error_of(check()) == ErrorCode::damaged);
}

TEST_CASE_FIXTURE(Place, "a log that was removed is not missed, nor is one that is still there") {
  close_with("content");
  Inventory inventory(directory.path());
  value_of(inventory.load());
  value_of(inventory.start_writing());
  value_of(inventory.note_removal("000007.log"));
  value_of(check());
  std::filesystem::remove(log);
  value_of(check());
}

TEST_CASE_FIXTURE(Place, "logs that nobody has noted are taken up when writing starts") {
  write_file(log, "content");
  Inventory inventory(directory.path());
  value_of(inventory.load());
  value_of(inventory.start_writing());
  std::filesystem::remove(log);
  CHECK(error_of(check()) == ErrorCode::damaged);
}

TEST_CASE_FIXTURE(Place, "a torn last line counts for nothing, and is gone with the next writing") {
  close_with("content");
  const std::string whole = read_file(list);
  write_file(list, whole + "+00000");
  value_of(check());
  {
    Inventory inventory(directory.path());
    value_of(inventory.load());
    value_of(inventory.start_writing());
  }
  CHECK(read_file(list) == whole);
}

TEST_CASE_FIXTURE(Place, "a line that nobody wrote is damage") {
  close_with("content");
  for (const char* line :
       {"?000007.log", "+", "", "=000007.log", "=000007.log x 0", "=000007.log 7 12",
        "=000007.log 7 000000000000000g", "+../../etc.log", "+000007.log 5", "+000007.sst"}) {
    CAPTURE(line);
    write_file(list, std::string(line) + "\n");
    CHECK(error_of(check()) == ErrorCode::damaged);
  }
}

TEST_CASE_FIXTURE(Place, "a changed byte of the list is damage, or changes nothing") {
  close_with("content");
  const std::string whole = read_file(list);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char bits : {'\x01', '\x02', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ bits);
      write_file(list, changed);
      CAPTURE(changed);
      if (const auto checked = check(); !checked) CHECK(error_of(checked) == ErrorCode::damaged);
    }
  }
}

TEST_CASE_FIXTURE(Place, "it is written anew when it has grown, and loses nothing") {
  close_with("content");
  std::string grown = read_file(list);
  while (grown.size() < (std::size_t{100} << 10)) grown += "=000009.sst 5 0000000000000000\n";
  write_file(list, grown);
  Inventory inventory(directory.path());
  value_of(inventory.load());
  value_of(inventory.start_writing());
  CHECK(read_file(list).size() < 200);
  write_file(log, "contenu");
  CHECK(error_of(check()) == ErrorCode::damaged);
}

TEST_CASE_FIXTURE(Place, "a table whose end is not what was written is not opened") {
  const auto inventory = std::make_shared<Inventory>(directory.path());
  value_of(inventory->load());
  value_of(inventory->start_writing());
  const auto files = make_inventory_file_system(rocksdb::FileSystem::Default(), inventory);
  const std::string table = directory.file("000008.sst");
  const std::string content(10'000, 'x');
  std::unique_ptr<rocksdb::FSWritableFile> writing;
  REQUIRE(files->NewWritableFile(table, {}, &writing, nullptr).ok());
  REQUIRE(writing->Append(content.substr(0, 3000), {}, nullptr).ok());
  REQUIRE(writing->Append(content.substr(3000), {}, nullptr).ok());
  REQUIRE(writing->Close({}, nullptr).ok());

  const auto opens = [&] {
    std::unique_ptr<rocksdb::FSRandomAccessFile> file;
    return files->NewRandomAccessFile(table, {}, &file, nullptr);
  };
  CHECK(opens().ok());
  for (const std::size_t at : {std::size_t{6000}, content.size() - 1}) {
    std::string changed = content;
    changed[at] = 'y';
    write_file(table, changed);
    CHECK(opens().IsCorruption());
  }
  write_file(table, content.substr(0, 9999));
  CHECK_FALSE(opens().ok());
  write_file(table, content + "x");
  CHECK(opens().IsCorruption());
}
