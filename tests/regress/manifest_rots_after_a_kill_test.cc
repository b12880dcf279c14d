// What a flush had written last to the MANIFEST was vouched for by nothing until the next one,
// while logs and tables were removed on the strength of it: after a kill a flipped byte in it
// looked like a torn tail, and the store opened without its rows.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::uint64_t number_at(const std::string& bytes, std::size_t at, std::size_t width) {
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.data() + at, width);  // little-endian, as the hosts are
  return number;
}

// Where the envelopes of the newest MANIFEST stand (docs/formats.md).
std::vector<std::size_t> manifest_bytes(const std::string& image) {
  struct Envelope {
    std::size_t at = 0;
    std::size_t length = 0;
  };
  std::map<std::uint64_t, std::vector<Envelope>> logs;
  std::uint64_t newest = 0;
  for (std::size_t at = image.find("OENV"); at != std::string::npos;
       at = image.find("OENV", at + 1)) {
    const Envelope envelope{.at = at - 4, .length = 40 + number_at(image, at - 4, 4)};
    const std::uint64_t id = number_at(image, at + 4, 8);
    logs[id].push_back(envelope);
    const std::string payload = image.substr(envelope.at, envelope.length);
    if (payload.find("leveldb.BytewiseComparator") != std::string::npos) {
      newest = std::max(newest, id);
    }
  }
  std::vector<std::size_t> bytes;
  for (const Envelope& envelope : logs[newest]) {
    for (std::size_t i = 0; i < envelope.length; i += 3) bytes.push_back(envelope.at + i);
  }
  return bytes;
}

}  // namespace

TEST_CASE("a flipped byte of the MANIFEST after a flush and a kill hides nothing") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s");
  constexpr int keys = 8;
  // Each opening adds a log; the ninth one writes them into tables and removes them.
  for (int i = 0; i < keys; ++i) {
    Store store = value_of(Store::open(path));
    value_of(store.execute(std::to_string(i), [] { return Bytes("x"); }));
    value_of(store.close());
  }
  Store store = value_of(Store::open(path));
  // As a kill leaves it.
  const std::string left = read_file(path);
  const std::vector<std::size_t> places = manifest_bytes(left);
  REQUIRE(places.size() > 100);
  const std::string copy = directory.file("copy");
  int refused = 0;
  for (const std::size_t place : places) {
    CAPTURE(place);
    std::string image = left;
    image[place] = static_cast<char>(image[place] ^ 0x10);
    write_file(copy, image);
    auto opened = Store::open(copy, {.read_only = true});
    if (!opened) {
      ++refused;
      CHECK(opened.error().code == ErrorCode::damaged);
      CHECK(opened.error().message.find("byte ") != std::string::npos);
      continue;
    }
    for (int i = 0; i < keys; ++i) CHECK(value_of(opened->find(std::to_string(i))));
  }
  MESSAGE(places.size() << " bytes flipped, " << refused << " times refused");
  CHECK(refused > 0);
}
