// What a caller or a machine can do wrong from outside: a clear error, and nothing lost.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/coding.h"
#include "container/digest.h"
#include "container/layout.h"
#include "model/meta.h"
#include "once/version.h"
#include "store/raw_store.h"
#include "store/sample_store.h"
#include "support/child.h"
#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

const Bytes huge(std::size_t{100} << 20, 'x');

bool says(const Error& error, const std::string& text) {
  return error.message.find(text) != std::string::npos;
}

// Both superblocks of a store in one file, as version `version` of the layout has them; see
// lib/container/superblock.h. Their checksums fit.
void set_container_version(const std::string& path, std::uint32_t version) {
  constexpr std::size_t version_at = 8;
  constexpr std::size_t checksum_at = 4088;
  Bytes bytes = read_file(path);
  for (const std::size_t superblock : {std::size_t{0}, std::size_t{4096}}) {
    Bytes written;
    Writer(written).u32(version);
    bytes.replace(superblock + version_at, written.size(), written);
    const Bytes checked = bytes.substr(superblock, checksum_at);
    written.clear();
    Writer(written).u64(container::digest_of(checked, 0));
    bytes.replace(superblock + checksum_at, written.size(), written);
  }
  write_file(path, bytes);
}

}  // namespace

TEST_CASE("ids: empty, over-long, and as long as may be") {
  Store store = value_of(Store::open("memory:"));
  const std::string longest(max_id_bytes, 'i');
  const auto refused = [&](const Key& key, ErrorCode code) {
    CHECK(error_of(store.reserve(key)) == code);
    CHECK(error_of(store.execute(key, [] { return 1; })) == code);
    CHECK(error_of(store.transact(key, [](Transaction&) { return 1; })) == code);
    CHECK(error_of(store.find(key)) == code);
    CHECK(error_of(store.remove(key)) == code);
    CHECK(error_of(store.resolve(key, Verdict::rerun)) == code);
    CHECK(error_of(store.load_checkpoints(key)) == code);
    CHECK(error_of(store.complete({.key = key, .token = {1}}, Outcome::success())) == code);
    const ReserveRequest requests[] = {{.key = "fine"}, {.key = key}};
    CHECK(error_of(store.reserve_many(requests)) == code);
  };
  refused("", ErrorCode::invalid_argument);
  refused(longest + "i", ErrorCode::limit_exceeded);
  refused(Key(std::string(256, 't'), "", "id"), ErrorCode::limit_exceeded);
  refused(Key("", std::string(256, 'o'), "id"), ErrorCode::limit_exceeded);
  CHECK_FALSE(value_of(store.find("fine")).has_value());
  const Key most(std::string(255, '\0'), std::string(255, '\xff'), longest);
  value_of(store.execute(most, [] { return 1; }));
  CHECK(value_of(store.find(most)).has_value());
}

