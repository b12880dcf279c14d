// What was asked of a store ever since it was made: kept over openings, as far as is promised.
#include <doctest/doctest.h>

#include <map>

#include "fixture.h"
#include "once/testing.h"
#include "raw_store.h"

using namespace once;
using namespace once::testing;

namespace {

const auto one = [] { return 1; };

// By "tenant/operation", or "others".
std::map<std::string, Tally> ever(Store& store) {
  std::map<std::string, Tally> found;
  const Stats stats = value_of(store.stats());
  Tally sum;
  for (const LabelStats& label : stats.labels) {
    sum += label.ever;
    if (label.ever == Tally{}) continue;
    found[label.others ? "others" : label.tenant + "/" + label.operation] = label.ever;
  }
  CHECK(sum == stats.ever);
  return found;
}

void use(Store& store, const std::string& operation, int replays) {
  const Key key("acme", operation, "1");
  value_of(store.execute(key, one));
  for (int i = 0; i < replays; ++i) CHECK(value_of(store.execute(key, one)).replayed());
}

}  // namespace

TEST_CASE("tallies of a label add up over openings, and are there for whoever only looks") {
  const TemporaryDirectory directory(quick_place());
  const Simulation simulation;
  const std::string path = directory.file("store");
  const ExecuteOptions asked{.fingerprint = Fingerprint::of("question")};
  for (std::uint64_t opening = 1; opening <= 3; ++opening) {
    Store store = simulation.open(path);
    value_of(store.execute(Key("acme", "charge", std::to_string(opening)), one, asked));
    CHECK(value_of(store.execute(Key("acme", "charge", "1"), one, asked)).replayed());
    const Reservation mine = reserved(store.reserve(Key("beta", "x", std::to_string(opening))));
    CHECK(error_of(store.reserve(mine.key)) == ErrorCode::busy);
    CHECK(error_of(store.execute(Key("acme", "charge", "1"), one,
                                 {.fingerprint = Fingerprint::of("another")})) ==
          ErrorCode::mismatch);
    const auto found = ever(store);
    CHECK(found.at("acme/charge") ==
          Tally{.executions = opening, .replays = opening, .mismatches = opening});
    CHECK(found.at("beta/x") == Tally{.executions = opening, .busy = opening});
    // What this Store has counted stays apart.
    CHECK(value_of(store.stats()).executions == 2);
    value_of(store.close());
    Options reading = simulation.options();
    reading.read_only = true;
    Store reader = value_of(Store::open(path, reading));
    CHECK(ever(reader) == found);
    CHECK(value_of(reader.stats()).ever.hit_rate() == 1.0 / 3);
    CHECK(value_of(reader.stats()).ever.duplicates_avoided() == 2 * opening);
  }
}

TEST_CASE("what has no record any more is told all the same") {
  const Simulation simulation;
  Store store = simulation.open();
  use(store, "old", 2);
  simulation.clock->advance(48h);
  value_of(store.sweep());
  const Stats stats = value_of(store.stats());
  REQUIRE(stats.labels.size() == 1);
  CHECK(stats.labels[0].total() == 0);
  CHECK(stats.labels[0].ever == Tally{.executions = 1, .replays = 2});
}

TEST_CASE("a replay writes nothing, and closing writes once what has changed") {
  const auto clock = std::make_shared<testing::ManualClock>();
  MemoryDisk disk;
  {
    Store store = value_of(disk.open({.clock = clock}));
    use(store, "a", 0);
    const std::uint64_t writes = disk.calls(DiskCall::write);
    const std::uint64_t syncs = disk.calls(DiskCall::sync);
    for (int i = 0; i < 1000; ++i) use(store, "a", 0);
    CHECK(disk.calls(DiskCall::write) == writes);
    CHECK(disk.calls(DiskCall::sync) == syncs);
  }
  Store store = value_of(disk.open({.clock = clock}));
  CHECK(ever(store).at("acme/a") == Tally{.executions = 1, .replays = 1000});
}

