// A disk that gets full, and writes that fail: nothing acknowledged is lost, reading goes on, and
// after reopening all is well.
#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <random>
#include <set>

#include "store/sample_store.h"
#include "support/child.h"
#include "support/layouts.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;

namespace {

// No file of this process may grow beyond `bytes` while it lives: writes fail half-way.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : before_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit_) == 0);
    const rlimit lower{.rlim_cur = bytes, .rlim_max = limit_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &lower) == 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    (void)std::signal(SIGXFSZ, before_);
  }

 private:
  void (*before_)(int);
  rlimit limit_{};
};

// A small file system in memory.
class SmallDisk {
 public:
  explicit SmallDisk(const char* size)
      : mounted_(::mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, size) == 0) {}
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (mounted_) ::umount2(directory_.path().c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  // Where it is not (no root, a container without the right), tests that need one are skipped, and
  // counted as that.
  [[nodiscard]] static bool allowed() { return SmallDisk("size=1m").mounted(); }
  [[nodiscard]] std::string file(const std::string& name) const { return directory_.file(name); }

 private:
  TemporaryDirectory directory_;
  const bool mounted_;
};

// 20,000 bytes that do not compress, always the same for a name.
std::string value_for(const std::string& name) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(std::hash<std::string>{}(name)));
  std::string value;
  while (value.size() < 20'000) value.push_back(static_cast<char>(random()));
  return value;
}

// An outcome that a small limit meets in the middle of writing it: in one file already in what is
// written over, where a large one would be found to have no room before.
template <class L>
std::string unwritable() {
  return std::string(L::layout == Layout::file ? 100 : 100'000, 'x');
}

// Fails as far as a full disk may.
bool is_clear(const Error& error) {
  const std::set<ErrorCode> codes{ErrorCode::no_space, ErrorCode::unknown, ErrorCode::poisoned};
  return codes.contains(error.code) && !error.message.empty();
}

}  // namespace

TEST_CASE_TEMPLATE("a failed write poisons: reading goes on, writing says so, the owner finds out",
                   L, LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  Reservation mine;
  Reservation other;
  {
    Store store = value_of(Store::open(path, {.layout = L::layout}));
    value_of(store.execute("done", [] { return Bytes("value"); }));
    mine = reserve(store, "mine");
    other = reserve(store, "other");
    {
      const FileSizeLimit limit(4096);
      const auto failed = store.complete(mine, Outcome::success(unwritable<L>()));
      CHECK(error_of(failed) == ErrorCode::unknown);
      CHECK(failed.error().message.find("after opening the store again") != std::string::npos);
    }
    // The disk is well again, and still nothing is written.
    const auto poisoned = store.complete(other, Outcome::success("other"));
    CHECK(error_of(poisoned) == ErrorCode::poisoned);
    CHECK(poisoned.error().message.find("open the store again") != std::string::npos);
    CHECK(error_of(store.reserve("new")) == ErrorCode::poisoned);
    CHECK(error_of(store.execute("new", [] { return 1; })) == ErrorCode::poisoned);
    CHECK(error_of(store.transact("new", [](Transaction&) { return 1; })) == ErrorCode::poisoned);
    CHECK(error_of(store.publish({.type = "event"})) == ErrorCode::poisoned);
    CHECK(error_of(store.save_checkpoint(other, "step", "")) == ErrorCode::poisoned);
    CHECK(error_of(store.remove("done")) == ErrorCode::poisoned);
    CHECK(value_of(store.execute("done", [] { return Bytes("again"); })).replayed());
    CHECK(value_of(store.find("done"))->outcome->value == "value");
    CHECK(value_of(rows_of(store)).size() >= 4);
    CHECK(value_of(store.stats()).completed >= 1);
  }
  Store store = value_of(Store::open(path));
  CHECK(value_of(store.verify()).problems.empty());
  CHECK(value_of(store.find("done"))->outcome->value == "value");
  CHECK_FALSE(value_of(store.find("new")).has_value());
  // Whatever became of it: with its token the owner completes it, or learns that it is complete.
  value_of(store.complete(mine, Outcome::success(unwritable<L>())));
  value_of(store.complete(other, Outcome::success("other")));
  CHECK(value_of(store.find("mine"))->record.token == mine.token);
}

TEST_CASE_TEMPLATE("a failed write in the middle of execute: the work does not run unseen again", L,
                   LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  {
    Store store = value_of(Store::open(path, {.layout = L::layout}));
    std::optional<FileSizeLimit> limit;
    CHECK(error_of(store.execute("key", [&] {
            limit.emplace(4096);
            return unwritable<L>();
          })) == ErrorCode::unknown);
  }
  // This process still runs, so that its reservation holds: nobody else gets it.
  Store store = value_of(Store::open(path));
  const auto again = store.reserve("key");
  if (again) {
    CHECK(std::holds_alternative<Replay>(*again));
  } else {
    CHECK(again.error().code == ErrorCode::busy);
  }
}

