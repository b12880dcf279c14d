// A million operations on one file, with compaction: does it account for every block, does its
// journal stay within its slots, and is it no larger than it has to be?
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <vector>

#include "container/container.h"
#include "container/host_file.h"
#include "fixture.h"
#include "live_bytes.h"
#include "support/random_bytes.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr std::uint64_t batch = 500;
constexpr std::uint64_t batches = 1000;          // of a reservation and a completion for each key
constexpr std::uint64_t kept = 100'000;          // keys that are live at a time
constexpr std::uint64_t most_journal = 2 << 20;  // both copies of both slots, grown as they may be

// What a file looks like to somebody who opens it to read, beside the writer.
struct Look {
  container::FsckReport blocks;
  container::SpaceReport space;
};

Look look_at(const std::string& path) {
  for (int i = 0; i < 100; ++i) {
    auto file = value_of(container::HostFile::open_for_reading(path, {}));
    const std::shared_ptr<container::HostFile> host = std::move(file);
    auto opened = container::Container::open(
        {host, &host->device()}, std::make_shared<container::NoPins>(), {.read_only = true});
    if (!opened) continue;
    const auto report = (*opened)->fsck({});
    // Files may have come and gone meanwhile.
    if (!value_of((*opened)->unchanged())) continue;
    return {.blocks = value_of(report), .space = (*opened)->space()};
  }
  FAIL("the writer changed the file all the time");
  return {};
}

// As a reader has it, who knows the journal, and as the writer does, who gives the blocks out.
void check_blocks(Store& store, const Look& look) {
  for (const std::string& problem : look.blocks.problems) FAIL_CHECK(problem);
  CHECK(look.blocks.blocks_used + look.blocks.blocks_free == look.blocks.blocks);
  CHECK(look.space.journal_bytes <= most_journal);
  const VerifyReport report = value_of(store.verify());
  for (const std::string& problem : report.problems) FAIL_CHECK(problem);
  CHECK(report.blocks > 0);
  CHECK(report.blocks_free < report.blocks);
}

}  // namespace

TEST_CASE("a million operations leave every block accounted for and the file small") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("soak.once");
  const Simulation simulation;
  Options options = simulation.options(Layout::file);
  options.memory_budget = 8 << 20;
  options.history_retention = 1h;
  Store store = value_of(Store::open(path, options));
  std::mt19937_64 random(20261122);
  std::uint64_t operations = 0;
  std::uint64_t largest = 0;  // from when on the same number of keys is live
  int looks = 0;
  for (std::uint64_t i = 0; i < batches; ++i) {
    std::vector<ReserveRequest> asks;
    for (std::uint64_t k = 0; k < batch; ++k) {
      asks.push_back({.key = "key-" + std::to_string(i * batch + k),
                      .options = {.retention = 10h, .durability = Durability::buffered}});
    }
    std::vector<CompleteRequest> done;
    for (auto& answer : value_of(store.reserve_many(asks, Durability::buffered))) {
      done.push_back({.reservation = std::get<Reservation>(value_of(std::move(answer))),
                      .outcome = Outcome::success(random_bytes(random, 256)),
                      .options = {}});
    }
    for (auto& result : value_of(store.complete_many(done, Durability::buffered))) value_of(result);
    operations += 2 * batch;
    // So that ten hours are as long as `kept` keys take.
    simulation.clock->advance(std::chrono::duration_cast<Duration>(10h) / (kept / batch));
    if (i % 10 == 9 && i >= 2 * kept / batch) {
      largest = std::max(largest, std::filesystem::file_size(path));
      ++looks;
    }
    if (i % 100 == 99) value_of(store.sweep());
    if (i % 250 == 249) check_blocks(store, look_at(path));
  }
  CHECK(looks >= 50);
  value_of(store.compact());
  const auto live = static_cast<double>(live_bytes(store, directory, options));
  const Look after = look_at(path);
  check_blocks(store, after);
  const auto size_after = static_cast<double>(std::filesystem::file_size(path));
  const double most_before = static_cast<double>(largest) / live;
  MESSAGE(operations, " operations; ", live / 1e6, " MB live, file ", size_after / live,
          " times that after compact, at most ", most_before, " times before");
  CHECK(operations >= 1'000'000);
  CHECK(size_after <= 1.3 * live);
  CHECK(most_before <= 2.0);
  const Stats stats = value_of(store.stats());
  CHECK(stats.completed + batch >= kept);
  CHECK(problems_of(store) == 0);
}
