// How the file of a store comes into being, also with many at it at once and some of them killed.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <list>
#include <thread>
#include <vector>

#include "container/host_files.h"
#include "support/asked_clock.h"
#include "support/child.h"

using namespace once;
using namespace once::container;
using namespace once::testing;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

// What a process of a race found.
enum Found : int { made = 1, found_whole = 2, refused = 3, found_torn = 4, failed = 5 };

Found open_or_make(const HostPlace& place, Duration timeout, const std::function<void()>& between) {
  auto file = place.open({.timeout = timeout});
  if (!file) return file.error().code == ErrorCode::store_locked ? refused : failed;
  if (!(*file)->empty()) {
    std::string bytes(whole_store().size(), '?');
    if (!(*file)->device().read(0, bytes.size(), bytes.data())) return found_torn;
    return same_store(bytes, whole_store()) ? found_whole : found_torn;
  }
  if (!(*file)->device().resize(30'000) || !(*file)->device().write(20'000, "half")) return failed;
  between();
  if (!HostPlace::fill(**file) || !(*file)->publish() || !(*file)->announce()) return failed;
  return made;
}

}  // namespace

TEST_CASE_FIXTURE(HostPlace, "nothing has the name before it is whole") {
  {
    auto file = value_of(open());
    CHECK(file->empty());
    CHECK(value_of(file->device().size()) == 0);
    CHECK_FALSE(fs::exists(path));
    CHECK(error_of(open_to_read()) == ErrorCode::store_missing);
    value_of(fill(*file));
    CHECK_FALSE(fs::exists(path));
    value_of(file->publish());
    CHECK_FALSE(file->empty());
    CHECK_FALSE(fs::exists(beside));
    CHECK(is_whole(path));
    // It is locked under its new name.
    CHECK(error_of(open()) == ErrorCode::store_locked);
    value_of(file->publish());
  }
  CHECK_FALSE(value_of(open())->empty());
  CHECK_FALSE(fs::exists(beside));
}

TEST_CASE_FIXTURE(HostPlace, "a creation that is given up leaves nothing") {
  {
    auto file = value_of(open());
    value_of(fill(*file));
    CHECK(fs::exists(beside));
  }
  CHECK(fs::is_empty(directory.path()));
}

TEST_CASE_FIXTURE(HostPlace, "nothing is made where that is not wished for, or not possible") {
  const auto missing = open({.create = false});
  CHECK(error_of(missing) == ErrorCode::store_missing);
  CHECK(says(missing.error(), path));
  CHECK(fs::is_empty(directory.path()));
  path = directory.file("no/such/x.once");
  const auto below = open();
  CHECK(error_of(below) == ErrorCode::store_missing);
  CHECK(says(below.error(), "the directory above it must exist"));
  write_file(directory.file("no"), "a file");
  CHECK(error_of(open()) == ErrorCode::store_missing);
  path = "";
  CHECK(error_of(open()) == ErrorCode::invalid_argument);
  path = directory.file(std::string("x\0y", 3));
  CHECK(error_of(open()) == ErrorCode::invalid_argument);
  path = directory.file(std::string(300, 'x'));
  CHECK(error_of(open()) == ErrorCode::store_missing);
}