TEST_CASE("an outcome of 100 MiB") {
  Store store = value_of(Store::open("memory:"));
  SUBCASE("complete refuses it, and the reservation stays") {
    const Reservation mine = reserve(store, "key");
    const auto refused = store.complete(mine, Outcome::success(huge));
    CHECK(error_of(refused) == ErrorCode::limit_exceeded);
    CHECK(says(refused.error(), "104857600"));
    CHECK(value_of(store.find("key"))->record.status == Status::in_progress);
    value_of(store.complete(mine, Outcome::success("small")));
  }
  SUBCASE("execute keeps that it was done: nobody runs it again") {
    int runs = 0;
    const auto work = [&] {
      ++runs;
      return huge;
    };
    for (int i = 0; i < 3; ++i) {
      const auto executed = store.execute("key", work);
      CHECK(error_of(executed) == ErrorCode::outcome_omitted);
      CHECK(executed.error().replayed == (i > 0));
    }
    CHECK(error_of(store.reserve("key")) == ErrorCode::outcome_omitted);
    CHECK(runs == 1);
    const auto found = value_of(store.find("key"));
    CHECK(found->record.status == Status::completed);
    CHECK(found->outcome->omitted_bytes == huge.size());
    CHECK(value_of(store.verify()).problems.empty());
  }
  SUBCASE("transact refuses it, and nothing is written") {
    const auto refused = store.transact("key", [&](Transaction& tx) -> Result<Bytes> {
      if (auto put = tx.put("row", "value"); !put) return std::unexpected(put.error());
      if (auto sent = tx.publish({.type = "event"}); !sent) return std::unexpected(sent.error());
      return huge;
    });
    CHECK(error_of(refused) == ErrorCode::limit_exceeded);
    CHECK(value_of(rows_of(store)).empty());
    CHECK(error_of(store.transact("key", [](Transaction& tx) -> Result<Bytes> {
            if (auto put = tx.put("row", huge); !put) return std::unexpected(put.error());
            return "";
          })) == ErrorCode::limit_exceeded);
    CHECK(value_of(rows_of(store)).empty());
  }
  SUBCASE("a larger limit takes it") {
    Store large = value_of(Store::open("memory:", {.max_outcome_bytes = huge.size()}));
    CHECK(value_of(large.execute("key", [] { return huge; })).value() == huge);
    const auto again = large.execute("key", []() -> Bytes { throw 1; });
    CHECK(value_of(again).value() == huge);
  }
}

TEST_CASE("events, checkpoints, data keys and texts over their limits") {
  Store store = value_of(Store::open("memory:"));
  const Reservation mine = reserve(store, "key");
  CHECK(error_of(store.publish({.payload = huge})) == ErrorCode::limit_exceeded);
  CHECK(error_of(store.publish({.type = std::string(256, 't')})) == ErrorCode::limit_exceeded);
  CHECK(error_of(store.save_checkpoint(mine, "step", huge)) == ErrorCode::limit_exceeded);
  CHECK(error_of(store.save_checkpoint(mine, "", "")) == ErrorCode::invalid_argument);
  CHECK(error_of(store.release(mine, huge)) == ErrorCode::limit_exceeded);
  CHECK(error_of(store.fail(mine, std::string(256, 'c'), "")) == ErrorCode::limit_exceeded);
  CHECK(error_of(store.data("")) == ErrorCode::invalid_argument);
  CHECK(error_of(store.data(std::string(4097, 'k'))) == ErrorCode::invalid_argument);
  CHECK(error_of(store.renew(mine, 0ms)) == ErrorCode::invalid_argument);
  value_of(store.complete(mine, Outcome::success()));
}

TEST_CASE("a place that is no place") {
  for (const char* where : {"", "postgresql://host/store", "redis://host"}) {
    CHECK(error_of(Store::open(where)) == ErrorCode::invalid_argument);
  }
  CHECK(error_of(Store::open(std::string_view("a\0b", 3))) == ErrorCode::invalid_argument);
  CHECK(error_of(Store::open("memory:", {.read_only = true})) == ErrorCode::store_missing);
}

TEST_CASE("a directory of something else, and a regular file, stay as they are") {
  const TemporaryDirectory directory;
  write_file(directory.file("letter.txt"), "dear");
  const auto before = files_of(directory.path());
  for (const bool read_only : {true, false}) {
    const auto other = Store::open(directory.path(), {.read_only = read_only});
    CHECK(error_of(other) == ErrorCode::not_a_store);
    CHECK(says(other.error(), directory.path()));
    CHECK(error_of(Store::open(directory.file("letter.txt"), {.read_only = read_only})) ==
          ErrorCode::not_a_store);
    CHECK(files_of(directory.path()) == before);
  }
  CHECK(error_of(Store::open(directory.file("none"), {.create_if_missing = false})) ==
        ErrorCode::store_missing);
  CHECK(error_of(Store::open(directory.file("none"), {.read_only = true})) ==
        ErrorCode::store_missing);
  CHECK(files_of(directory.path()) == before);
}

