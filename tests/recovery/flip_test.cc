// A byte of a store is not what was written, or a block of it is zeros. Whichever it is: an error
// that names the place, or the same answers as before, and never a wrong or a missing one.
//
// Every byte of superblocks and journal has its turn, and a sample of the rest.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <map>
#include <random>
#include <regex>
#include <utility>

#include "container/container.h"
#include "recovery/recording.h"
#include "recovery/stopwatch.h"

using namespace once;
using namespace once::testing;

namespace {

// A store as it was left.
struct Left {
  DiskImage image{};
  SessionState state{};
  std::string container{};  // what the container has, for comparing
};

std::string text_of(const Error& error) {
  return fmt::format("{}: {}", to_string(error.code), error.message);
}

using OpenContainer = Result<std::unique_ptr<container::Container>>;

OpenContainer open_to_look(const DiskImage& image) {
  return container::Container::open(std::make_shared<SimulatedDevice>(image),
                                    std::make_shared<container::NoPins>(),
                                    {.read_only = true, .create_if_missing = false});
}

void visit_files(container::Container& container, const std::string& directory,
                 const std::function<void(const std::string& path)>& visit) {
  const auto names = container.children(directory.empty() ? "/" : directory);
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    const bool is_file = container.what_is(path) == container::Container::What::file;
    is_file ? visit(path) : visit_files(container, path, visit);
  }
}

// The names and sizes of all files; or the error, after a '!'.
std::string files_of(const DiskImage& image) {
  auto opened = open_to_look(image);
  if (!opened) return "!" + text_of(opened.error());
  std::string text;
  visit_files(**opened, "", [&](const std::string& path) {
    const auto file = (*opened)->open_file(path);
    text += fmt::format("{} {}\n", path,
                        file ? std::to_string((*opened)->size(**file)) : text_of(file.error()));
  });
  return text;
}

// Where the bytes of each file lie.
std::map<std::string, container::Extents> extents_of(const DiskImage& image) {
  auto opened = open_to_look(image);
  std::map<std::string, container::Extents> extents;
  visit_files(**opened, "", [&](const std::string& path) {
    const auto file = *(*opened)->open_file(path);
    MutexLock lock(file->mutex);
    extents[path] = *file->extents;
  });
  return extents;
}

bool names_a_place(const std::string& message) {
  static const std::regex place(
      "bytes? [0-9]|offset [0-9]|row [^ "
      "]|/once/([0-9]{6}\\.(sst|log)|MANIFEST-[0-9]{6}|CURRENT|IDENTITY)");
  return std::regex_search(message, place);
}

// Runs the fixed program, and ends in good order or not.
Left leave(bool in_good_order, std::string* problem) {
  auto device = std::make_shared<SimulatedDevice>();
  Session session(device, {});
  *problem = session.open(Ending::power_cut);
  for (const Call& call : fixed_program()) {
    if (problem->empty()) *problem = session.run(call);
  }
  if (problem->empty()) *problem = session.compare_live();
  Left left{.state = session.state()};
  if (in_good_order) {
    if (auto closed = session.close(); !closed) *problem = closed.error().message;
  } else {
    // Nothing comes after that vouches for it.
    const Call last{.request = {.kind = Request::Kind::publish, .key = "last", .name = "last"}};
    if (problem->empty()) *problem = session.run(last);
    left.state = session.state();
  }
  left.image = device->image();
  left.container = files_of(left.image);
  return left;
}

struct Seen {
  std::atomic<std::uint64_t> flips = 0;
  std::atomic<std::uint64_t> stores = 0;   // opened
  std::atomic<std::uint64_t> refused = 0;  // when it was opened
  std::atomic<std::uint64_t> errors = 0;   // when it was read
  std::atomic<std::uint64_t> found = 0;    // by verify only
  std::atomic<std::uint64_t> same = 0;
};

// Opens and reads all there is.
std::string problem_with_store(const Left& left, const DiskImage& image, bool read_only,
                               Seen& seen) {
  ++seen.stores;
  SessionState state = left.state;
  Session session(std::make_shared<SimulatedDevice>(image), state,
                  {.read_only = read_only, .may_fail = true});
  const auto expect_place = [&](const Error& error) -> std::string {
    if (error.code != ErrorCode::damaged) return "not told as damage: " + text_of(error);
    return names_a_place(error.message) ? "" : "no place is named: " + text_of(error);
  };
  if (auto opened = session.try_open(Ending::power_cut); !opened) {
    ++seen.refused;
    return expect_place(opened.error());
  }
  bool any = false;
  auto rows = read_rows(session.store());
  if (!rows) {
    any = true;
    if (auto problem = expect_place(rows.error()); !problem.empty()) return problem;
  } else {
    const std::string differs =
        read_only ? session.state().model.differs_from_all(*rows, state.now)
                  : session.state().model.reopen(*rows, state.now, Ending::power_cut);
    if (!differs.empty()) return "wrong rows: " + differs;
  }
  // Each by itself: what can be read is right.
  for (const auto& [key, known] : left.state.model.live().keys) {
    const Reply is = perform(session.store(), {.kind = Request::Kind::find, .key = key});
    if (is.error) {
      any = true;
      if (auto problem = expect_place({.code = *is.error, .message = is.message});
          !problem.empty()) {
        return problem;
      }
    } else if (rows && is.yes != rows->records.contains(key)) {
      return fmt::format("key {} is found or not", key.to_string());
    } else if (is.yes && known->outcome != is.outcome) {
      return fmt::format("key {} has another outcome", key.to_string());
    }
  }
  const auto report = session.store().verify();
  if (!report) {
    any = true;
    if (auto problem = expect_place(report.error()); !problem.empty()) return problem;
  } else if (!report->problems.empty()) {
    if (!any) ++seen.found;
    any = true;
    if (!names_a_place(report->problems.front())) return "no place: " + report->problems.front();
  }
  seen.errors += any ? 1 : 0;
  seen.same += any ? 0 : 1;
  return "";
}

