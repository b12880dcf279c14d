// Damaged files of a store in a directory: a clear error, or the very same answers as before; never
// others, never a crash.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "once/store.h"
#include "store/sample_store.h"
#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;

namespace {

using Files = std::map<std::string, std::string>;

struct Sample {
  Sample() {
    make_sample(path, Layout::directory);
    files = files_of(path);
    Store store = value_of(Store::open(path, {.read_only = true}));
    rows = value_of(rows_of(store));
  }

  TemporaryDirectory directory{quick_place()};
  std::string path = directory.file("sample");
  Files files;
  std::vector<Row> rows;
};

// One for all: what is damaged are copies.
const Sample& sample() {
  static const Sample made;
  return made;
}

// Whether a damaged store gives an error (true), or all that it should (false). Anything between
// fails the test.
bool refuses(const std::string& path, const Options& options) {
  auto store = Store::open(path, options);
  if (!store) {
    CAPTURE(store.error().message);
    const std::set<ErrorCode> clear{ErrorCode::damaged, ErrorCode::newer_format,
                                    ErrorCode::store_missing};
    CHECK(clear.contains(store.error().code));
    CHECK(store.error().message.find(path) != std::string::npos);
    return true;
  }
  auto rows = rows_of(*store);
  auto verified = store->verify();
  const bool reported = !verified || !verified->problems.empty();
  if (!rows) {
    CAPTURE(rows.error().message);
    CHECK(rows.error().code == ErrorCode::damaged);
    CHECK(reported);
    return true;
  }
  CHECK(rows->size() == sample().rows.size());
  CHECK(*rows == sample().rows);
  for (const Row& row : *rows) {
    const auto* key = std::get_if<KeyRow>(&row);
    if (key == nullptr) continue;
    auto found = store->find(key->key);
    if (found) {
      REQUIRE(found->has_value());
      CHECK((*found)->record == key->record);
    } else {
      CHECK(found.error().code == ErrorCode::damaged);
    }
  }
  return false;
}

// Flips a byte of `name` at every place of `at` and looks, opening to read or to write.
void flip(const std::string& name, const std::vector<std::size_t>& at, bool read_only) {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("damaged");
  Files files = sample().files;
  for (const std::size_t place : at) {
    CAPTURE(name);
    CAPTURE(place);
    std::string& content = files[name];
    for (const char bits : {'\x01', '\xff'}) {
      CAPTURE(static_cast<int>(bits));
      content[place] = static_cast<char>(content[place] ^ bits);
      write_files(path, files);
      (void)refuses(path, {.read_only = read_only});
      content[place] = static_cast<char>(content[place] ^ bits);
    }
  }
}

// About `count` places in `size` bytes, the first and last few among them.
std::vector<std::size_t> places(std::size_t size, std::size_t count) {
  std::set<std::size_t> chosen;
  for (std::size_t i = 0; i < size; i += std::max<std::size_t>(1, size / count)) chosen.insert(i);
  for (std::size_t i = 0; i < std::min<std::size_t>(size, 8); ++i) {
    chosen.insert(i);
    chosen.insert(size - 1 - i);
  }
  return {chosen.begin(), chosen.end()};
}

std::vector<std::string> names(const std::string& part) {
  std::vector<std::string> found;
  for (const auto& [name, content] : sample().files) {
    if (name.find(part) != std::string::npos && !content.empty()) found.push_back(name);
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

}  // namespace

TEST_CASE("the sample is whole") {
  CHECK(sample().rows.size() > 100);
  CHECK(names(".log").size() >= 2);
  CHECK(names(".sst").size() >= 5);
  CHECK_FALSE(refuses(sample().path, {.read_only = true}));
}

TEST_CASE("a flipped byte in any file") {
  for (const char* part : {"ONCE", "CURRENT", "MANIFEST", ".sst", ".log"}) {
    for (const std::string& name : names(part)) {
      if (name == "ONCE.lock") continue;  // for people only
      flip(name, places(sample().files.at(name).size(), 40), true);
    }
  }
  for (const char* part : {"IDENTITY", "ONCE.lock"}) {
    for (const std::string& name : names(part)) {
      flip(name, places(sample().files.at(name).size(), 5), true);
    }
  }
}

TEST_CASE("a flipped byte, opened to write") {
  for (const auto& [name, content] : sample().files) {
    if (!content.empty()) flip(name, {0, content.size() / 2, content.size() - 1}, false);
  }
}

TEST_CASE("every byte of what RocksDB reads of a table before any checksum") {
  const std::string name = names(".sst").front();
  const std::size_t size = sample().files.at(name).size();
  std::vector<std::size_t> last;
  for (std::size_t at = size > 300 ? size - 300 : 0; at < size; ++at) last.push_back(at);
  flip(name, last, true);
}

TEST_CASE("a file that was cut") {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("damaged");
  Files files = sample().files;
  for (const auto& [name, content] : sample().files) {
    for (const std::size_t size : places(std::max<std::size_t>(content.size(), 1), 10)) {
      CAPTURE(name);
      CAPTURE(size);
      files[name] = content.substr(0, size);
      write_files(path, files);
      const bool refused = refuses(path, {.read_only = true});
      const bool holds_rows = name.ends_with(".log") || name.ends_with(".sst");
      if (holds_rows && size < content.size()) CHECK(refused);
    }
    files[name] = content;
  }
}

TEST_CASE("a missing file: an error or the same answers, and nothing else goes") {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("damaged");
  for (const auto& [name, content] : sample().files) {
    for (const bool read_only : {true, false}) {
      CAPTURE(name);
      CAPTURE(read_only);
      Files files = sample().files;
      files.erase(name);
      write_files(path, files);
      if (!refuses(path, {.read_only = read_only})) continue;
      Files now = files_of(path);
      // Who has it open is told to people; all else is as it was.
      now["ONCE.lock"] = files["ONCE.lock"];
      CHECK(now == files);
    }
  }
}

TEST_CASE("two files missing: never an empty store") {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("damaged");
  for (const char* part : {"CURRENT", "MANIFEST", ".log", ".sst"}) {
    Files files = sample().files;
    files.erase("ONCE");
    std::erase_if(files,
                  [&](const auto& file) { return file.first.find(part) != std::string::npos; });
    write_files(path, files);
    CAPTURE(part);
    CHECK(refuses(path, {}));
  }
}

namespace {

std::vector<std::uint64_t> history_of(Store& store) {
  std::vector<std::uint64_t> sequences;
  value_of(store.history({}, [&](const HistoryEntry& entry) {
    sequences.push_back(entry.sequence);
    return true;
  }));
  return sequences;
}

// The files of a store whose process was killed: its newest log has no known end.
Files killed_store(std::vector<std::uint64_t>& history) {
  const TemporaryDirectory directory{quick_place()};
  Store store = value_of(Store::open(directory.file("store"), {.layout = Layout::directory}));
  write_some(store, "first");
  write_some(store, "second");
  history = history_of(store);
  return files_of(directory.file("store"));
}

std::string newest_log(const Files& files) {
  std::string newest;
  for (const auto& [name, content] : files) {
    if (name.ends_with(".log")) newest = name;
  }
  return newest;
}

}  // namespace

TEST_CASE("a log cut short by a power cut: what stands before, whole commits, all consistent") {
  std::vector<std::uint64_t> history;
  Files files = killed_store(history);
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("cut");
  const std::string name = newest_log(files);
  const std::string whole = files.at(name);
  std::size_t shortest = history.size();
  for (const std::size_t size : places(whole.size(), 40)) {
    CAPTURE(size);
    files[name] = whole.substr(0, size);
    write_files(path, files);
    auto store = Store::open(path, {.read_only = true});
    if (!store) {
      CHECK(store.error().code == ErrorCode::damaged);
      continue;
    }
    const auto left = history_of(*store);
    REQUIRE(left.size() <= history.size());
    CHECK(std::equal(left.begin(), left.end(), history.begin()));
    CHECK(value_of(store->verify()).problems.empty());
    shortest = std::min(shortest, left.size());
  }
  CHECK(shortest < history.size());
}

TEST_CASE("a damaged log is refused; keep_prefix gives what stands before, to read only") {
  std::vector<std::uint64_t> history;
  Files files = killed_store(history);
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("damaged");
  std::string& log = files[newest_log(files)];
  log[log.size() / 2] = static_cast<char>(log[log.size() / 2] ^ 0x10);
  write_files(path, files);
  CHECK(error_of(Store::open(path)) == ErrorCode::damaged);
  CHECK(error_of(Store::open(path, {.read_only = true})) == ErrorCode::damaged);
  CHECK(error_of(Store::open(path, {.damaged_log = DamagedLog::keep_prefix})) ==
        ErrorCode::invalid_argument);

  Files before = files_of(path);
  Store store =
      value_of(Store::open(path, {.read_only = true, .damaged_log = DamagedLog::keep_prefix}));
  const auto left = history_of(store);
  CHECK(left.size() > history.size() / 4);
  CHECK(left.size() < history.size());
  CHECK(std::equal(left.begin(), left.end(), history.begin()));
  CHECK(value_of(store.verify()).problems.empty());
  CHECK(files_of(path) == before);

  // What it gives can be saved into a fresh store.
  const std::string fresh = directory.file("fresh");
  value_of(store.backup(fresh));
  Store saved = value_of(Store::open(fresh));
  CHECK(history_of(saved) == left);
}

TEST_CASE("keep_prefix also where a log of a closed store was damaged") {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("damaged");
  Files files = sample().files;
  std::string& log = files[newest_log(files)];
  log[log.size() / 2] = static_cast<char>(log[log.size() / 2] ^ 0x10);
  write_files(path, files);
  CHECK(refuses(path, {}));
  Store store =
      value_of(Store::open(path, {.read_only = true, .damaged_log = DamagedLog::keep_prefix}));
  const auto rows = value_of(rows_of(store));
  CHECK(rows.size() < sample().rows.size());
  CHECK(rows.size() >= sample().rows.size() / 2);
}
