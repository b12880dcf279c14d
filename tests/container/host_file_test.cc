// Who may open the file of a store.
#include "container/host_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "container/host_files.h"
#include "container/host_holder.h"
#include "support/asked_clock.h"
#include "support/child.h"

using namespace once;
using namespace once::container;
using namespace once::testing;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

// Holds the store until it is told to let go.
int hold(const HostPlace& place, Child& me) {
  auto file = place.open();
  if (!file) return 1;
  me.tell();
  (void)me.wait();
  return 0;
}

}  // namespace

TEST_CASE_FIXTURE(HostPlace,
                  "the second to open is refused at once and told that it is the first") {
  const auto first = make();
  const AskedClock clock([](int) { FAIL("waited for itself"); });
  const auto second = HostFile::open_for_writing(path, {.timeout = 1h}, clock);
  CHECK(error_of(second) == ErrorCode::store_locked);
  CHECK(says(second.error(), "in this process already"));
  CHECK(says(second.error(), pid_text(::getpid())));
  CHECK(says(second.error(), path));
}

TEST_CASE_FIXTURE(HostPlace, "no other name of the file leads around the lock") {
  const std::string hard = directory.file("hard.once");
  const std::string soft = directory.file("soft.once");
  const std::string roundabout = directory.path() + "/./x.once";
  auto first = make();
  fs::create_hard_link(path, hard);
  fs::create_symlink("x.once", soft);
  const pid_t holder = ::getpid();
  for (const std::string& name : {hard, soft, roundabout}) {
    CAPTURE(name);
    const auto second = HostFile::open_for_writing(name, {}, *system_clock());
    CHECK(error_of(second) == ErrorCode::store_locked);
    Child other([&](Child&) {
      const auto third = HostFile::open_for_writing(name, {}, *system_clock());
      if (third) return 1;
      return third.error().code == ErrorCode::store_locked && says(third.error(), pid_text(holder))
                 ? 0
                 : 2;
    });
    CHECK(other.end() == 0);
  }
  first.reset();
  value_of(HostFile::open_for_writing(hard, {}, *system_clock()));
  CHECK(fs::exists(hard));
  CHECK(fs::is_symlink(soft));
}

TEST_CASE_FIXTURE(HostPlace, "another process that holds it is named, waited for, and followed") {
  make().reset();
  Child holder([this](Child& me) { return hold(*this, me); });
  REQUIRE(holder.wait());
  const auto refused = open();
  CHECK(error_of(refused) == ErrorCode::store_locked);
  CHECK(says(refused.error(), pid_text(holder.pid())));
  CHECK(says(refused.error(), "open_timeout_ms"));
  CHECK(error_of(open({.timeout = 30ms})) == ErrorCode::store_locked);

  // The time is asked for when there is somebody to wait for, and at every turn.
  const AskedClock clock([&](int times) {
    if (times == 4) holder.tell();
  });
  CHECK_FALSE(value_of(HostFile::open_for_writing(path, {.timeout = 60s}, clock))->empty());
  CHECK(holder.end() == 0);
}

TEST_CASE_FIXTURE(HostPlace, "a holder that is killed holds nothing") {
  make().reset();
  Child holder([this](Child& me) { return hold(*this, me); });
  REQUIRE(holder.wait());
  CHECK(error_of(open()) == ErrorCode::store_locked);
  holder.kill(SIGKILL);
  CHECK(holder.end() == -SIGKILL);
  CHECK_FALSE(value_of(open())->empty());
}

TEST_CASE_FIXTURE(HostPlace, "who waited finds what is at the path by then") {
  make().reset();
  Child holder([this](Child& me) {
    auto file = open();
    if (!file) return 1;
    me.tell();
    (void)me.wait();
    // As the holder's last act the store goes away.
    return ::unlink(path.c_str());
  });
  REQUIRE(holder.wait());
  const AskedClock clock([&](int times) {
    if (times == 3) holder.tell();
  });
  CHECK(value_of(HostFile::open_for_writing(path, {.timeout = 60s}, clock))->empty());
  CHECK(holder.end() == 0);
}

