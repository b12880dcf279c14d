#include "container/host_device.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <deque>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "support/check_result.h"
#include "support/child.h"
#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::container;
using namespace once::testing;

namespace {

struct OpenFile {
  OpenFile(const std::string& path, int flags) : number(::open(path.c_str(), flags, 0666)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(number); }
  const int number;
};

struct Disk {
  TemporaryDirectory directory{quick_place()};
  std::string path = directory.file("file");
  OpenFile file{path, O_RDWR | O_CREAT};
  HostDevice device{file.number, path, HostAccess::write};

  std::string read(std::uint64_t offset, std::size_t length) {
    std::string bytes(length, '?');
    value_of(device.read(offset, length, bytes.data()));
    return bytes;
  }
  [[nodiscard]] std::uint64_t blocks() const {
    struct stat status{};
    REQUIRE(::fstat(file.number, &status) == 0);
    return static_cast<std::uint64_t>(status.st_blocks);
  }
};

// A device whose fallocate(2) answers as the test says; 0 stands for the real one.
class Scripted final : public HostDevice {
 public:
  Scripted(int file, const std::string& name, std::deque<int> answers)
      : HostDevice(file, name, HostAccess::write), answers_(std::move(answers)) {}
  std::function<void()> before = [] {};

 protected:
  int fallocate_once(int mode, std::uint64_t offset, std::uint64_t length) override {
    before();
    const int answer = answers_.empty() ? 0 : answers_.front();
    if (!answers_.empty()) answers_.pop_front();
    return answer == 0 ? HostDevice::fallocate_once(mode, offset, length) : answer;
  }

