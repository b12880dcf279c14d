// Compacting: as small as can be, nothing lost, beside others, and on a full disk.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "engine/embedded/embedded_engine.h"
#include "fixture.h"
#include "live_bytes.h"
#include "sample_store.h"
#include "store/open_on.h"
#include "support/layouts.h"
#include "support/random_bytes.h"
#include "support/simulated_device.h"

using namespace once;
using namespace once::testing;

namespace {

std::string key_of(int number) {
  return "key " + std::to_string(number);
}

void write_keys(Store& store, int from, int to, std::size_t bytes, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  for (int i = from; i < to; ++i) {
    value_of(store.transact(key_of(i),
                            [&](Transaction& tx) -> Result<Bytes> {
                              if (auto put = tx.put("row " + std::to_string(i % 1000),
                                                    random_bytes(random, bytes));
                                  !put) {
                                return std::unexpected(put.error());
                              }
                              return random_bytes(random, bytes);
                            },
                            {.durability = Durability::buffered}));
  }
}

}  // namespace

TEST_CASE("a fresh store takes a megabyte at most, open and closed") {
  constexpr std::uint64_t most = std::uint64_t{1} << 20;
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("s");
  // What the file ends at, and what the disk has of it.
  const auto check_small = [&](const char* when) {
    CAPTURE(when);
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_size > 0);
    CHECK(static_cast<std::uint64_t>(status.st_size) <= most);
    CHECK(static_cast<std::uint64_t>(status.st_blocks) * 512 <= most);
  };
  {
    Store store = value_of(Store::open(path));
    check_small("made, and open");
    value_of(store.execute("k", [] { return Bytes("v"); }));
    check_small("with a key");
    value_of(store.close());
  }
  check_small("closed");
  for (int i = 0; i < 5; ++i) value_of(value_of(Store::open(path)).close());
  check_small("opened and closed a few times");
}

TEST_CASE("the file stays within 1.3 times the live data") {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("s");
  Options options;
  options.memory_budget = std::size_t{4} << 20;
  Store store = value_of(Store::open(path, options));
  for (int round = 0; round < 3; ++round) {
    const int first = round * 6000;
    write_keys(store, first, first + 6000, 1000, static_cast<std::uint32_t>(round));
    // Two thirds go again.
    for (int i = first; i < first + 4000; ++i) CHECK(value_of(store.remove(key_of(i))));
    const std::uint64_t before = std::filesystem::file_size(path);
    const CompactReport report = value_of(store.compact());
    const std::uint64_t live = live_bytes(store, directory);
    CAPTURE(live);
    CAPTURE(before);
    CHECK(report.swept.bytes_before == before);
    CHECK(report.swept.bytes_after == std::filesystem::file_size(path));
    CHECK(report.swept.bytes_after < before);
    CHECK(report.swept.bytes_after * 10 <= live * 13);
    CHECK(report.bytes_held == 0);
    CHECK(report.bytes_free < report.swept.bytes_after / 4);
  }
  const auto rows = value_of(rows_of(store));
  value_of(store.close());
  CHECK(std::filesystem::file_size(path) * 10 <=
        live_bytes(store = value_of(Store::open(path)), directory) * 13);
  CHECK(value_of(rows_of(store)) == rows);
  CHECK(problems_of(store) == 0);
}

