// Where the file that names the manifest was lost, opening to write told of an error of the disk:
// RocksDB hands that on as an invalid argument.
#include <doctest/doctest.h>

#include "store/fixture.h"
#include "support/files.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a lost CURRENT is damage, and its place is named") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s.once");
  {
    Store store = value_of(Store::open(path));
    value_of(store.execute("k", [] { return 1; }));
  }
  std::string bytes = read_file(path);
  // It stands at the start of a block, as do those that it has replaced.
  for (std::size_t at = 0; (at = bytes.find("MANIFEST-", at)) != std::string::npos; ++at) {
    if (at % 4096 == 0) bytes.replace(at, 16, 16, '\0');
  }
  write_file(path, bytes);
  for (const bool read_only : {true, false}) {
    const auto opened = Store::open(path, {.read_only = read_only});
    REQUIRE(error_of(opened) == ErrorCode::damaged);
    CHECK(opened.error().message.find("CURRENT, byte ") != std::string::npos);
  }
}
