// Frames of the journal are lost in both copies: what salvage makes of the files, one case for each
// way in which a file can come to be missing, old or another's.
#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "base/coding.h"
#include "container/container_place.h"
#include "container/digest.h"
#include "container/journal_frame.h"
#include "container/salvaged_journal.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using container::Container;

namespace {

using Opened = Result<std::unique_ptr<Container>>;

Opened open_to_look(const DiskImage& image, bool salvage) {
  return Container::open(std::make_shared<SimulatedDevice>(image),
                         std::make_shared<container::NoPins>(),
                         {.read_only = true, .salvage = salvage});
}

// A container that is written to, and that loses frames.
struct Written {
  ContainerPlace place = value_of(open_place(std::make_shared<SimulatedDevice>()));
  Container& container = *place.container;
  int vouched = 0;

  Written() {
    value_of(container.mark_created());
    value_of(container.make_directory("/once"));
  }
  std::shared_ptr<container::File> make(const std::string& path, const std::string& bytes) {
    auto file = value_of(container.create(path));
    value_of(container.append(*file, bytes));
    value_of(container.sync(*file));
    return file;
  }
  // Something later that says that all before it was on disk.
  void vouch() {
    value_of(container.sync_names());
    value_of(container.make_directory("/later " + std::to_string(++vouched)));
  }
  // The newest frame that begins with that kind of record is lost.
  DiskImage without(char kind) const {
    DiskImage image = place.device->image();
    SimulatedDevice device(image);
    const auto superblock = value_of(container::read_superblocks(device)).newest;
    const auto& slot = superblock.slots[superblock.active];
    const std::string bytes = image.bytes(slot.copies[0], slot.length);
    std::uint64_t found = 0;
    std::size_t length = 0;
    for (std::uint64_t at = 0; at < bytes.size();) {
      const auto frame =
          container::parse_frame(std::string_view(bytes).substr(at), superblock.seed());
      if (!frame) break;
      if (!frame->snapshot && frame->payload.starts_with(kind)) {
        found = at;
        length = frame->bytes;
      }
      at += frame->bytes;
    }
    REQUIRE(found != 0);
    for (const std::uint64_t copy : slot.copies) image.flip(copy + found + length / 2, 0x40);
    return image;
  }
};

std::unique_ptr<Container> salvaged(const DiskImage& image) {
  const auto refused = open_to_look(image, false);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::damaged);
  auto opened = value_of(open_to_look(image, true));
  REQUIRE_FALSE(opened->journal_losses().empty());
  CHECK(opened->journal_losses()[0].find("its frame ") != std::string::npos);
  CHECK(value_of(opened->unchanged()));
  return opened;
}

std::string bytes_in(Container& opened, const std::string& path) {
  const auto file = value_of(opened.open_file(path));
  if (file == nullptr) return "none";
  std::string bytes(opened.size(*file), '\0');
  bytes.resize(value_of(opened.read(*file, 0, bytes.size(), bytes.data())));
  return bytes;
}

constexpr char create = 3;
constexpr char removal = 4;
constexpr char renaming = 5;
constexpr char extend = 6;
constexpr char size = 7;

}  // namespace

TEST_CASE("a file that a lost frame removed is there as long as its bytes are its own") {
  const std::string bytes(9000, 'a');
  Written written;
  written.make("/once/a.sst", bytes);
  value_of(written.container.remove("/once/a.sst"));
  written.vouch();
  auto opened = salvaged(written.without(removal));
  CHECK(bytes_in(*opened, "/once/a.sst") == bytes);

  // Others get its blocks.
  for (const char* path : {"/once/b.sst", "/once/c.sst", "/once/d.sst"}) {
    written.make(path, std::string(9000, 'b'));
  }
  opened = salvaged(written.without(removal));
  CHECK(bytes_in(*opened, "/once/a.sst") == "none");
  CHECK(bytes_in(*opened, "/once/b.sst") == std::string(9000, 'b'));
  CHECK(std::ranges::any_of(opened->journal_losses(), [](const std::string& loss) {
    return loss.find("/once/a.sst") != std::string::npos;
  }));
}