// Logs, and tables that are not merged yet, are bounded by the memory budget and not by the rows.
// Here merging does not keep up: nobody waits for a disk.
TEST_CASE("before it is compacted the file stays within 2 times the live data and some budgets") {
  constexpr std::uint64_t least = std::uint64_t{8} << 20;
  constexpr std::uint64_t budgets = 4 + 25;
  for (const std::uint64_t budget : {std::uint64_t{1} << 20}) {
    for (const std::uint64_t live : {40'000u, 1'000'000u, 6'000'000u}) {
      const TemporaryDirectory directory{quick_place()};
      const std::string path = directory.file("s");
      Options options;
      options.memory_budget = budget;
      Store store = value_of(Store::open(path, options));
      std::mt19937 random(7);
      constexpr std::size_t row_bytes = 2000;
      const Reservation mine = reserve(store, key_of(1));
      std::uint64_t most = 0;
      for (std::uint64_t done = 0; done < 10 * live + 200 * budget; done += row_bytes) {
        value_of(store.save_checkpoint(mine, std::to_string(random() % (live / row_bytes)),
                                       random_bytes(random, row_bytes), Durability::buffered));
        most = std::max(most, std::filesystem::file_size(path));
      }
      MESSAGE(budget << " bytes of memory, " << live << " live: a file of " << most << " at most");
      CHECK(most <= 2 * live + budgets * budget + least);
    }
  }
}

TEST_CASE_TEMPLATE("what has expired goes, and nothing else", L, LAYOUTS) {
  const TemporaryDirectory directory{quick_place()};
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"), L::layout);
  value_of(store.execute("expired", [] { return Bytes("x"); }, {.retention = 1h}));
  value_of(store.execute("live", [] { return Bytes("y"); }, {.retention = 48h * 30}));
  value_of(store.publish({.type = "pending"}));
  value_of(store.transact("data", [](Transaction& tx) { return tx.put("a row", "kept"); },
                          {.retention = 48h * 30}));
  simulation.clock->advance(24h * 8);
  const auto before = value_of(rows_of(store));
  const CompactReport report = value_of(store.compact());
  CHECK(report.swept.keys == 1);
  CHECK(report.swept.results == 1);
  CHECK(report.swept.events == 0);
  CHECK(report.swept.history == 5);
  CHECK(value_of(rows_of(store)) == before);
  CHECK(value_of(store.data("a row")) == "kept");
  CHECK(problems_of(store) == 0);
}

TEST_CASE("in memory, and opened to read") {
  Store store = value_of(Store::open("memory:"));
  value_of(store.execute("a", [] { return Bytes("x"); }));
  CHECK(value_of(store.compact()).swept.bytes_after == 0);
  CHECK(value_of(store.find("a")));
  const TemporaryDirectory directory{quick_place()};
  value_of(value_of(Store::open(directory.file("s"))).close());
  Store reader = value_of(Store::open(directory.file("s"), {.read_only = true}));
  CHECK(error_of(reader.compact()) == ErrorCode::unsupported);
}

TEST_CASE("told how far it is") {
  const TemporaryDirectory directory{quick_place()};
  Store store = value_of(Store::open(directory.file("s")));
  write_keys(store, 0, 2000, 300);
  std::set<std::string> of;
  bool within = true;
  value_of(store.compact([&](std::uint64_t done, std::uint64_t total, std::string_view what) {
    of.emplace(what);
    within = within && done <= total;
  }));
  CHECK(of.contains("keys"));
  CHECK(of.contains("data"));
  CHECK(within);
}

TEST_CASE("space that a reader holds is given back when it has ended") {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("s");
  Store store = value_of(Store::open(path));
  write_keys(store, 0, 3000, 300);
  value_of(store.compact());
  {
    Store reader = value_of(Store::open(path, {.read_only = true}));
    const auto seen = value_of(rows_of(reader));
    for (int i = 0; i < 3000; ++i) CHECK(value_of(store.remove(key_of(i))));
    const CompactReport report = value_of(store.compact());
    CHECK(report.bytes_held > 1'000'000);
    CHECK(value_of(store.stats()).bytes_free > 1'000'000);
    CHECK(value_of(rows_of(reader)) == seen);
  }
  const CompactReport report = value_of(store.compact());
  CHECK(report.bytes_held == 0);
  CHECK(report.swept.bytes_after + 1'000'000 < report.swept.bytes_before);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("beside writers, readers, sweeps and checks") {
  const TemporaryDirectory directory{quick_place()};
  Options options;
  options.memory_budget = std::size_t{1} << 20;
  Store store = value_of(Store::open(directory.file("s"), options));
  constexpr int writers = 2;
  constexpr int each = 4000;
  const auto name = [](int writer, int i) {
    return std::to_string(writer) + " " + std::to_string(i);
  };
  std::atomic<int> writing = writers;
  std::atomic<int> failures = 0;
  const auto expect = [&](const auto& result) { failures += result ? 0 : 1; };
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&, w] {
      std::mt19937 random(static_cast<std::uint32_t>(w));
      for (int i = 0; i < each; ++i) {
        expect(store.transact(
            name(w, i), [&](Transaction&) -> Result<Bytes> { return random_bytes(random, 400); },
            {.durability = Durability::buffered}));
        if (i % 3 != 0) expect(store.remove(name(w, i)));
      }
      --writing;
    });
  }
  threads.emplace_back([&] {
    while (writing > 0) expect(store.sweep());
  });
  threads.emplace_back([&] {
    while (writing > 0) expect(store.stats());
  });
  do {
    value_of(store.compact());
    CHECK(problems_of(store) == 0);
  } while (writing > 0);
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  for (int w = 0; w < writers; ++w) {
    for (int i = 0; i < each; ++i) {
      REQUIRE(value_of(store.find(name(w, i))).has_value() == (i % 3 == 0));
    }
  }
  CHECK(problems_of(store) == 0);
}

