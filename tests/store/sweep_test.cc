#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "fixture.h"
#include "support/files.h"
#include "support/layouts.h"

using namespace once;
using namespace once::testing;

namespace {

std::string rows_of(Store& store) {
  std::string tables;
  value_of(store.rows(Table::all, [&](const Row& row) {
    tables += std::to_string(row.index());
    return true;
  }));
  return tables;
}

std::string keys_of(Store& store, const ScanOptions& options) {
  std::string keys;
  value_of(store.scan(options, [&](const Key& key, const Record&) {
    keys += key.to_string() + " ";
    return true;
  }));
  return keys;
}

// What a file takes on disk, holes left out.
std::uint64_t bytes_on_disk(const std::string& path) {
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  REQUIRE(S_ISREG(status.st_mode));
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace

TEST_CASE("a sweep removes what has expired, and nothing else") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"));
  const auto save_step = [&](const Reservation& run) {
    value_of(store.save_checkpoint(run, "step", "data", Durability::buffered));
  };
  value_of(store.execute("expired",
                         [&](const Reservation& run) {
                           save_step(run);
                           return Bytes("x");
                         },
                         {.retention = 1h}));
  value_of(store.execute("live",
                         [&](const Reservation& run) {
                           save_step(run);
                           return Bytes("x");
                         },
                         {.retention = 48h * 30}));
  const Reservation held = reserved(store.reserve("held", {.lease = 1h, .retention = 1h}));
  save_step(held);
  const Reservation doubted = reserved(store.reserve("doubt", {.retention = 1h}));
  value_of(store.doubt(doubted));
  value_of(store.release(reserved(store.reserve("released", {.retention = 1h}))));
  value_of(store.publish({.type = "pending"}));
  simulation.clock->advance(24h * 8);

  // Answered as absent before any sweep.
  CHECK_FALSE(value_of(store.find("expired")));
  CHECK_FALSE(value_of(store.find("released")));
  const std::string before = rows_of(store);
  CHECK(value_of(store.stats()).expired == 2);
  const SweepReport report = value_of(store.sweep());
  CHECK(report.keys == 2);
  CHECK(report.results == 1);
  CHECK(report.checkpoints == 1);
  CHECK(report.history == 9);
  CHECK(rows_of(store) == before);  // nothing that could be seen has changed
  CHECK(value_of(store.stats()).expired == 0);
  CHECK(value_of(store.stats()).checkpoints == 2);
  CHECK(value_of(store.find("live"))->outcome->value == "x");
  CHECK(value_of(store.find("held"))->record.status == Status::in_progress);
  CHECK(value_of(store.find("doubt"))->record.status == Status::in_doubt);
  CHECK(value_of(store.stats()).events_pending == 1);
  CHECK(value_of(store.sweep()).keys == 0);
  CHECK(problems_of(store) == 0);
  // The lease has long lapsed, and its owner may still finish.
  value_of(store.complete(held, Outcome::success("late")));
}

TEST_CASE("what has expired can be listed until it is swept, and the live can be without it") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"));
  for (const char* key : {"a", "t/o/b", "t/p/c"}) {
    value_of(store.execute(value_of(Key::parse(key)), [] {}, {.retention = 1h}));
  }
  value_of(store.release(reserved(store.reserve("free", {.retention = 1h}))));
  value_of(store.execute("live", [] {}, {.retention = 3h}));
  CHECK(keys_of(store, {.expired = true}).empty());
  simulation.clock->advance(1h);
  CHECK(keys_of(store, {.expired = true}) == "a free t/o/b t/p/c ");
  CHECK(keys_of(store, {.prefix = "t/o/", .expired = true}) == "t/o/b ");
  CHECK(keys_of(store, {.status = Status::released, .expired = true}) == "free ");
  CHECK(keys_of(store, {}) == "live ");
  // What is carried out anew is live again.
  value_of(store.execute("a", [] {}, {.retention = 1h}));
  CHECK(keys_of(store, {.expired = true}) == "free t/o/b t/p/c ");
  CHECK(keys_of(store, {}) == "a live ");
  value_of(store.sweep());
  CHECK(keys_of(store, {.expired = true}).empty());
  CHECK(keys_of(store, {}) == "a live ");
}

