#include "engine/embedded/store_directory.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "once/version.h"
#include "support/asked_clock.h"
#include "support/check_result.h"
#include "support/child.h"
#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

struct Place {
  TemporaryDirectory directory;
  std::string path = directory.file("store");

  [[nodiscard]] Result<StoreDirectory> open(const Options& options = {.open_timeout_ms = 0ms},
                                            bool discard = false) const {
    return StoreDirectory::open(path, options, *system_clock(), discard);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Place, "a fresh directory becomes a store when it is marked as made") {
  {
    StoreDirectory made = value_of(open());
    CHECK(made.fresh());
    CHECK(error_of(StoreDirectory::check(path)) == ErrorCode::store_missing);
    value_of(made.mark_created());
    CHECK_FALSE(made.fresh());
    value_of(StoreDirectory::check(path));
  }
  CHECK_FALSE(value_of(open()).fresh());
  CHECK(files_of(path).at("ONCE") == "once store\nformat " + std::to_string(store_format) + "\n");
}

TEST_CASE_FIXTURE(Place, "what a creation that was cut off has left goes") {
  {
    CHECK(value_of(open()).fresh());
  }
  write_file(path + "/000004.log", "the rest of a creation");
  write_file(path + "/CURRENT", "MANIFEST-000005\n");
  CHECK(error_of(StoreDirectory::check(path)) == ErrorCode::store_missing);
  StoreDirectory again = value_of(open());
  CHECK(again.fresh());
  CHECK_FALSE(files_of(path).contains("000004.log"));
  CHECK_FALSE(files_of(path).contains("CURRENT"));
}

TEST_CASE_FIXTURE(Place, "a store that has lost its marker is damaged, and nothing goes") {
  {
    value_of(value_of(open()).mark_created());
  }
  write_file(path + "/000004.log", "everything");
  std::filesystem::remove(path + "/ONCE");
  const auto before = files_of(path);
  CHECK(error_of(open()) == ErrorCode::damaged);
  CHECK(error_of(StoreDirectory::check(path)) == ErrorCode::damaged);
  CHECK(files_of(path) == before);
}

TEST_CASE_FIXTURE(Place, "a creation that was cut off after its last step is whole") {
  {
    value_of(value_of(open()).mark_created());
  }
  write_file(path + "/ONCE.new", "left");
  CHECK_FALSE(value_of(open()).fresh());
  CHECK_FALSE(files_of(path).contains("ONCE.new"));
}

TEST_CASE_FIXTURE(Place, "discarding throws away a store, and nothing else") {
  {
    value_of(value_of(open()).mark_created());
  }
  write_file(path + "/000004.log", "old");
  {
    StoreDirectory again = value_of(open({.open_timeout_ms = 0ms}, true));
    CHECK(again.fresh());
    CHECK_FALSE(files_of(path).contains("000004.log"));
    CHECK_FALSE(files_of(path).contains("ONCE"));
  }
  write_file(path + "/letter.txt", "dear");
  CHECK(error_of(open({.open_timeout_ms = 0ms}, true)) == ErrorCode::not_a_store);
  CHECK(files_of(path).at("letter.txt") == "dear");
}

TEST_CASE_FIXTURE(Place, "a directory of something else is left as it is") {
  std::filesystem::create_directory(path);
  write_file(path + "/letter.txt", "dear");
  write_file(path + "/000001.log", "a log of another program");
  const auto before = files_of(path);
  CHECK(error_of(open()) == ErrorCode::not_a_store);
  CHECK(error_of(StoreDirectory::check(path)) == ErrorCode::not_a_store);
  CHECK(files_of(path) == before);
}

TEST_CASE_FIXTURE(Place, "a file, a missing directory, and one that may not be made") {
  write_file(path, "a file");
  CHECK(error_of(open()) == ErrorCode::not_a_store);
  CHECK(read_file(path) == "a file");
  path = directory.file("missing");
  CHECK(error_of(open({.open_timeout_ms = 0ms, .create_if_missing = false})) ==
        ErrorCode::store_missing);
  CHECK_FALSE(std::filesystem::exists(path));
  path = directory.file("missing/below");
  CHECK(error_of(open()) == ErrorCode::store_missing);
}

TEST_CASE_FIXTURE(Place, "the second to open is told who holds it") {
  const StoreDirectory first = value_of(open());
  const auto second = open();
  CHECK(error_of(second) == ErrorCode::store_locked);
  CHECK(second.error().message.find("pid " + std::to_string(::getpid())) != std::string::npos);
}

TEST_CASE_FIXTURE(Place, "another process that holds it is named, waited for, and followed") {
  Child holder([this](Child& me) {
    const auto held = open();
    if (!held) return 1;
    me.tell();
    (void)me.wait();
    return 0;
  });
  REQUIRE(holder.wait());
  const auto refused = open();
  CHECK(error_of(refused) == ErrorCode::store_locked);
  CHECK(refused.error().message.find("pid " + std::to_string(holder.pid())) != std::string::npos);

  // The time is asked for when there is somebody to wait for, and at every turn.
  const AskedClock clock([&](int times) {
    if (times == 3) holder.tell();
  });
  value_of(StoreDirectory::open(path, {.open_timeout_ms = 60s}, clock));
  CHECK(holder.end() == 0);
}

TEST_CASE_FIXTURE(Place, "a holder that is killed holds nothing") {
  Child holder([this](Child& me) {
    const auto held = open();
    me.tell();
    (void)me.wait();
    return held ? 0 : 1;
  });
  REQUIRE(holder.wait());
  holder.kill(SIGKILL);
  CHECK(holder.end() == -SIGKILL);
  value_of(open());
}

TEST_CASE_FIXTURE(Place, "a forked child does not keep the lock") {
  std::optional<StoreDirectory> held = value_of(open());
  Child child([](Child& me) {
    me.tell();
    (void)me.wait();
    return 0;
  });
  REQUIRE(child.wait());
  CHECK(error_of(open()) == ErrorCode::store_locked);
  held.reset();
  value_of(open());
  child.tell();
  CHECK(child.end() == 0);
}

TEST_CASE_FIXTURE(Place, "counting logs and bytes") {
  std::filesystem::create_directory(path);
  CHECK(count_logs(path) == 0);
  write_file(path + "/000001.log", "12345");
  write_file(path + "/000002.sst", "123");
  CHECK(count_logs(path) == 1);
  CHECK(bytes_in(path) == 8);
}