TEST_CASE_FIXTURE(HostPlace, "a holder page that cannot be read names nobody") {
  auto first = make();
  const std::string garbage(static_cast<std::size_t>(block_bytes), '\xee');
  value_of(first->device().write(holder_offset, garbage));
  Child other([this](Child&) {
    const auto second = open();
    return !second && says(second.error(), "another process") ? 0 : 1;
  });
  CHECK(other.end() == 0);
}

TEST_CASE_FIXTURE(HostPlace, "a forked child does not keep the lock, and is no second holder") {
  auto first = make();
  Child child([&](Child& me) {
    me.tell();
    (void)me.wait();
    // The parent's copy goes without a word; what this process opens is its own.
    first.reset();
    auto own = open();
    return own && !(*own)->empty() ? 0 : 1;
  });
  REQUIRE(child.wait());
  CHECK(error_of(open()) == ErrorCode::store_locked);
  first.reset();
  value_of(open()).reset();
  child.tell();
  CHECK(child.end() == 0);
}

TEST_CASE_FIXTURE(HostPlace, "a fork that outlives a killed holder does not keep the lock") {
  make().reset();
  Child holder([this](Child& me) {
    const auto file = open();
    const pid_t fork = file ? ::fork() : -1;
    if (fork == 0) {
      // It lives for as long as the test does, and tells when it is there.
      me.tell();
      while (me.wait()) {
      }
      return 0;
    }
    ::pause();
    return 1;
  });
  REQUIRE(holder.wait());
  CHECK(error_of(open()) == ErrorCode::store_locked);
  holder.kill(SIGKILL);
  CHECK(holder.end() == -SIGKILL);
  CHECK_FALSE(value_of(open())->empty());
}

TEST_CASE_FIXTURE(HostPlace, "a forked child that destroys it closes no file of its own") {
  auto first = make();
  Child child([&](Child&) {
    // One of these has the number that the store had.
    int files[16];
    for (int& file : files) file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    first.reset();
    for (const int file : files) {
      if (::fcntl(file, F_GETFD) < 0) return 1;
    }
    return 0;
  });
  CHECK(child.end() == 0);
}