TEST_CASE_TEMPLATE("expired rows are gone from the disk after a sweep", L, LAYOUTS) {
  const TemporaryDirectory directory;
  const Simulation simulation;
  const std::string secret = "a value that can be found in the files";
  std::optional<Store> store = simulation.open(directory.file("s"), L::layout);
  const auto found_in_files = [&] {
    bool found = false;
    for (const auto& [name, content] : content_of(directory.file("s"))) {
      found = found || content.find(secret) != std::string::npos;
    }
    return found;
  };
  // From an earlier opening too, and in tables that were written over meanwhile.
  for (int opening = 0; opening < 3; ++opening) {
    for (int i = 0; i < 50; ++i) {
      const Key key("", std::to_string(opening), std::to_string(i));
      value_of(store->execute(key, [&] { return secret; }, {.retention = 1h}));
    }
    value_of(store->sweep());
    value_of(store->close());
    store = simulation.open(directory.file("s"), L::layout);
  }
  CHECK(found_in_files());
  simulation.clock->advance(1h);
  value_of(store->sweep());
  CHECK_FALSE(found_in_files());
  value_of(store->close());
  CHECK_FALSE(found_in_files());
}

TEST_CASE_TEMPLATE("what was removed and done again is gone from the disk after a sweep", L,
                   LAYOUTS) {
  const TemporaryDirectory directory;
  const Simulation simulation;
  const std::string secret = "a value that can be found in the files";
  Store store = simulation.open(directory.file("s"), L::layout);
  const auto found_in_files = [&] {
    return std::ranges::any_of(content_of(directory.file("s")), [&](const auto& file) {
      return file.second.find(secret) != std::string::npos;
    });
  };
  value_of(store.execute("key", [&] { return secret; }));
  value_of(store.sweep());
  REQUIRE(found_in_files());
  CHECK(value_of(store.remove("key")));
  value_of(store.execute("key", [] { return Bytes("another"); }));
  value_of(store.sweep());
  CHECK_FALSE(found_in_files());
  CHECK(value_of(store.find("key"))->outcome->value == "another");
}

TEST_CASE("a sweep rewrites no table from which nothing goes") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"), Layout::directory);
  const auto tables = [&] {
    std::set<std::string> names;
    for (const auto& [name, content] : content_of(directory.file("s"))) {
      // The store's own facts are in a small one.
      if (name.ends_with(".sst") && content.size() > 10'000) names.insert(name);
    }
    return names;
  };
  const auto execute = [&](int from, int to, Duration retention) {
    for (int i = from; i < to; ++i) {
      value_of(store.execute(std::to_string(i), [&] { return Bytes(1000, static_cast<char>(i)); },
                             {.retention = retention, .durability = Durability::buffered}));
    }
  };
  execute(0, 500, 24h);
  value_of(store.sweep());
  const auto before = tables();
  REQUIRE(before.size() >= 3);  // records, outcomes, history
  value_of(store.sweep());
  CHECK(tables() == before);
  simulation.clock->advance(1h);
  value_of(store.sweep());
  CHECK(tables() == before);
  simulation.clock->advance(24h);
  const SweepReport report = value_of(store.sweep());
  CHECK(report.keys == 500);
  CHECK(report.results == 500);
  // The history is kept for longer.
  const auto after = tables();
  CHECK(after.size() == 1);
  CHECK(std::ranges::includes(before, after));
}

TEST_CASE("a million expired keys leave a store under 10 MB") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"));
  constexpr int keys = 1'000'000;
  constexpr int batch = 1000;
  for (int first = 0; first < keys; first += batch) {
    std::vector<ReserveRequest> requests;
    for (int i = first; i < first + batch; ++i) requests.push_back({.key = std::to_string(i)});
    auto answers = value_of(store.reserve_many(requests, Durability::buffered));
    std::vector<CompleteRequest> completions;
    for (auto& answer : answers) {
      completions.push_back(
          {.reservation = std::get<Reservation>(*answer), .outcome = Outcome::success("outcome")});
    }
    for (auto& done : value_of(store.complete_many(completions, Durability::buffered))) {
      REQUIRE(done);
    }
  }
  CHECK(value_of(store.stats()).completed == keys);
  simulation.clock->advance(24h * 8);  // past the retention of keys and of history
  CHECK_FALSE(value_of(store.find("999999")));
  const SweepReport report = value_of(store.sweep());
  MESSAGE(report.bytes_before << " bytes before, " << report.bytes_after << " after");
  CHECK(report.bytes_after < 10'000'000);
  CHECK(value_of(store.stats()).completed == 0);
  CHECK(value_of(store.stats()).history == 0);
  // Not only by what the store says of itself: as the disk has it, after closing too.
  CHECK(bytes_on_disk(directory.file("s")) < 10'000'000);
  value_of(store.close());
  CHECK(bytes_on_disk(directory.file("s")) < 10'000'000);
}
