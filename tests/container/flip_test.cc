// A byte of a container is not what was written, or a block of it is zeros. Whichever it is: an
// error that names the place, or the same answers as before, and never a wrong or a missing one.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "container/container_place.h"
#include "container/crash_program.h"
#include "container/journal.h"
#include "container/superblock.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using Kind = Op::Kind;
using rocksdb::IOStatus;

namespace {

// One of everything, small: so that every byte can have its turn.
std::vector<Op> small_program() {
  std::vector<Op> ops{{.kind = Kind::make_directory, .path = "/db"}};
  const auto add = [&](std::initializer_list<Op> more) { ops.insert(ops.end(), more); };
  add({{.kind = Kind::create, .path = "/db/MANIFEST-000001"},
       {.kind = Kind::append, .length = 50},
       {.kind = Kind::sync},
       {.kind = Kind::append, .length = 60},
       {.kind = Kind::sync},
       {.kind = Kind::create, .path = "/db/000002.log", .slot = 1},
       {.kind = Kind::append, .length = 40, .slot = 1},
       {.kind = Kind::sync, .slot = 1},
       {.kind = Kind::append, .length = 500, .slot = 1},
       {.kind = Kind::create, .path = "/db/000003.log", .slot = 2},
       {.kind = Kind::append, .length = 100, .slot = 2},
       {.kind = Kind::sync, .slot = 2},
       {.kind = Kind::create, .path = "/db/CURRENT", .slot = 3},
       {.kind = Kind::append, .length = 16, .slot = 3},
       {.kind = Kind::sync, .slot = 3},
       {.kind = Kind::close, .slot = 3},
       {.kind = Kind::create, .path = "/db/000004.sst", .slot = 3},
       {.kind = Kind::append, .length = 5000, .slot = 3},
       {.kind = Kind::sync, .slot = 3},
       {.kind = Kind::close, .slot = 3},
       {.kind = Kind::create, .path = "/db/000005.sst", .slot = 3},
       {.kind = Kind::append, .length = 1000, .slot = 3},
       {.kind = Kind::sync, .slot = 3},
       {.kind = Kind::close, .slot = 3},
       {.kind = Kind::remove, .path = "/db/000005.sst"},
       {.kind = Kind::link, .path = "/db/000004.sst", .to = "/db/linked.sst"},
       {.kind = Kind::sync_directory, .path = "/db"}});
  // The last two commits of a log: one that the other vouches for, and one that only a note does.
  add({{.kind = Kind::append, .length = 70, .slot = 2},
       {.kind = Kind::append, .length = 80, .slot = 2},
       {.kind = Kind::sync, .slot = 2},
       {.kind = Kind::append, .length = 30, .slot = 2},
       {.kind = Kind::append, .length = 20, .slot = 2},
       {.kind = Kind::sync, .slot = 2}});
  return ops;
}

// A container as it was left, and what is to be found in it.
struct Left {
  DiskImage image{};
  Tree tree{};
  // How much of each log is vouched for; what comes after looks like a torn tail when it is broken.
  std::map<std::string, std::size_t> vouched{};
};

enum class Ending { closed, killed, power_cut };

Left leave(std::vector<Op> program, Ending ending) {
  if (ending == Ending::closed) program.push_back({.kind = Kind::restart});
  const Recording recording = record(program);
  Left left;
  if (ending == Ending::closed) {
    // What the last opening has begun to write does not matter here; what was closed does.
    left.tree = recording.models.back().tree();
    left.image =
        recording.moments[recording.moments.size() - 1].moment.crash({CrashPlan::Kind::none});
    ContainerPlace place = value_of(open_place(left.image));
    value_of(place.container->close());
    left.image = place.device->moment().crash({CrashPlan::Kind::none});
    return left;
  }
  left.image = recording.moments.back().moment.crash(
      {ending == Ending::killed ? CrashPlan::Kind::all : CrashPlan::Kind::none});
  ContainerPlace place = value_of(open_place(left.image));
  REQUIRE(read_tree(*place.files, "", &left.tree).ok());
  for (const std::string& path : recording.models.back().files()) {
    // What a MANIFEST says is relied on by what is done to other files, so all of it counts.
    const bool manifest = path.find("MANIFEST") != std::string::npos;
    if (!recording.models.back().is_log(path) || manifest) continue;
    const std::size_t last = recording.models.back().synced_bytes(path);
    left.vouched[path] = last;
    if (ending == Ending::killed) continue;
    // What vouches for a sync needs the next one to be on disk.
    std::size_t before = 0;
    for (const FileModel& model : recording.models) {
      const std::size_t synced = model.synced_bytes(path);
      if (synced < last) before = synced;
    }
    left.vouched[path] = before;
  }
  return left;
}

struct Seen {
  std::uint64_t same = 0;
  std::uint64_t refused = 0;  // when it was opened
  std::uint64_t errors = 0;   // when a file was read
  std::uint64_t cut = 0;      // a log, behind what is vouched for
  std::uint64_t found = 0;    // by fsck only
};

bool names_a_place(const std::string& message) {
  return message.find("byte") != std::string::npos;
}

// Compares with what was left; empty if all is well.
std::string problem_with(const Left& left, const DiskImage& image, bool read_only, Seen* seen) {
  container::ContainerOptions options = test_options();
  options.read_only = read_only;
  options.create_if_missing = false;
  auto opened = open_place(image, options);
  if (!opened) {
    ++seen->refused;
    if (opened.error().code != ErrorCode::damaged) {
      return fmt::format("{}: {}", to_string(opened.error().code), opened.error().message);
    }
    if (!names_a_place(opened.error().message)) return "no place: " + opened.error().message;
    return "";
  }
  Tree names;
  bool any = false;
  std::string broken;
  for (const auto& [path, bytes] : left.tree) {
    bool is_directory = false;
    IOStatus status = opened->files->IsDirectory(path, {}, &is_directory, nullptr);
    if (!status.ok()) return path + ": " + status.ToString();
    if (is_directory != !bytes) return path + " is of another kind";
    std::vector<std::string> children;
    if (is_directory) {
      if (!opened->files->GetChildren(path, {}, &children, nullptr).ok()) return path;
      for (const std::string& child : children) {
        if (!left.tree.contains(path + "/" + child)) return child + " should not be there";
      }
      continue;
    }
    std::string found;
    status = read_whole(*opened->files, path, &found);
    if (!status.ok()) {
      any = true;
      ++seen->errors;
      if (!status.IsCorruption()) return path + ": " + status.ToString();
      if (!names_a_place(status.ToString())) return "no place: " + status.ToString();
      if (status.ToString().find(path) == std::string::npos) {
        return "another file is named: " + status.ToString();
      }
      continue;
    }
    if (found == *bytes) continue;
    any = true;
    const auto vouched = left.vouched.find(path);
    const bool is_cut = vouched != left.vouched.end() && found.size() >= vouched->second &&
                        found.size() < bytes->size() && bytes->starts_with(found);
    if (is_cut) {
      ++seen->cut;
      continue;
    }
    // Of a large table only the end is checked when it is opened; RocksDB checks its blocks.
    constexpr std::size_t checked_whole = 64 << 10;
    if (found.size() != bytes->size() || found.size() <= checked_whole) {
      return fmt::format("{} has {} bytes in place of {}", path, found.size(), bytes->size());
    }
    broken = path;
  }
  if (!any && broken.empty()) ++seen->same;
  if (broken.empty()) return "";
  ++seen->found;
  const std::string by_fsck = testing::problem_with(*opened);
  return by_fsck.find(broken) != std::string::npos
             ? ""
             : broken + " is wrong, and fsck says: " + by_fsck;
}

class Flipping {
 public:
  explicit Flipping(Left left) : left_(std::move(left)) {}