namespace {

// A store on a device of which the space can be set.
struct OnDevice {
  std::shared_ptr<SimulatedDevice> device = std::make_shared<SimulatedDevice>();
  Options options{.memory_budget = std::size_t{2} << 20};
  std::optional<Store> store{};

  void open() {
    store.reset();
    auto engine = engine::EmbeddedEngine::open(
        engine::make_file_place("simulated.once", {.options = options, .device = device}), options);
    store.emplace(open_on(value_of(std::move(engine)), options));
  }
};

}  // namespace

TEST_CASE("on a full disk: as much as can be, and nothing is lost") {
  OnDevice on;
  on.open();
  write_keys(*on.store, 0, 4000, 400);
  for (int i = 0; i < 4000; i += 2) CHECK(value_of(on.store->remove(key_of(i))));
  const auto rows = value_of(rows_of(*on.store));
  SUBCASE("without a byte that is not in use") {
    on.device->set_capacity(on.device->image().space());
  }
  SUBCASE("with some") {
    on.device->set_capacity(on.device->image().space() + (std::uint64_t{1} << 20));
  }
  SUBCASE("reopened on the full disk") {
    value_of(on.store->close());
    on.device->set_capacity(on.device->image().space());
    on.open();
  }
  const std::uint64_t before = value_of(on.device->size());
  const auto compacted = on.store->compact();
  MESSAGE(before << " bytes before, " << value_of(on.device->size()) << " after: "
                 << (compacted ? std::string("compacted") : compacted.error().message));
  if (!compacted) CHECK(compacted.error().code == ErrorCode::no_space);
  CHECK(value_of(on.device->size()) <= before);
  CHECK(value_of(rows_of(*on.store)) == rows);
  CHECK(problems_of(*on.store) == 0);

  // When there is space, everything goes on.
  on.device->set_capacity(SimulatedDevice::default_capacity);
  value_of(on.store->compact());
  write_keys(*on.store, 10'000, 10'010, 400);
  CHECK(problems_of(*on.store) == 0);
  value_of(on.store->close());
  on.open();
  CHECK(value_of(rows_of(*on.store)).size() >= rows.size() + 20);
  CHECK(problems_of(*on.store) == 0);
}

TEST_CASE("space that runs out at any point of it") {
  OnDevice on;
  on.open();
  write_keys(*on.store, 0, 3000, 1000);
  // Without gaps: a table has to be written anew beside the old one.
  value_of(on.store->compact());
  for (int i = 0; i < 100; ++i) CHECK(value_of(on.store->remove(key_of(i))));
  value_of(on.store->close());
  const DiskImage image = on.device->image();
  on.open();
  const auto rows = value_of(rows_of(*on.store));
  int full = 0;
  int whole = 0;
  for (std::uint64_t more = 0; more <= std::uint64_t{4} << 20; more += std::uint64_t{700} << 10) {
    CAPTURE(more);
    OnDevice tight;
    tight.device = std::make_shared<SimulatedDevice>(image);
    tight.device->set_capacity(image.space() + more);
    tight.open();
    const auto compacted = tight.store->compact();
    ++(compacted ? whole : full);
    if (!compacted) CHECK(compacted.error().code == ErrorCode::no_space);
    CHECK(value_of(rows_of(*tight.store)) == rows);
    tight.device->set_capacity(SimulatedDevice::default_capacity);
    const std::string again = "key after " + std::to_string(more);
    value_of(tight.store->execute(again, [] { return Bytes("x"); }));
    CHECK(problems_of(*tight.store) == 0);
    value_of(tight.store->close());
    tight.open();
    CHECK(value_of(tight.store->find(again)));
    CHECK(problems_of(*tight.store) == 0);
  }
  CHECK(full > 0);
  CHECK(whole > 0);
  MESSAGE(full << " times without room enough, " << whole << " times with it");
}