TEST_CASE_FIXTURE(HostPlace, "a forked child that destroys it leaves the lock to its parent") {
  auto first = make();
  Child child([&](Child&) {
    first.reset();
    const auto own = open();
    return !own && own.error().code == ErrorCode::store_locked ? 0 : 1;
  });
  CHECK(child.end() == 0);
  value_of(first->device().write(20'000, "still open"));
}

TEST_CASE_FIXTURE(HostPlace, "unlocking lets others have it while the object is still there") {
  auto first = make();
  first->unlock();
  auto second = value_of(open());
  first->unlock();
  CHECK(error_of(open()) == ErrorCode::store_locked);
  first.reset();
  CHECK(error_of(open()) == ErrorCode::store_locked);
}

TEST_CASE_FIXTURE(HostPlace, "what is no regular file is no store, and nobody waits for it") {
  REQUIRE(::mkfifo(path.c_str(), 0666) == 0);
  const auto check = [](const std::string& at) {
    CAPTURE(at);
    const auto writing = HostFile::open_for_writing(at, {.timeout = 1h}, *system_clock());
    CHECK(error_of(writing) == ErrorCode::not_a_store);
    CHECK(says(writing.error(), at));
    CHECK(error_of(HostFile::open_for_reading(at, {})) == ErrorCode::not_a_store);
  };
  check(path);
  check(directory.path());
  check("/dev/null");
  fs::create_symlink("x.once", directory.file("link"));
  check(directory.file("link"));
}

TEST_CASE_FIXTURE(HostPlace, "not a byte of what is no container is changed") {
  for (const std::string& bytes :
       {std::string("dear"), std::string(30'000, 'd'), std::string(30'000, '\0')}) {
    write_file(path, bytes);
    {
      const auto file = value_of(open());
      // What is in it is for the container to judge.
      CHECK_FALSE(file->empty());
      value_of(file->publish());
      CHECK(read_file(path) == bytes);
    }
    CHECK(read_file(path) == bytes);
  }
}

TEST_CASE_FIXTURE(HostPlace, "opening says who has it, and touches the holder page only") {
  make().reset();
  std::string scratched = read_file(path);
  scratched.replace(holder_offset, holder_text_bytes, holder_text_bytes, '\0');
  write_file(path, scratched);
  const auto file = value_of(open());
  const std::string now = read_file(path);
  CHECK(decode_holder_text(now.substr(holder_offset, holder_text_bytes))
            .starts_with(pid_text(::getpid())));
  CHECK(same_store(now, scratched));
}

TEST_CASE_FIXTURE(HostPlace, "files that end before the holder page are not made longer") {
  for (const std::size_t size : {std::size_t{100}, std::size_t{8200}, std::size_t{12'288}}) {
    const std::string bytes = whole_store().substr(0, size);
    write_file(path, bytes);
    auto file = value_of(open());
    value_of(file->announce());
    value_of(file->pins().publish(3));
    CHECK(read_file(path) == bytes);
  }
}

TEST_CASE_FIXTURE(HostPlace, "reading: missing, without a byte, and nothing is changed") {
  const auto missing = open_to_read();
  CHECK(error_of(missing) == ErrorCode::store_missing);
  CHECK(says(missing.error(), path));
  write_file(path, "");
  const auto empty = open_to_read();
  CHECK(error_of(empty) == ErrorCode::store_missing);
  CHECK(says(empty.error(), "empty"));
  CHECK(error_of(HostFile::open_for_reading("", {})) == ErrorCode::invalid_argument);
  fs::create_symlink("nowhere", directory.file("link"));
  CHECK(error_of(HostFile::open_for_reading(directory.file("link"), {})) ==
        ErrorCode::store_missing);
  CHECK(error_of(HostFile::open_for_reading(path + "/below", {})) == ErrorCode::store_missing);

  write_file(path, whole_store());
  const auto written = fs::last_write_time(path);
  {
    auto reader = value_of(open_to_read());
    std::string bytes(whole_store().size(), '?');
    value_of(reader->device().read(0, bytes.size(), bytes.data()));
    CHECK(bytes == whole_store());
    CHECK_FALSE(reader->empty());
    CHECK(error_of(reader->device().write(0, "x")) == ErrorCode::unsupported);
    CHECK(error_of(reader->pins().publish(1)) == ErrorCode::unsupported);
    CHECK(error_of(reader->announce()) == ErrorCode::unsupported);
  }
  CHECK(read_file(path) == whole_store());
  CHECK(fs::last_write_time(path) == written);
}

TEST_CASE_FIXTURE(HostPlace, "readers and the writer do not keep each other out") {
  auto reader_before = [&] {
    make().reset();
    return value_of(open_to_read());
  }();
  const auto writer = value_of(open());
  const auto reader_after = value_of(open_to_read());
  value_of(reader_before->repin());
}

TEST_CASE_FIXTURE(HostPlace, "where the system does not let it, it says so") {
  make().reset();
  fs::permissions(path, fs::perms(0444));
  fs::permissions(directory.path(), fs::perms(0555));
  const std::string fresh = directory.file("fresh.once");
  Child child([&](Child&) {
    // Nothing is forbidden to root.
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 1;
    const auto writing = open();
    if (writing || writing.error().code != ErrorCode::permission) return 2;
    if (!says(writing.error(), path)) return 3;
    if (!open_to_read()) return 4;
    const auto making = HostFile::open_for_writing(fresh, {}, *system_clock());
    return !making && making.error().code == ErrorCode::permission ? 0 : 5;
  });
  CHECK(child.end() == 0);
  fs::permissions(directory.path(), fs::perms(0777));
}