 private:
  std::deque<int> answers_;
};

// From now on this process can make no file larger. Who tries is ended by SIGXFSZ, which is not
// ignored here.
void limit_files(rlim_t bytes) {
  const struct rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

}  // namespace

TEST_CASE_FIXTURE(Disk, "what was written is read, anywhere in the file") {
  CHECK(value_of(device.size()) == 0);
  value_of(device.resize(100'000));
  CHECK(value_of(device.size()) == 100'000);
  CHECK(read(0, 100'000) == std::string(100'000, '\0'));
  value_of(device.write(0, "head"));
  value_of(device.write(99'996, "tail"));
  value_of(device.write(50'000, ""));
  value_of(device.sync());
  CHECK(read(0, 5) == std::string("head\0", 5));
  CHECK(read(99'996, 4) == "tail");
  CHECK(read(100'000, 0).empty());
  CHECK(read_file(path).size() == 100'000);
  CHECK(device.name() == path);
}

TEST_CASE_FIXTURE(Disk, "a read that passes the end is damage, and says where") {
  value_of(device.resize(10));
  char buffer[32];
  for (const std::uint64_t offset : {std::uint64_t{4}, std::uint64_t{10}, std::uint64_t{5000},
                                     std::uint64_t{1} << 63U, ~std::uint64_t{0} - 3}) {
    CAPTURE(offset);
    const auto got = device.read(offset, 7, buffer);
    CHECK(error_of(got) == ErrorCode::damaged);
    CHECK(got.error().message.find(path) != std::string::npos);
    CHECK(got.error().message.find("at " + std::to_string(offset)) != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Disk, "growing reserves, cutting keeps what stands before, zeros come after it") {
  value_of(device.resize(1 << 20));
  CHECK(blocks() * 512 >= 1 << 20);
  value_of(device.write(0, std::string(8192, 'x')));
  value_of(device.resize(5000));
  CHECK(value_of(device.size()) == 5000);
  value_of(device.resize(5000));
  value_of(device.resize(8192));
  CHECK(read(0, 8192) == std::string(5000, 'x') + std::string(3192, '\0'));
}

TEST_CASE_FIXTURE(Disk, "punched space reads as zeros, and can be had back") {
  value_of(device.resize(1 << 20));
  value_of(device.write(0, std::string(1 << 20, 'x')));
  value_of(device.sync());
  const std::uint64_t before = blocks();
  value_of(device.punch(65'536, 524'288));
  value_of(device.punch(0, 0));
  CHECK(value_of(device.size()) == 1 << 20);
  CHECK(blocks() < before);
  CHECK(read(65'535, 3) == std::string("x\0\0", 3));
  CHECK(read(65'536 + 524'287, 2) == std::string("\0x", 2));
  value_of(device.allocate(65'536, 524'288));
  value_of(device.allocate(0, 0));
  CHECK(blocks() * 512 >= 1 << 20);
  CHECK(read(65'535, 3) == std::string("x\0\0", 3));
  // Nothing that is there goes by it.
  value_of(device.allocate(0, 1 << 20));
  CHECK(read(0, 4) == "xxxx");
}

TEST_CASE_FIXTURE(Disk, "hints change nothing") {
  value_of(device.resize(1 << 20));
  value_of(device.write(0, std::string(1 << 20, 'x')));
  device.will_be_written(0, 1 << 20);  // not on disk yet
  device.start_writing(4096, 500'000);
  CHECK(read(0, 1 << 20) == std::string(1 << 20, 'x'));
  value_of(device.sync());
  device.will_be_written(4096, 65'536);
  device.will_be_written(std::uint64_t{1} << 40, 4096);
  CHECK(read(0, 1 << 20) == std::string(1 << 20, 'x'));
}

TEST_CASE_FIXTURE(Disk, "a full disk leaves the size as it was") {
  value_of(device.resize(20'000));
  value_of(device.write(0, std::string(20'000, 'x')));
  Child opener([this](Child&) {
    OpenFile again(path, O_RDWR);
    HostDevice own(again.number, path, HostAccess::write);
    limit_files(30'000);
    const auto grown = own.resize(50'000);
    if (grown || grown.error().code != ErrorCode::no_space) return 1;
    if (own.size() != 20'000) return 2;
    if (own.space_left() != 10'000) return 3;
    if (!own.resize(25'000) || own.size() != 25'000) return 4;
    if (!own.write(24'000, "still")) return 5;
    const auto beyond = own.write(29'000, std::string(5000, 'y'));
    return !beyond && beyond.error().code == ErrorCode::no_space ? 0 : 6;
  });
  CHECK(opener.end() == 0);
  CHECK(read(0, 20'000) == std::string(20'000, 'x'));
}

TEST_CASE_FIXTURE(Disk, "a limit below what the file has already is no signal either") {
  value_of(device.resize(50'000));
  value_of(device.write(0, std::string(50'000, 'x')));
  value_of(device.sync());
  Child limited([&](Child&) {
    HostDevice own(file.number, path, HostAccess::write);
    limit_files(30'000);
    if (!own.write(29'990, "within")) return 1;
    for (const std::uint64_t offset : {29'998u, 30'000u, 49'000u}) {
      const auto beyond = own.write(offset, "beyond");
      if (beyond || beyond.error().code != ErrorCode::no_space) return 2;
    }
    return own.resize(20'000) && own.sync() ? 0 : 3;
  });
  CHECK(limited.end() == 0);
  CHECK(value_of(device.size()) == 20'000);
}

TEST_CASE_FIXTURE(Disk, "more than a file can be is a full disk, too") {
  value_of(device.resize(10));
  CHECK(error_of(device.resize(~std::uint64_t{0})) == ErrorCode::no_space);
  CHECK(value_of(device.size()) == 10);
}

TEST_CASE_FIXTURE(Disk, "what a growing that failed has added is taken back") {
  value_of(device.resize(4096));
  for (const int wrong : {ENOSPC, EDQUOT, EFBIG, EIO}) {
    CAPTURE(wrong);
    Scripted scripted(file.number, path, {wrong});
    scripted.before = [this] { REQUIRE(::ftruncate(file.number, 70'000) == 0); };
    const auto grown = scripted.resize(90'000);
    CHECK(error_of(grown) == (wrong == EIO ? ErrorCode::io : ErrorCode::no_space));
    CHECK(grown.error().message.find(path) != std::string::npos);
    CHECK(value_of(device.size()) == 4096);
  }
}

TEST_CASE_FIXTURE(Disk, "where space cannot be reserved, growing writes zeros") {
  for (const int wrong : {EOPNOTSUPP, ENOSYS}) {
    value_of(device.resize(0));
    Scripted scripted(file.number, path, {wrong, wrong, wrong});
    value_of(scripted.resize(3'000'000));
    CHECK(value_of(device.size()) == 3'000'000);
    CHECK(blocks() * 512 >= 3'000'000);
    CHECK(read(2'999'990, 10) == std::string(10, '\0'));
    value_of(scripted.punch(0, 4096));
    value_of(scripted.allocate(0, 4096));
  }
  Child full([this](Child&) {
    OpenFile again(path, O_RDWR);
    Scripted scripted(again.number, path, {EOPNOTSUPP});
    limit_files(4'500'000);
    const auto grown = scripted.resize(9'000'000);
    if (grown || grown.error().code != ErrorCode::no_space) return 1;
    return scripted.size() == 3'000'000 ? 0 : 2;
  });
  CHECK(full.end() == 0);
}

TEST_CASE_FIXTURE(Disk, "a signal in between changes nothing") {
  Scripted scripted(file.number, path, {EINTR, EINTR, 0, EINTR, 0, EINTR, 0});
  value_of(scripted.resize(8192));
  value_of(scripted.punch(0, 4096));
  value_of(scripted.allocate(0, 4096));
  CHECK(value_of(device.size()) == 8192);
}

TEST_CASE_FIXTURE(Disk, "giving space back may do nothing, reserving may not") {
  value_of(device.resize(8192));
  Scripted full(file.number, path, {ENOSPC, ENOSPC, EIO, EIO});
  value_of(full.punch(0, 4096));
  CHECK(error_of(full.allocate(0, 4096)) == ErrorCode::no_space);
  CHECK(error_of(full.punch(0, 4096)) == ErrorCode::io);
  CHECK(error_of(full.allocate(0, 4096)) == ErrorCode::io);
}

TEST_CASE("what the system says is told") {
  const OpenFile full("/dev/full", O_RDWR);
  HostDevice device(full.number, "/dev/full", HostAccess::write);
  const auto written = device.write(0, "byte");
  CHECK(error_of(written) == ErrorCode::no_space);
  CHECK(written.error().message.find("writing 4 bytes at 0 of /dev/full") != std::string::npos);
  CHECK(error_of(device.sync()) == ErrorCode::io);
  // The first page of a process is never there.
  const OpenFile memory("/proc/self/mem", O_RDONLY);
  HostDevice unreadable(memory.number, "/proc/self/mem", HostAccess::read);
  char byte = 0;
  CHECK(error_of(unreadable.read(0, 1, &byte)) == ErrorCode::io);
}

TEST_CASE_FIXTURE(Disk, "one that is open to read changes nothing") {
  value_of(device.resize(10));
  value_of(device.write(0, "0123456789"));
  HostDevice reader(file.number, path, HostAccess::read);
  char buffer[10];
  value_of(reader.read(0, 10, buffer));
  CHECK(value_of(reader.size()) == 10);
  CHECK(error_of(reader.write(0, "x")) == ErrorCode::unsupported);
  CHECK(error_of(reader.resize(5)) == ErrorCode::unsupported);
  CHECK(error_of(reader.punch(0, 5)) == ErrorCode::unsupported);
  CHECK(error_of(reader.allocate(0, 5)) == ErrorCode::unsupported);
  CHECK(error_of(reader.sync()) == ErrorCode::unsupported);
  CHECK(read_file(path) == "0123456789");
}

TEST_CASE_FIXTURE(Disk, "in a forked child nothing of it works") {
  value_of(device.resize(10));
  Child child([this](Child&) {
    char buffer[10];
    const auto forked = [](const auto& result) {
      return !result && result.error().code == ErrorCode::forked;
    };
    if (!forked(device.read(0, 10, buffer)) || !forked(device.write(0, "x"))) return 1;
    if (!forked(device.sync()) || !forked(device.resize(20)) || !forked(device.size())) return 2;
    if (!forked(device.punch(0, 5)) || !forked(device.allocate(0, 5))) return 3;
    return forked(device.space_left()) ? 0 : 4;
  });
  CHECK(child.end() == 0);
  CHECK(value_of(device.size()) == 10);
}

TEST_CASE_FIXTURE(Disk, "many threads write, read and grow at once") {
  constexpr std::size_t piece = 4096;
  constexpr std::size_t pieces = 32;
  value_of(device.resize(4 * pieces * piece));
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (std::size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::size_t i = 0; i < pieces; ++i) {
        const std::string bytes(piece, static_cast<char>('a' + thread));
        const std::uint64_t at = (thread * pieces + i) * piece;
        std::string back(piece, '?');
        if (!device.write(at, bytes) || !device.read(at, piece, back.data()) || back != bytes ||
            !device.resize((4 + i + thread) * pieces * piece)) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}