TEST_CASE("a database of RocksDB that is no store") {
  const TemporaryDirectory directory;
  rocksdb::DB* db = nullptr;
  rocksdb::Options options;
  options.create_if_missing = true;
  REQUIRE(rocksdb::DB::Open(options, directory.path(), &db).ok());
  delete db;
  const auto before = files_of(directory.path());
  CHECK(error_of(Store::open(directory.path())) == ErrorCode::not_a_store);
  CHECK(files_of(directory.path()) == before);
}

TEST_CASE("a store of a newer format") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  std::string known = std::to_string(store_format);
  bool before_rocksdb = true;  // refused before RocksDB has opened anything
  SUBCASE("by its marker, in a directory") {
    make_sample(path, Layout::directory);
    write_file(path + "/ONCE", "once store\nformat " + std::to_string(store_format + 1) + "\n");
  }
  SUBCASE("by its row, in a directory") {
    make_sample(path, Layout::directory);
    RawStore(path).put(Table::all, Bytes(model::format_row), model::encode_u64(store_format + 1));
    before_rocksdb = false;
  }
  SUBCASE("by its superblocks, in a file") {
    make_sample(path, Layout::file);
    known = std::to_string(container::container_version);
    // The version it has: the checksums that this test makes are right.
    set_container_version(path, container::container_version);
    CHECK(Store::open(path).has_value());
    set_container_version(path, container::container_version + 1);
  }
  SUBCASE("by its row, in a file") {
    make_sample(path, Layout::file);
    RawStore(path).put(Table::all, Bytes(model::format_row), model::encode_u64(store_format + 1));
    before_rocksdb = false;
  }
  const auto before = files_of(directory.path());
  const auto refused = [&](bool read_only) {
    const auto newer = Store::open(path, {.read_only = read_only});
    REQUIRE(error_of(newer) == ErrorCode::newer_format);
    CHECK(says(newer.error(), path));
    CHECK(says(newer.error(), "up to " + known));
    CHECK(says(newer.error(), "newer version"));
  };
  refused(true);
  CHECK(files_of(directory.path()) == before);
  refused(false);
  if (before_rocksdb) {
    CHECK(files_of(directory.path()) == before);
    return;
  }
  // Opening to write has begun a log, but what is in the store is as it was.
  refused(true);
  RawStore(path).put(Table::all, Bytes(model::format_row), model::encode_u64(store_format));
  Store store = value_of(Store::open(path));
  CHECK(value_of(store.verify()).problems.empty());
  CHECK(value_of(rows_of(store)).size() > 100);
}

// Drops the rights of root, and so needs them first: skipped, and counted as that, without.
TEST_CASE("no permission" * doctest::skip(::getuid() != 0)) {
  const TemporaryDirectory directory;
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  const std::string path = directory.file("store");
  make_sample(path, Layout::directory);
  const auto before = files_of(path);
  // 0: the error is `permission` and names the place.
  const auto open_as_nobody = [](const std::string& where, bool read_only) {
    return Child([&](Child&) {
             if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
             const auto store = Store::open(where, {.read_only = read_only});
             if (store) return 3;
             if (store.error().code != ErrorCode::permission) return 4;
             return says(store.error(), where) ? 0 : 5;
           })
        .end();
  };
  // May read it all, so that looking works and writing does not.
  CHECK(open_as_nobody(path, false) == 0);
  CHECK(open_as_nobody(path, true) == 3);
  CHECK(open_as_nobody(directory.file("new"), false) == 0);
  for (const auto& [name, content] : before) {
    if (name == "LOCK" || name == "IDENTITY" || name == "ONCE.lock") continue;
    CAPTURE(name);
    REQUIRE(::chmod((path + "/" + name).c_str(), 0) == 0);
    CHECK(open_as_nobody(path, true) == 0);
    REQUIRE(::chmod((path + "/" + name).c_str(), 0644) == 0);
  }
  REQUIRE(::chmod(path.c_str(), 0) == 0);
  CHECK(open_as_nobody(path, true) == 0);
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
  CHECK(files_of(path) == before);
}
