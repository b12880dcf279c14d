// Damaged files: a clear error, or the very same answers as before; never others, never a crash.
#include <doctest/doctest.h>

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
    make_sample(path);
    files = files_of(path);
    Store store = value_of(Store::open(path, {.read_only = true}));
    rows = value_of(rows_of(store));
  }

  TemporaryDirectory directory;
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
  const TemporaryDirectory directory;
  const std::string path = directory.file("damaged");
  Files files = sample().files;
  int refused = 0;
  for (const std::size_t place : at) {
    CAPTURE(name);
    CAPTURE(place);
    std::string& content = files[name];
    for (const char bits : {'\x01', '\xff'}) {
      CAPTURE(static_cast<int>(bits));
      content[place] = static_cast<char>(content[place] ^ bits);
      write_files(path, files);
      refused += refuses(path, {.read_only = read_only}) ? 1 : 0;
      content[place] = static_cast<char>(content[place] ^ bits);
    }
  }
  MESSAGE(name << ": " << refused << " of " << 2 * at.size() << " refused");
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

TEST_CASE("a flipped byte") {
  for (const char* part : {"ONCE", "CURRENT", "MANIFEST", ".sst", ".log"}) {
    for (const std::string& name : names(part)) {
      if (name == "ONCE.lock") continue;
      flip(name, places(sample().files.at(name).size(), 40), true);
    }
  }
}

TEST_CASE("a missing file") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("damaged");
  for (const auto& [name, content] : sample().files) {
    for (const bool read_only : {true, false}) {
      CAPTURE(name);
      CAPTURE(read_only);
      Files files = sample().files;
      files.erase(name);
      write_files(path, files);
      const bool refused = refuses(path, {.create_if_missing = true, .read_only = read_only});
      MESSAGE(name << (refused ? " refused" : " same"));
    }
  }
}