struct Flip {
  std::uint64_t offset = 0;
  std::uint8_t mask = 0;    // 0: the whole block is zeros
  bool everything = false;  // opens the store whatever the container says

  void spoil(DiskImage& image) const {
    if (mask != 0) return image.flip(offset, mask);
    image.write(offset, std::string(container::block_bytes, '\0'));
  }
  [[nodiscard]] std::string text() const {
    return mask != 0 ? fmt::format("byte {} ^ {:#x}", offset, mask)
                     : fmt::format("zeros at {}", offset);
  }
};

std::vector<Flip> flips_of(const Left& left) {
  std::vector<Flip> flips;
  std::mt19937_64 random(1);
  const auto add = [&](std::uint64_t offset, bool everything) {
    flips.push_back({.offset = offset,
                     .mask = static_cast<std::uint8_t>(1 + random() % 255),
                     .everything = everything});
  };
  for (std::uint64_t offset = 0; offset < container::holder_offset; ++offset) {
    add(offset, offset % 64 == 0);
  }
  SimulatedDevice device(left.image);
  const auto superblocks = container::read_superblocks(device);
  for (const auto& slot : superblocks->newest.slots) {
    for (const std::uint64_t copy : slot.copies) {
      // Behind the last frame there are zeros, of which some are enough.
      const std::string bytes = left.image.bytes(copy, slot.length);
      const std::size_t used = bytes.find_last_not_of('\0') + 1 + 64;
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        if (at < used || at % 31 == 0) add(copy + at, at % 64 == 1);
      }
    }
  }
  const std::uint64_t blocks = left.image.size() - container::first_block_offset;
  for (int i = 0; i < 1000; ++i) add(container::first_block_offset + random() % blocks, true);
  for (std::uint64_t offset = 0; offset < left.image.size(); offset += container::block_bytes) {
    flips.push_back({.offset = offset, .everything = true});
  }
  // Small files would be missed.
  for (const auto& [path, extents] : extents_of(left.image)) {
    for (const container::Extent& extent : extents) {
      for (const std::uint64_t at :
           {std::uint64_t{0}, std::uint64_t{20}, random() % extent.length}) {
        add(extent.offset + at, true);
      }
    }
  }
  return flips;
}

void check_flips(bool in_good_order) {
  const Stopwatch stopwatch;
  std::string problem;
  const Left left = leave(in_good_order, &problem);
  REQUIRE(problem == "");
  REQUIRE(left.container.find("MANIFEST") != std::string::npos);
  Seen seen;
  REQUIRE(problem_with_store(left, left.image, true, seen) == "");
  REQUIRE(problem_with_store(left, left.image, false, seen) == "");
  REQUIRE(seen.same == 2);
  const std::vector<Flip> flips = flips_of(left);
  const auto problems = in_two_threads(flips.size(), [&](std::size_t i) {
    const Flip& flip = flips[i];
    DiskImage image = left.image;
    flip.spoil(image);
    ++seen.flips;
    std::string found;
    // Where the container shows the very same files, the store in it is the same.
    if (flip.everything || files_of(image) != left.container) {
      found = problem_with_store(left, image, i % 4 != 0, seen);
    }
    if (found.empty()) return found;
    return fmt::format("{}, opened to {}: {}", flip.text(), i % 4 != 0 ? "read" : "write", found);
  });
  for (const std::string& found : problems) FAIL_CHECK(found);
  MESSAGE(seen.flips.load() << " bytes flipped, " << seen.stores.load()
                            << " stores opened: " << seen.refused.load() << " refused, "
                            << seen.errors.load() << " told of errors (" << seen.found.load()
                            << " by verify only), " << seen.same.load() << " without effect, in "
                            << stopwatch.seconds() << " s");
  CHECK(seen.refused > 0);
  CHECK(seen.errors > 0);
}

}  // namespace

TEST_CASE("a flipped byte in a store that was closed in good order") {
  check_flips(true);
}

TEST_CASE("a flipped byte in a store that was killed") {
  check_flips(false);
}
