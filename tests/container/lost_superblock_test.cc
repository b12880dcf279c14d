// Both superblocks are lost: salvage finds the same files by the labels of the journal's slots,
// whenever the power went, and however far a change of slots had come.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <map>
#include <string>

#include "container/container_place.h"
#include "container/crash_program.h"
#include "container/journal.h"
#include "container/lost_superblock.h"
#include "container/slot_label.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using container::Container;
using container::parse_slot_label;

namespace {

using Opened = Result<std::unique_ptr<Container>>;

Opened open_to_look(const DiskImage& image, bool salvage) {
  return Container::open(std::make_shared<SimulatedDevice>(image),
                         std::make_shared<container::NoPins>(),
                         {.read_only = true, .salvage = salvage});
}

// All files, and where their bytes lie.
std::map<std::string, container::Extents> files_of(Container& opened) {
  std::map<std::string, container::Extents> files;
  const std::function<void(const std::string&)> visit = [&](const std::string& directory) {
    const auto names = opened.children(directory.empty() ? "/" : directory);
    for (const std::string& name : *names) {
      const std::string path = directory + "/" + name;
      if (opened.what_is(path) == Container::What::directory) {
        files[path];
        visit(path);
        continue;
      }
      const auto file = value_of(opened.open_file(path));
      MutexLock lock(file->mutex);
      files[path] = *file->extents;
    }
  };
  visit("");
  return files;
}

DiskImage without_superblocks(DiskImage image) {
  for (const std::uint64_t offset : container::superblock_offsets) {
    image.write(offset, std::string(container::block_bytes, '\0'));
  }
  return image;
}

// False: there is no container in it yet.
bool check_found(const DiskImage& image, const std::string& what) {
  auto opened = open_to_look(image, false);
  if (!opened) {
    CHECK(opened.error().code == ErrorCode::store_missing);
    return false;
  }
  CHECK_FALSE((*opened)->superblocks_lost());
  auto found = open_to_look(without_superblocks(image), true);
  if (!found) FAIL(what << ": " << found.error().message);
  CHECK((*found)->superblocks_lost());
  if (files_of(**found) != files_of(**opened)) FAIL(what << ": other files");
  CHECK(value_of((*found)->unchanged()));
  return true;
}

}  // namespace

TEST_CASE("the files are found again without superblocks, whenever the power went") {
  const Recording recording = record(crash_program());
  int found = 0;
  for (const KeptMoment& moment : recording.moments) {
    for (const CrashPlan& plan : {CrashPlan{CrashPlan::Kind::none}, CrashPlan{CrashPlan::Kind::all},
                                  CrashPlan{.kind = CrashPlan::Kind::some, .seed = moment.calls}}) {
      const std::string what = fmt::format("after {} calls, {}", moment.calls, plan.describe());
      const DiskImage image = moment.moment.crash(plan);
      if (!check_found(image, what)) continue;
      ++found;
      // A slot that was begun and is not in use stays behind when it is gone on without it.
      auto place = value_of(open_place(image));
      value_of(place.container->make_directory("/more"));
      value_of(place.container->sync_names());
      check_found(place.device->image(), what + ", and one more opening");
    }
  }
  MESSAGE(found << " images");
  CHECK(found > 500);
}

TEST_CASE("of two slots that go equally far the one counts that was gone on with") {
  SimulatedDevice device;
  value_of(device.resize(12288 + 4 * 32768));
  container::Superblock superblock{.store_id = {7}, .slots = {}};
  const container::JournalSlot begun{.copies = {12288, 12288 + 2 * 32768}, .length = 32768};
  const container::JournalSlot used{.copies = {12288 + 32768, 12288 + 3 * 32768}, .length = 32768};
  container::Journal journal(device);
  journal.set_store(superblock);
  value_of(journal.begin(used, 1, {}));
  value_of(journal.append(container::Records().make_directory("/a").bytes()));
  // The change to it was cut off before the superblock said so.
  container::Journal cut_off = journal;
  value_of(cut_off.begin(begun, 2, container::Records().make_directory("/a").bytes()));
  CHECK(value_of(container::find_lost_superblock(device)).slots[0] == begun);
  journal.set_generation(2);
  value_of(journal.append(container::Records().make_directory("/b").bytes()));
  CHECK(journal.sequence() == cut_off.sequence());
  CHECK(value_of(container::find_lost_superblock(device)).slots[0] == used);
}

TEST_CASE("without superblocks and labels nothing is made up") {
  auto place = value_of(open_place(std::make_shared<SimulatedDevice>()));
  value_of(place.container->mark_created());
  value_of(place.container->close());
  DiskImage image = without_superblocks(place.device->image());
  CHECK(open_to_look(image, true));
  // Only to salvage.
  const auto refused = open_to_look(image, false);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::not_a_store);
  CHECK(refused.error().message.find("once salvage") != std::string::npos);

  const std::string bytes = image.bytes();
  int labels = 0;
  for (std::size_t at = 0; (at = bytes.find("ONCESLOT", at)) != std::string::npos; ++at) {
    image.flip(at + 30, 1);
    ++labels;
  }
  CHECK(labels >= 2);
  const auto lost = open_to_look(image, true);
  REQUIRE_FALSE(lost);
  CHECK(lost.error().message.find("no journal") != std::string::npos);
}

TEST_CASE("a label counts only where it says that it stands, and of one store only") {
  const container::SlotLabel label{
      .store_id = {1, 2, 3},
      .slot = {.copies = {12288, 12288 + 2 * 32768}, .length = 32768},
  };
  const Bytes bytes = encode(label);
  REQUIRE(bytes.size() == container::slot_label_bytes);
  CHECK(parse_slot_label(bytes, 12288 + 32768) == label);
  CHECK(parse_slot_label(bytes, 12288 + 3 * 32768) == label);
  CHECK_FALSE(parse_slot_label(bytes, 12288 + 2 * 32768));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes rotten = bytes;
    rotten[at] = static_cast<char>(rotten[at] ^ 4);
    CHECK_FALSE(parse_slot_label(rotten, 12288 + 32768));
  }

  auto place = value_of(open_place(std::make_shared<SimulatedDevice>()));
  value_of(place.container->mark_created());
  DiskImage image = without_superblocks(place.device->image());
  const auto slot =
      value_of(container::find_lost_superblock(*std::make_shared<SimulatedDevice>(image))).slots[0];
  // In the slot that is not in use yet.
  container::SlotLabel other{.store_id = {9}, .slot = slot};
  for (std::uint64_t& copy : other.slot.copies) copy += slot.length;
  image.write(slot.copies[0] + 2 * slot.length - container::slot_label_bytes, encode(other));
  const auto refused = container::find_lost_superblock(*std::make_shared<SimulatedDevice>(image));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::damaged);
  CHECK(refused.error().message.find("several stores") != std::string::npos);
}