TEST_CASE_FIXTURE(HostPlace, "the rest of a creation that was cut off is taken over") {
  for (const std::string& rest :
       {std::string(), std::string(30'000, '\0'), whole_store(), whole_store().substr(0, 5000),
        std::string(8192, '\0') + "a journal"}) {
    write_file(beside, rest);
    CHECK(error_of(open({.create = false})) == ErrorCode::store_missing);
    auto file = value_of(open());
    CHECK(file->empty());
    CHECK(value_of(file->device().size()) == 0);
  }
}

TEST_CASE_FIXTURE(HostPlace, "what somebody else keeps beside the place stays") {
  write_file(beside, "dear");
  const auto opened = open();
  CHECK(error_of(opened) == ErrorCode::not_a_store);
  CHECK(says(opened.error(), beside));
  CHECK(read_file(beside) == "dear");
  CHECK_FALSE(fs::exists(path));
  fs::remove(beside);

  fs::create_symlink(directory.file("letter"), beside);
  write_file(directory.file("letter"), "");
  CHECK(error_of(open()) == ErrorCode::not_a_store);
  fs::remove(beside);
  REQUIRE(::mkfifo(beside.c_str(), 0666) == 0);
  CHECK(error_of(open()) == ErrorCode::not_a_store);
  fs::remove(beside);
  fs::create_directory(beside);
  CHECK(error_of(open()) == ErrorCode::not_a_store);
}

TEST_CASE_FIXTURE(HostPlace, "a creator that is killed leaves the place to the next one") {
  for (const bool published : {false, true}) {
    Child creator([&](Child& me) {
      auto file = open();
      if (!file || !fill(**file)) return 1;
      if (published && !(*file)->publish()) return 2;
      me.tell();
      (void)me.wait();
      return 0;
    });
    REQUIRE(creator.wait());
    CHECK(fs::exists(path) == published);
    CHECK(error_of(open()) == ErrorCode::store_locked);
    creator.kill(SIGKILL);
    CHECK(creator.end() == -SIGKILL);
    CHECK(value_of(open())->empty() == !published);
  }
}

TEST_CASE_FIXTURE(HostPlace, "a second name that a creation has left goes, and nothing else") {
  value_of(open()).reset();
  make().reset();
  fs::create_hard_link(path, beside);
  const auto before = read_file(path);
  CHECK_FALSE(value_of(open())->empty());
  CHECK_FALSE(fs::exists(beside));
  CHECK(same_store(read_file(path), before));

  // The store was moved away before: its bytes are not the rest of a creation.
  fs::create_hard_link(path, beside);
  const std::string moved = directory.file("moved.once");
  fs::rename(path, moved);
  CHECK(value_of(open())->empty());
  CHECK(same_store(read_file(moved), before));
}

TEST_CASE_FIXTURE(HostPlace, "a link to nothing yet is followed, and stays a link") {
  const std::string target = directory.file("target.once");
  fs::create_symlink("target.once", path);
  {
    const auto file = make();
    CHECK(fs::is_symlink(path));
    CHECK(fs::is_regular_file(fs::symlink_status(target)));
  }
  CHECK(files_of(directory.path()).size() == 2);
  CHECK_FALSE(value_of(open())->empty());
}

TEST_CASE_FIXTURE(HostPlace, "a file without a byte is replaced by the whole store") {
  write_file(path, "");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  CHECK(error_of(open({.create = false})) == ErrorCode::store_missing);
  CHECK(error_of(open_to_read()) == ErrorCode::store_missing);
  {
    auto file = value_of(open());
    CHECK(file->empty());
    value_of(fill(*file));
    CHECK(fs::file_size(path) == 0);
    CHECK(error_of(open()) == ErrorCode::store_locked);
    value_of(file->publish());
    CHECK(error_of(open()) == ErrorCode::store_locked);
  }
  CHECK_FALSE(fs::exists(beside));
  CHECK_FALSE(value_of(open())->empty());
  CHECK(is_whole(path));
  // Made to be private.
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE_FIXTURE(HostPlace, "an empty file stays when the creation is given up") {
  write_file(path, "");
  value_of(open()).reset();
  CHECK(fs::file_size(path) == 0);
  CHECK_FALSE(fs::exists(beside));
}

TEST_CASE_FIXTURE(HostPlace, "what appears at the place meanwhile is not replaced") {
  {
    auto file = value_of(open());
    value_of(fill(*file));
    write_file(path, "dear");
    const auto published = file->publish();
    CHECK(error_of(published) == ErrorCode::store_locked);
    CHECK(says(published.error(), path));
    fs::remove(path);
    fs::create_directory(path);
    CHECK(error_of(file->publish()) == ErrorCode::not_a_store);
    fs::remove(path);
    write_file(path, "dear");
  }
  CHECK(files_of(directory.path()) == std::map<std::string, std::string>{{"x.once", "dear"}});
  {
    write_file(path, "");
    auto file = value_of(open());
    value_of(fill(*file));
    write_file(path, "dear");
    CHECK(error_of(file->publish()) == ErrorCode::store_locked);
  }
  CHECK(files_of(directory.path()) == std::map<std::string, std::string>{{"x.once", "dear"}});
  {
    fs::remove(path);
    auto file = value_of(open());
    fs::remove(beside);
    CHECK(error_of(file->publish()) == ErrorCode::store_locked);
    CHECK_FALSE(fs::exists(path));
  }
}

TEST_CASE_FIXTURE(HostPlace, "discarding empties a store in its place, and nothing else") {
  make().reset();
  {
    auto file = value_of(open({.discard = true}));
    CHECK(file->empty());
    CHECK(value_of(file->device().size()) == 0);
    CHECK_FALSE(fs::exists(beside));
    CHECK(error_of(open({.discard = true})) == ErrorCode::store_locked);
    value_of(fill(*file, whole_store('2')));
    value_of(file->publish());
    CHECK_FALSE(file->empty());
  }
  CHECK(is_whole(path, '2'));
  write_file(path, "");
  {
    auto file = value_of(open({.discard = true}));
    CHECK(file->empty());
    CHECK_FALSE(fs::exists(beside));
  }
  CHECK(fs::exists(path));
  write_file(path, "dear");
  CHECK(error_of(open({.discard = true})) == ErrorCode::not_a_store);
  CHECK(read_file(path) == "dear");
  fs::remove(path);
  CHECK(value_of(open({.discard = true}))->empty());
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE_FIXTURE(HostPlace, "who waits for a creation gets the whole store") {
  Child creator([this](Child& me) {
    auto file = open();
    if (!file) return 1;
    me.tell();
    (void)me.wait();
    if (!fill(**file) || !(*file)->publish()) return 2;
    return 0;
  });
  REQUIRE(creator.wait());
  const AskedClock clock([&](int times) {
    if (times == 3) creator.tell();
  });
  auto file = value_of(HostFile::open_for_writing(path, {.timeout = 60s}, clock));
  CHECK_FALSE(file->empty());
  CHECK(creator.end() == 0);
  CHECK(is_whole(path));
}

TEST_CASE_FIXTURE(HostPlace, "who waited to make it takes what has appeared meanwhile") {
  for (const bool blank : {false, true}) {
    CAPTURE(blank);
    fs::remove(path);
    if (blank) write_file(path, "");
    Child creator([this](Child& me) {
      auto file = open();
      if (!file) return 1;
      me.tell();
      (void)me.wait();
      return 0;
    });
    REQUIRE(creator.wait());
    const AskedClock clock([&](int times) {
      if (times != 3) return;
      write_file(directory.file("moved"), whole_store());
      fs::rename(directory.file("moved"), path);
      creator.kill(SIGKILL);
    });
    auto file = value_of(HostFile::open_for_writing(path, {.timeout = 60s}, clock));
    CHECK_FALSE(file->empty());
    CHECK(is_whole(path));
    // Where nobody had begun to write, nothing is left.
    CHECK((blank || !fs::exists(beside)));
  }
}

TEST_CASE_FIXTURE(HostPlace, "eight processes make it at once: one does, the others see it whole") {
  for (const Duration timeout : {Duration(60s), Duration(0)}) {
    for (int round = 0; round < 20; ++round) {
      CAPTURE(timeout.count());
      CAPTURE(round);
      fs::remove(path);
      // Every other time there is a file without a byte.
      if (round % 2 == 1) write_file(path, "");
      std::list<Child> racers;
      for (int i = 0; i < 8; ++i) {
        racers.emplace_back([&](Child& me) {
          (void)me.wait();
          return static_cast<int>(open_or_make(*this, timeout, [] {}));
        });
      }
      for (const Child& racer : racers) racer.tell();
      std::array<int, 6> found{};
      for (Child& racer : racers) {
        const int how = racer.end();
        REQUIRE(how > 0);
        REQUIRE(how < 6);
        ++found.at(static_cast<std::size_t>(how));
      }
      CHECK(found[made] == 1);
      CHECK(found[found_whole] + found[refused] == 7);
      if (timeout > 0ms) CHECK(found[refused] == 0);
      CHECK(is_whole(path));
      CHECK_FALSE(fs::exists(beside));
    }
  }
}

TEST_CASE_FIXTURE(HostPlace, "creators that are killed in a race leave it to the others") {
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    fs::remove(path);
    if (round % 2 == 1) write_file(path, "");
    std::list<Child> racers;
    for (int i = 0; i < 8; ++i) {
      racers.emplace_back([&, i](Child& me) {
        (void)me.wait();
        return static_cast<int>(open_or_make(*this, 60s, [&] {
          if (i % 2 == 0) ::raise(SIGKILL);
        }));
      });
    }
    for (const Child& racer : racers) racer.tell();
    int makers = 0;
    for (Child& racer : racers) {
      const int how = racer.end();
      if (how == made) ++makers;
      CHECK((how == made || how == found_whole || how == -SIGKILL));
    }
    CHECK(makers == 1);
    CHECK(is_whole(path));
    CHECK_FALSE(fs::exists(beside));
  }
}

TEST_CASE_FIXTURE(HostPlace, "eight threads make it at once: one does, the others are refused") {
  for (int round = 0; round < 20; ++round) {
    fs::remove(path);
    std::atomic<int> started = 0;
    std::atomic<int> opened = 0;
    std::atomic<int> kept_out = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        ++started;
        while (started < 8) {
        }
        auto file = open({.timeout = 60s});
        if (!file) kept_out += file.error().code == ErrorCode::store_locked ? 1 : 0;
        if (!file) return;
        ++opened;
        // Until all others have been refused.
        while (kept_out < 7) std::this_thread::yield();
        if (fill(**file)) (void)(*file)->publish();
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(opened == 1);
    CHECK(kept_out == 7);
    CHECK_FALSE(value_of(open())->empty());
  }
}

TEST_CASE_FIXTURE(HostPlace, "a forked child leaves the creation to its parent") {
  auto file = value_of(open());
  value_of(fill(*file));
  Child child([&](Child&) {
    const auto published = file->publish();
    file.reset();
    return !published && published.error().code == ErrorCode::forked ? 0 : 1;
  });
  CHECK(child.end() == 0);
  CHECK(fs::exists(beside));
  CHECK_FALSE(fs::exists(path));
  value_of(file->publish());
}
