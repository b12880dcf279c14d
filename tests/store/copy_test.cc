// Rows, backup and Loader.
#include <doctest/doctest.h>

#include <filesystem>

#include "fixture.h"
#include "support/layouts.h"

using namespace once;
using namespace once::testing;

namespace {

std::vector<Row> rows_of(Store& store) {
  std::vector<Row> rows;
  value_of(store.rows(Table::all, [&](const Row& row) {
    rows.push_back(row);
    return true;
  }));
  return rows;
}

// A store with a row of every kind.
void fill(Store& store) {
  value_of(store.execute(Key("t", "o", Bytes("\0\xff", 2)), [] { return Bytes("\xfe\0", 2); }));
  const auto decline = [] { return Result<Bytes>(std::unexpected(work_failed("no", "not"))); };
  CHECK(error_of(store.execute("failed", decline)) == ErrorCode::work_failed);
  const Reservation run = reserved(store.reserve("running"));
  value_of(store.save_checkpoint(run, "step", "data"));
  value_of(store.doubt(reserved(store.reserve("doubt"))));
  value_of(store.publish({.type = "event", .headers = {{"h", "v"}}}));
  value_of(store.transact("tx", [](Transaction& tx) { CHECK(tx.put(Bytes("\0", 1), "value")); }));
}

}  // namespace

TEST_CASE_TEMPLATE("a backup of a store in use holds what it holds, and verifies", L, LAYOUTS) {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("s"), L::layout);
  fill(store);
  value_of(store.backup(directory.file("copy")));
  CHECK(error_of(store.backup(directory.file("copy"))) == ErrorCode::invalid_argument);
  {
    Options look = simulation.options();
    look.read_only = true;
    Store copy = value_of(Store::open(directory.file("copy"), look));
    CHECK(rows_of(copy) == rows_of(store));
    CHECK(problems_of(copy) == 0);
  }
  // A copy that is put to use gives greater tokens than the original did meanwhile.
  const Token original = reserved(store.reserve("new")).token;
  Store copy = simulation.open(directory.file("copy"));
  CHECK(reserved(copy.reserve("new")).token > original);
  CHECK(value_of(copy.execute(Key("t", "o", Bytes("\0\xff", 2)), [] { return Bytes(); })).value() ==
        Bytes("\xfe\0", 2));
}

TEST_CASE_TEMPLATE("a loader that does not finish leaves nothing behind", L, LAYOUTS) {
  const TemporaryDirectory directory;
  {
    Loader loader = value_of(Loader::create(directory.file("s"), {.layout = L::layout}));
    value_of(loader.add(DataRow{.key = "k", .value = "v"}));
    CHECK(error_of(loader.add(KeyRow{})) == ErrorCode::invalid_argument);
  }
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE_TEMPLATE("a loader takes an empty directory, and nothing else that is there", L,
                   LAYOUTS) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.file("empty"));
  Loader loader = value_of(Loader::create(directory.file("empty"), {.layout = L::layout}));
  value_of(loader.finish());
  CHECK(error_of(loader.finish()) == ErrorCode::closed);
  Store store = value_of(Store::open(directory.file("empty")));
  CHECK(value_of(store.stats()).completed == 0);
  CHECK(error_of(Loader::create(directory.file("empty"))) == ErrorCode::invalid_argument);
  CHECK(error_of(Loader::create("memory:")) == ErrorCode::invalid_argument);
}

TEST_CASE("stats count what is there") {
  const Simulation simulation;
  Store store = simulation.open();
  fill(store);
  CHECK(value_of(store.execute("tx", [] {})).replayed());
  CHECK(error_of(store.reserve("running")) == ErrorCode::busy);
  const Stats stats = value_of(store.stats());
  CHECK(stats.completed == 2);
  CHECK(stats.failed == 1);
  CHECK(stats.in_progress == 1);
  CHECK(stats.in_doubt == 1);
  CHECK(stats.events_pending == 1);
  CHECK(stats.checkpoints == 1);
  CHECK(stats.data == 1);
  CHECK(stats.history == 8);
  CHECK(stats.executions == 5);
  CHECK(stats.replays == 1);
  CHECK(stats.busy == 1);
}

TEST_CASE("scan visits live records in key order, by prefix and status") {
  const Simulation simulation;
  Store store = simulation.open();
  for (const char* id : {"b", "a", "c"}) value_of(store.execute(Key("t", "o", id), [] {}));
  value_of(store.execute("t", [] {}, {.retention = 1h}));
  value_of(store.execute("plain", [] {}));
  const auto scan = [&](const ScanOptions& options) {
    std::string keys;
    value_of(store.scan(options, [&](const Key& key, const Record&) {
      keys += key.to_string() + " ";
      return true;
    }));
    return keys;
  };
  CHECK(scan({}) == "plain t t/o/a t/o/b t/o/c ");
  CHECK(scan({.prefix = "t/o/"}) == "t/o/a t/o/b t/o/c ");
  CHECK(scan({.prefix = "t/o/b"}) == "t/o/b ");
  CHECK(scan({.prefix = "t/"}) == "t/o/a t/o/b t/o/c ");
  CHECK(scan({.prefix = "t/x"}).empty());
  CHECK(scan({.prefix = "t/o/a/b"}).empty());
  CHECK(scan({.status = Status::in_doubt}).empty());
  CHECK(error_of(store.scan({.prefix = "%zz"}, [](auto&, auto&) { return true; })) ==
        ErrorCode::invalid_argument);
  for (const Bytes& id : {Bytes("\0\0", 2), Bytes("\0\1", 2), Bytes("\0", 1)}) {
    value_of(store.execute(Key("u", "", id), [] {}));
  }
  CHECK(scan({.prefix = "u//%00"}) == "u//%00 u//%00%00 u//%00%01 ");
  CHECK(scan({.prefix = "u//%00%0"}) == "u//%00%00 u//%00%01 ");
  CHECK(scan({.prefix = Bytes("u//\0\1", 5)}) == "u//%00%01 ");
  simulation.clock->advance(2h);
  CHECK(scan({.prefix = "t"}) == "t/o/a t/o/b t/o/c ");
}