TEST_CASE("a disk that is full under a directory, by every kind of write, again and again" *
          doctest::skip(!SmallDisk::allowed())) {
  const SmallDisk disk("size=3m");
  REQUIRE(disk.mounted());
  const std::string path = disk.file("store");
  const Options options{.memory_budget = 1 << 20, .layout = Layout::directory};
  std::set<std::string> acknowledged;
  int full = 0;
  for (int round = 0; round < 6; ++round) {
    CAPTURE(round);
    {
      auto store = Store::open(path, options);
      if (!store) {
        CHECK(is_clear(store.error()));
        ++full;
      }
      bool failed = !store;
      for (int i = 0; !failed && i < 1000; ++i) {
        const std::string name = std::to_string(round) + "/" + std::to_string(i);
        const auto done =
            store->execute(name, [&] { return value_for(name); },
                           {.durability = i % 2 == 0 ? Durability::synced : Durability::buffered});
        if (done) {
          acknowledged.insert(name);
          continue;
        }
        failed = true;
        ++full;
        CAPTURE(done.error().message);
        CHECK(is_clear(done.error()));
      }
      CHECK(failed);
      for (const std::string& name : acknowledged) {
        if (!store) break;
        CHECK(value_of(store->find(name))->outcome->value == value_for(name));
      }
      if (store && round % 2 == 0) {
        if (const auto swept = store->sweep(); !swept) CHECK(is_clear(swept.error()));
      }
    }
    // Look at it while the disk is full: nothing needs to be written for that.
    auto reader = Store::open(path, {.read_only = true});
    REQUIRE(reader.has_value());
    for (const std::string& name : acknowledged) CHECK(value_of(reader->find(name)).has_value());

    // In the end with so much room that merging, which nobody waits for here, cannot take all of it
    // before the opening has written what it has to.
    const std::string larger = "remount,size=" + std::to_string(round < 5 ? 4 + round : 32) + "m";
    REQUIRE(::mount("tmpfs", path.substr(0, path.rfind('/')).c_str(), "tmpfs", MS_REMOUNT,
                    larger.substr(8).c_str()) == 0);
  }
  CHECK(full >= 6);
  REQUIRE(acknowledged.size() > 50);
  Store store = value_of(Store::open(path, options));
  for (const std::string& name : acknowledged) {
    CHECK(value_of(store.find(name))->outcome->value == value_for(name));
  }
  CHECK(value_of(store.verify()).problems.empty());
}

TEST_CASE("a disk that is full under one file: refused and no more, and it goes on by itself" *
          doctest::skip(!SmallDisk::allowed())) {
  const SmallDisk disk("size=3m");
  REQUIRE(disk.mounted());
  const std::string path = disk.file("store");
  Store store = value_of(Store::open(path, {.memory_budget = 1 << 20}));
  std::set<std::string> acknowledged;
  const auto check_all = [&] {
    for (const std::string& name : acknowledged) {
      CHECK(value_of(store.find(name))->outcome->value == value_for(name));
    }
  };
  for (int round = 0; round < 4; ++round) {
    CAPTURE(round);
    bool refused = false;
    for (int i = 0; !refused && i < 1000; ++i) {
      const std::string name = std::to_string(round) + "/" + std::to_string(i);
      const auto done = store.transact(name, [&](Transaction&) { return value_for(name); });
      if (done) {
        acknowledged.insert(name);
        continue;
      }
      refused = true;
      CAPTURE(done.error().message);
      CHECK(done.error().code == ErrorCode::no_space);
      CHECK(done.error().message.find(path) != std::string::npos);
      CHECK_FALSE(value_of(store.find(name)).has_value());
    }
    REQUIRE(refused);
    check_all();
    {
      Store reader = value_of(Store::open(path, {.read_only = true}));
      for (const std::string& name : acknowledged) CHECK(value_of(reader.find(name)).has_value());
    }
    if (round % 2 == 0) {
      const std::string size = "size=" + std::to_string(5 + 2 * round) + "m";
      REQUIRE(::mount("tmpfs", path.substr(0, path.rfind('/')).c_str(), "tmpfs", MS_REMOUNT,
                      size.c_str()) == 0);
    } else {
      for (const std::string& name : acknowledged) CHECK(value_of(store.remove(name)));
      acknowledged.clear();
      value_of(store.sweep());
    }
  }
  CHECK(value_of(store.execute("at last", [] { return 1; })).value() == 1);
  CHECK(value_of(store.verify()).problems.empty());
  value_of(store.close());
  Store again = value_of(Store::open(path));
  CHECK(value_of(again.find("at last")).has_value());
}
