// A forked child that ended by exit() hung in a destructor of RocksDB, which waited for a thread
// that exists in the parent only.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a forked child may end by exit()") {
  const TemporaryDirectory directory;
  Store store = value_of(Store::open(directory.file("s")));
  value_of(store.execute("k", [] {}));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    std::exit(error_of(store.find("k")) == ErrorCode::forked ? 7 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
  CHECK(value_of(store.find("k")));
}
