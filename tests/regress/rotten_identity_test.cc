// A rotten byte in the file in which RocksDB keeps the name of a database ended the process:
// RocksDB takes it for granted that reading it fails in one way only.
#include <doctest/doctest.h>

#include <regex>

#include "store/fixture.h"
#include "support/files.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a rotten byte in IDENTITY is an error that names the place") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s.once");
  {
    Store store = value_of(Store::open(path));
    value_of(store.execute("k", [] { return 1; }));
  }
  std::string bytes = read_file(path);
  const std::regex uuid("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
  // Tables tell the name, too; in the file it stands at the start of a block.
  std::size_t at = std::string::npos;
  for (std::sregex_iterator i(bytes.begin(), bytes.end(), uuid), end; i != end; ++i) {
    if (i->position() % 4096 == 0) at = static_cast<std::size_t>(i->position());
  }
  REQUIRE(at != std::string::npos);
  bytes[at + 3] = static_cast<char>(bytes[at + 3] ^ 1);
  write_file(path, bytes);
  for (const bool read_only : {true, false}) {
    const auto opened = Store::open(path, {.read_only = read_only});
    CHECK(error_of(opened) == ErrorCode::damaged);
    CHECK(opened.error().message.find("IDENTITY, byte " + std::to_string(at)) != std::string::npos);
  }
}