  void flip(std::uint64_t offset, std::uint8_t mask, bool read_only) {
    DiskImage image = left_.image;
    image.flip(offset, mask);
    check(image, fmt::format("byte {} ^ {:#x}", offset, mask), read_only);
  }
  // A block that the disk has lost.
  void zero(std::uint64_t offset, bool read_only) {
    DiskImage image = left_.image;
    image.write(offset, std::string(container::block_bytes, '\0'));
    check(image, fmt::format("zeros at {}", offset), read_only);
  }
  [[nodiscard]] const Left& left() const { return left_; }
  [[nodiscard]] std::string told() const {
    return fmt::format(
        "{} flips: {} without effect, {} refused, {} errors of a file, {} torn tails, {} found by "
        "fsck",
        flips, seen.same, seen.refused, seen.errors, seen.cut, seen.found);
  }
  Seen seen;
  std::uint64_t flips = 0;

 private:
  void check(const DiskImage& image, const std::string& what, bool read_only) {
    const std::string problem = problem_with(left_, image, read_only, &seen);
    ++flips;
    if (problem.empty()) return;
    const std::string text =
        fmt::format("{}, opened to {}: {}", what, read_only ? "read" : "write", problem);
    if (++reported_ > 5) FAIL(text);
    FAIL_CHECK(text);
  }