TEST_CASE("a log whose making is lost is found by what is in it, and its later blocks too") {
  Written written;
  const auto log = written.make("/once/1.log", "first");
  std::string all = "first";
  for (int i = 0; i < 30; ++i) {
    const std::string piece(5000, static_cast<char>('a' + i % 26));
    value_of(written.container.append(*log, piece));
    value_of(written.container.sync(*log));
    all += piece;
  }
  written.vouch();
  SUBCASE("its name") {
    const auto opened = salvaged(written.without(create));
    const auto strays = value_of(opened->read_stray_logs());
    REQUIRE(strays.size() == 1);
    CHECK(strays[0].bytes == all);
    CHECK(strays[0].missing.empty());
    CHECK(bytes_in(*opened, "/once/1.log") == "none");
  }
  SUBCASE("its name, and it was removed") {
    value_of(written.container.remove("/once/1.log"));
    written.vouch();
    const auto opened = salvaged(written.without(create));
    CHECK(opened->removed_unknown() == std::vector<std::string>{"/once/1.log"});
  }
  SUBCASE("blocks that it was given") {
    const auto opened = salvaged(written.without(extend));
    const auto read = value_of(opened->read_damaged_log("/once/1.log"));
    CHECK(read.bytes == all);
    CHECK(read.missing.empty());
    CHECK(value_of(opened->read_stray_logs()).empty());
  }
}

TEST_CASE("where a file without a name was put, the one before is gone") {
  Written written;
  written.make("/once/CURRENT", "old");
  written.make("/once/new", "new");
  value_of(written.container.sync_names());
  value_of(written.container.rename("/once/new", "/once/CURRENT"));
  written.vouch();
  const auto opened = salvaged(written.without(create));
  CHECK(bytes_in(*opened, "/once/CURRENT") == "none");
  // The file is known by its later frames.
  const auto nameless = opened->children(std::string(container::nameless_directory));
  REQUIRE(nameless);
  REQUIRE(nameless->size() == 1);
  CHECK(bytes_in(*opened, "/nameless/" + nameless->front()) == "new");
}

TEST_CASE("a renaming that is lost leaves both names as they were") {
  Written written;
  written.make("/once/CURRENT", "old");
  written.make("/once/new", "new");
  value_of(written.container.rename("/once/new", "/once/CURRENT"));
  written.vouch();
  const auto opened = salvaged(written.without(renaming));
  CHECK(bytes_in(*opened, "/once/new") == "new");
}

TEST_CASE("a file whose size is lost is as long as its blocks") {
  Written written;
  written.make("/once/a.sst", "abc");
  written.vouch();
  const auto opened = salvaged(written.without(size));
  CHECK(bytes_in(*opened, "/once/a.sst").starts_with(std::string("abc\0", 4)));
}

TEST_CASE(
    "as many lost frames as there can be take no longer to look behind than there are bytes") {
  // Behind each frame one is lost, and the ones that say so stand in order at the end.
  constexpr std::uint64_t slot_bytes = std::uint64_t{1} << 20;
  container::Superblock superblock;
  superblock.store_id[0] = 7;
  superblock.generation = 1;
  superblock.created = true;
  std::uint64_t end = container::first_block_offset;
  for (int copy = 0; copy < 2; ++copy) {
    for (container::JournalSlot& slot : superblock.slots) {
      slot.copies[copy] = end;
      slot.length = slot_bytes;
      end += slot_bytes;
    }
  }
  std::string bytes;
  const auto add = [&](bool snapshot, std::uint64_t sequence, std::uint64_t durable) {
    Bytes frame;
    Writer writer(frame);
    writer.u32(0);
    writer.u32(snapshot ? 1 : 0);
    writer.u64(1);
    writer.u64(sequence);
    writer.u64(durable);
    writer.u64(container::digest_of(frame, superblock.seed()));
    bytes += frame;
  };
  constexpr std::uint64_t count = slot_bytes / 100;
  add(true, 1, 0);
  for (std::uint64_t i = 1; i <= count; ++i) {
    add(false, 10 * i, 0);
    bytes += std::string(8, '\0');
  }
  for (std::uint64_t i = 0; i <= count; ++i) add(false, 10 * i + 3, 10 * i + 2);
  REQUIRE(bytes.size() <= slot_bytes);
  bytes.resize(slot_bytes);
  SimulatedDevice device;
  value_of(device.resize(end));
  for (const std::uint64_t copy : superblock.slots[0].copies) {
    value_of(device.write(copy, bytes));
  }
  const std::clock_t start = std::clock();
  const auto journal = value_of(container::salvage_journal(device, superblock));
  CHECK(journal.losses.size() == count);
  CHECK(std::clock() - start < 3 * CLOCKS_PER_SEC);
}
