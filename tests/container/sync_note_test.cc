// A process is killed at any moment, and then a block of its container rots: a log is told to be
// damaged, or has all that was synced, whatever was being appended behind that.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "container/container_place.h"
#include "container/crash_program.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using Kind = Op::Kind;

namespace {

// Appends of all sizes to a log and then to another, some of them synced.
std::vector<Op> random_appends(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t limit) { return random() % limit; };
  std::vector<Op> ops;
  for (const char* path : {"/1.log", "/2.log"}) {
    ops.push_back({.kind = Kind::create, .path = path});
    for (int i = 0; i < 25; ++i) {
      // What does not fill a block, fills it exactly (with 40 bytes around it), and many blocks.
      const std::uint64_t sizes[] = {1 + below(200), container::block_bytes - 40, 1 + below(6000),
                                     1 + below(20'000)};
      ops.push_back({.kind = Kind::append, .length = sizes[below(4)]});
      if (below(2) == 0) ops.push_back({.kind = Kind::sync});
      if (below(10) == 0) ops.push_back({.kind = Kind::give_back});
    }
    ops.push_back({.kind = Kind::sync});
    ops.push_back({.kind = Kind::close});
  }
  return ops;
}

// What is wrong with the logs that are found, of which `floor` says how much was synced.
std::string problem_with_logs(const DiskImage& image, const FileModel& floor, bool may_refuse) {
  container::ContainerOptions options = test_options();
  options.read_only = true;
  options.create_if_missing = false;
  auto opened = open_place(image, options);
  if (!opened) {
    const bool refused = may_refuse && opened.error().code == ErrorCode::damaged;
    return refused ? "" : opened.error().message;
  }
  for (const std::string& path : floor.files()) {
    std::uint64_t size = 0;
    if (!opened->files->GetFileSize(path, {}, &size, nullptr).ok()) return "there is no " + path;
    const std::size_t synced = floor.synced_bytes(path);
    if (size < synced) return fmt::format("{} has {} of {} bytes", path, size, synced);
  }
  return "";
}

void check_block_by_block(const DiskImage& image, const FileModel& floor, const std::string& what) {
  REQUIRE(problem_with_logs(image, floor, false) == "");
  for (std::uint64_t offset = container::first_block_offset; offset < image.size();
       offset += container::block_bytes) {
    DiskImage rotten = image;
    rotten.write(offset, std::string(container::block_bytes, '\0'));
    const std::string problem = problem_with_logs(rotten, floor, true);
    if (!problem.empty()) FAIL(fmt::format("{}, zeros at {}: {}", what, offset, problem));
  }
}

}  // namespace

TEST_CASE("a lost block of a killed container's log is no torn tail") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const Recording recording = record(random_appends(seed));
    for (const KeptMoment& moment : recording.moments) {
      const FileModel& floor = recording.floor(recording.ended_at(moment));
      const auto check = [&](const CrashPlan& plan) {
        check_block_by_block(
            moment.moment.crash(plan), floor,
            fmt::format("seed {}, killed after {} calls, {}", seed, moment.calls, plan.describe()));
      };
      check({CrashPlan::Kind::all});
      // In the middle of a write, of which the kernel has taken some pages.
      const std::uint64_t last = moment.moment.last_write_bytes();
      if (last > container::block_bytes) {
        check({.kind = CrashPlan::Kind::last_torn, .index = last - container::block_bytes});
      }
    }
  }
}

TEST_CASE("what was synced on the way to a log that did not come about is vouched for") {
  const auto place = value_of(open_place(std::make_shared<SimulatedDevice>()));
  const auto log = value_of(place.container->create("/1.log"));
  value_of(place.container->append(*log, std::string(100, 'a')));
  value_of(place.container->sync(*log));
  value_of(place.container->append(*log, std::string(100, 'b')));
  CHECK_FALSE(place.container->create("/missing/2.log"));
  value_of(place.container->sync(*log));
  value_of(place.container->mark_created());
  DiskImage image = place.device->image();
  const std::size_t at = image.bytes().find(std::string(100, 'b'));
  REQUIRE(at != std::string::npos);
  image.flip(at, 1);
  container::ContainerOptions options = test_options();
  options.read_only = true;
  const auto opened = open_place(image, options);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::damaged);
}