  Left left_;
  int reported_ = 0;
};

// The superblocks, the holder page, and both copies of both slots.
std::uint64_t end_of_journal(const DiskImage& image) {
  SimulatedDevice device(image);
  const auto found = value_of(container::read_superblocks(device));
  std::uint64_t end = 0;
  for (const auto& slot : found.newest.slots) {
    for (const std::uint64_t copy : slot.copies) end = std::max(end, copy + slot.length);
  }
  return end;
}

void zero_every_block(Flipping& flipping) {
  for (std::uint64_t offset = 0; offset < flipping.left().image.size();
       offset += container::block_bytes) {
    flipping.zero(offset, true);
    flipping.zero(offset, false);
  }
}

void flip_every_byte(Ending ending) {
  Flipping flipping(leave(small_program(), ending));
  const DiskImage& image = flipping.left().image;
  const std::uint64_t journal = end_of_journal(image);
  CHECK(problem_with(flipping.left(), image, true, &flipping.seen) == "");
  CHECK(problem_with(flipping.left(), image, false, &flipping.seen) == "");
  // Every byte of what the container says of itself: read and written, another bit each time.
  for (std::uint64_t offset = 0; offset < journal; ++offset) {
    const auto mask = static_cast<std::uint8_t>(1u << (offset % 8));
    flipping.flip(offset, mask, true);
    flipping.flip(offset, static_cast<std::uint8_t>(~mask), false);
  }
  // And of everything else; of the zeros behind the ends of logs every seventh.
  for (std::uint64_t offset = journal; offset < image.size(); ++offset) {
    const bool zeros = image.bytes(offset, 1)[0] == '\0';
    if (zeros && offset % 7 != 0) continue;
    flipping.flip(offset, static_cast<std::uint8_t>(1u << (offset % 8)), offset % 2 == 0);
  }
  zero_every_block(flipping);
  MESSAGE(flipping.told());
  CHECK(flipping.seen.refused > 0);
  CHECK(flipping.seen.errors > 0);
  CHECK((flipping.seen.cut > 0) == (ending == Ending::power_cut));
}

void flip_some(Ending ending) {
  std::vector<Op> program = crash_program();
  // One that is too large to be checked whole when it is opened.
  program.push_back({.kind = Kind::create, .path = "/db/large.sst", .slot = 5});
  program.push_back({.kind = Kind::append, .length = 200'000, .slot = 5});
  program.push_back({.kind = Kind::sync, .slot = 5});
  program.push_back({.kind = Kind::close, .slot = 5});
  Flipping flipping(leave(program, ending));
  std::mt19937_64 random(static_cast<std::uint64_t>(ending));
  for (int i = 0; i < 1500; ++i) {
    flipping.flip(random() % flipping.left().image.size(),
                  static_cast<std::uint8_t>(1 + random() % 255), i % 4 != 0);
  }
  zero_every_block(flipping);
  MESSAGE(flipping.told());
  CHECK(flipping.seen.found > 0);
}

}  // namespace

TEST_CASE("every byte of a container that was closed in good order") {
  flip_every_byte(Ending::closed);
}

TEST_CASE("every byte of a container that was killed") {
  flip_every_byte(Ending::killed);
}

TEST_CASE("every byte of a container after a power cut") {
  flip_every_byte(Ending::power_cut);
}

TEST_CASE("some bytes of a larger container that was closed in good order") {
  flip_some(Ending::closed);
}

TEST_CASE("some bytes of a larger container that was killed") {
  flip_some(Ending::killed);
}

TEST_CASE("some bytes of a larger container after a power cut") {
  flip_some(Ending::power_cut);
}

namespace {

// A log with "first" in it, and then so many bytes of headers of envelopes of this log, one after
// another, each of which reaches over half of what follows; said to be at `offset` of the log.
struct Forged {
  ContainerPlace place{};
  std::unique_ptr<rocksdb::FSWritableFile> log{};
  std::size_t second = 0;  // where what holds them begins
};

Forged forge(std::size_t bytes, std::uint64_t offset) {
  Forged forged{.place = value_of(open_place(std::make_shared<SimulatedDevice>()))};
  REQUIRE(forged.place.files->NewWritableFile("/1.log", {}, &forged.log, nullptr).ok());
  REQUIRE(forged.log->Append("first", {}, nullptr).ok());
  REQUIRE(forged.log->Sync({}, nullptr).ok());
  const std::string before = forged.place.device->image().bytes();
  const std::size_t envelope = before.find("OENV") - 4;
  const auto put = [](std::string& text, std::size_t at, std::uint64_t number, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      text[at + i] = static_cast<char>(number >> (8 * i) & 255);
  };
  std::string header = before.substr(envelope, 32);
  put(header, 16, offset, 8);
  put(header, 24, offset, 8);  // durable
  std::string payload;
  for (std::size_t at = 0; at < bytes; at += header.size()) {
    put(header, 0, (bytes - at) / 2, 4);
    payload += header;
  }
  REQUIRE(forged.log->Append(payload, {}, nullptr).ok());
  REQUIRE(forged.log->Sync({}, nullptr).ok());
  forged.second = forged.place.device->image().bytes().find("OENV", envelope + 8) - 4;
  return forged;
}

// As a power cut leaves it, with a byte of the forged headers' own envelope flipped.
DiskImage flipped(const Forged& forged) {
  DiskImage image = forged.place.device->moment().crash({CrashPlan::Kind::none});
  image.flip(forged.second + 40, 1);
  return image;
}

std::string salvaged(const DiskImage& image, std::string* problem) {
  container::ContainerOptions options = test_options();
  options.read_only = true;
  options.salvage = true;
  ContainerPlace place = value_of(open_place(image, options));
  auto log = value_of(place.container->read_damaged_log("/1.log"));
  *problem = log.problem;
  return log.bytes;
}

// How many bytes the log has for who opens it.
std::uint64_t shown(const DiskImage& image) {
  const ContainerPlace place = value_of(open_place(image));
  return place.container->size(*value_of(place.container->open_file("/1.log")));
}

constexpr std::size_t forged_bytes = 8 << 20;

}  // namespace

// What was made to look like envelopes must not keep who opens it busy for ever: each of these
// would have to be read to its end, 260,000 times some megabytes.
TEST_CASE("a log full of what looks like envelopes is refused in time") {
  const Forged forged = forge(forged_bytes, 6);
  const DiskImage image = flipped(forged);
  const auto start = std::chrono::steady_clock::now();
  auto opened = open_place(image);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::damaged);
  CHECK(opened.error().message.find(fmt::format("byte {}", forged.second)) != std::string::npos);
  CHECK(opened.error().message.find("too much") != std::string::npos);
  std::string problem;
  CHECK(salvaged(image, &problem) == "first");
  CHECK(problem.find("too much") != std::string::npos);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

// Each file is looked up once, not each among all.
TEST_CASE("a journal with as many files as it can hold is read in time") {
  container::Records records;
  constexpr std::uint64_t files = 60'000;
  for (std::uint64_t id = 1; id <= files; ++id) {
    records.create(id, false, 0, "/" + std::to_string(id));
  }
  container::Superblock superblock;
  superblock.store_id[0] = 7;
  superblock.generation = 1;
  superblock.created = true;
  const std::uint64_t length = container::round_up(2 * records.bytes().size(), 4096);
  std::uint64_t end = container::first_block_offset;
  for (int copy = 0; copy < 2; ++copy) {
    for (container::JournalSlot& slot : superblock.slots) {
      slot.copies[copy] = end;
      slot.length = length;
      end += length;
    }
  }
  auto device = std::make_shared<SimulatedDevice>();
  value_of(device->resize(end));
  container::Journal journal(*device);
  journal.set_store(superblock);
  value_of(journal.begin(superblock.slots[0], 1, records.bytes()));
  for (const std::uint64_t offset : container::superblock_offsets) {
    value_of(device->write(offset, encode(superblock)));
  }
  const auto start = std::chrono::steady_clock::now();
  const auto opened = value_of(container::Container::open(
      device, std::make_shared<container::NoPins>(), {.read_only = true}));
  CHECK(opened->children("/").value().size() == files);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

TEST_CASE("what looks like an envelope where none can be is no reason to refuse a torn log") {
  // Behind more bytes of the log than there is room for.
  const Forged forged = forge(forged_bytes, 2 * forged_bytes);
  const auto start = std::chrono::steady_clock::now();
  CHECK(shown(flipped(forged)) == 5);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("among what looks like envelopes, those that are some count") {
  {
    // Few, and nothing behind them: a torn end, whatever it looks like.
    const Forged forged = forge(64, 6);
    CHECK(shown(flipped(forged)) == 5);
  }
  Forged forged = forge(64, 6);
  REQUIRE(forged.log->Append("last", {}, nullptr).ok());
  REQUIRE(forged.log->Sync({}, nullptr).ok());
  const DiskImage image = flipped(forged);
  auto opened = open_place(image);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::damaged);
  CHECK(opened.error().message.find("no longer there") != std::string::npos);
  std::string problem;
  const std::string bytes = salvaged(image, &problem);
  CHECK(bytes == "first" + std::string(64, '\0') + "last");
  CHECK(problem.find("not there") != std::string::npos);
}

// A disk that answers ok and does nothing, or writes elsewhere.
TEST_CASE("a write that is lost or goes astray is an error, or shows in nothing") {
  const std::vector<Op> program = small_program();
  const Recording recording = record(program);
  const Left whole{.tree = recording.models.back().tree()};
  const std::uint64_t writes = recording.device->calls().of(CallKind::write);
  std::mt19937_64 random(7);
  Seen seen;
  std::uint64_t runs = 0;
  for (std::uint64_t nth = 1; nth <= writes; ++nth) {
    for (int way = 0; way < 6; ++way) {
      auto device = std::make_shared<SimulatedDevice>();
      ContainerPlace place = value_of(open_place(device));
      device->inject({.nth = nth,
                      .effect = way == 0 ? Fault::Effect::lost : Fault::Effect::misdirected,
                      .to = random() % (way < 3 ? 40'000 : 300'000)});
      Runner runner(place.files);
      std::string problem;
      for (const Op& op : program) (void)runner.run(op);
      runner.let_go();
      if (device->struck().total == 0 || !place.container->close()) continue;
      ++runs;
      CAPTURE(nth);
      CAPTURE(way);
      CHECK(problem_with(whole, device->image(), true, &seen) == "");
      CHECK(problem_with(whole, device->image(), false, &seen) == "");
    }
  }
  MESSAGE(runs << " writes lost or astray: " << seen.same << " times without effect, "
               << seen.refused << " refused, " << seen.errors << " errors of a file");
}