TEST_CASE("a kill loses what was counted since a commit of the last ten seconds, and no more") {
  const auto clock = std::make_shared<testing::ManualClock>();
  MemoryDisk disk;
  const auto kill = [&](Store& store) {
    Store next = value_of(disk.open({.clock = clock}));
    store = std::move(next);
  };
  Store store = value_of(disk.open({.clock = clock}));
  use(store, "a", 5);
  kill(store);
  CHECK(ever(store).empty());
  use(store, "b", 5);
  clock->advance(10s);
  // Goes along with this commit; itself it is counted when it has been made.
  use(store, "c", 5);
  kill(store);
  CHECK(ever(store) == std::map<std::string, Tally>{{"acme/b", {.executions = 1, .replays = 5}}});
  use(store, "b", 1);  // replayed, twice
  clock->advance(10s);
  use(store, "d", 1);
  clock->advance(10s);
  use(store, "e", 1);
  kill(store);
  CHECK(ever(store) == std::map<std::string, Tally>{{"acme/b", {.executions = 1, .replays = 7}},
                                                    {"acme/d", {.executions = 1, .replays = 1}}});
}

TEST_CASE("a power cut takes the newest back, and what was synced stays") {
  const auto clock = std::make_shared<testing::ManualClock>();
  MemoryDisk disk;
  Store store = value_of(disk.open({.clock = clock}));
  use(store, "a", 5);
  clock->advance(10s);
  use(store, "b", 5);  // synced, and takes them along
  use(store, "a", 4);
  value_of(store.close());  // not synced
  disk.power_cut();
  store = value_of(disk.open({.clock = clock}));
  const Tally kept = ever(store).at("acme/a");
  CHECK(kept.executions == 1);
  CHECK(kept.replays >= 5);
  CHECK(kept.replays <= 10);
}

TEST_CASE("labels beyond those that there are places for are counted together, and once") {
  const TemporaryDirectory directory(quick_place());
  const Simulation simulation;
  const std::string path = directory.file("store");
  std::uint64_t made = 0;
  for (const char* first : {"z", "a"}) {
    Store store = simulation.open(path);
    for (std::size_t i = 0; i < max_figure_labels - 56; ++i, ++made) {
      value_of(store.transact(Key("", first + std::to_string(i), "1"),
                              [](Transaction&) { return 1; },
                              {.durability = Durability::buffered}));
      if (i % 100 == 0) simulation.clock->advance(10s);
    }
    CHECK(value_of(store.stats()).ever.executions == made);
  }
  Store store = simulation.open(path);
  const auto found = ever(store);
  CHECK(found.size() == max_figure_labels + 1);
  CHECK(found.at("others").executions == made - max_figure_labels);
  CHECK(value_of(store.stats()).ever.executions == made);
}

TEST_CASE("without figures all labels are one, and the sum is right") {
  const TemporaryDirectory directory(quick_place());
  Options options = Simulation().options();
  for (const bool figures : {false, true, false}) {
    options.figures = figures;
    Store store = value_of(Store::open(directory.file("store"), options));
    use(store, figures ? "counted" : "not", 1);
  }
  Store store = value_of(Store::open(directory.file("store"), options));
  const auto found = ever(store);
  CHECK(found.at("acme/counted") == Tally{.executions = 1, .replays = 1});
  CHECK(found.at("others") == Tally{.executions = 1, .replays = 3});
}

TEST_CASE("a copy begins anew") {
  const TemporaryDirectory directory(quick_place());
  const Simulation simulation;
  Store store = simulation.open(directory.file("store"));
  use(store, "a", 3);
  value_of(store.backup(directory.file("copy")));
  Store copy = simulation.open(directory.file("copy"));
  CHECK(ever(copy).empty());
}

TEST_CASE("tallies that cannot be read are told of, and stay as they are") {
  const TemporaryDirectory directory(quick_place());
  const Simulation simulation;
  const std::string path = directory.file("store");
  {
    Store store = simulation.open(path);
    use(store, "a", 3);
  }
  const Bytes name("tallyacme\0\1a\0\1", 14);
  Bytes newer;
  {
    RawStore raw(path);
    newer = raw.get(Table::all, name);
    newer[0] = 2;
    raw.put(Table::all, name, newer);
  }
  {
    Store store = simulation.open(path);
    CHECK(error_of(store.stats()) == ErrorCode::newer_format);
    CHECK(problems_of(store) == 1);
    // All else works.
    use(store, "b", 1);
    simulation.clock->advance(10s);
    use(store, "c", 1);
  }
  RawStore raw(path);
  CHECK(raw.get(Table::all, name) == newer);
}
