#include <doctest/doctest.h>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

std::vector<HistoryEntry> history_of(Store& store, const HistoryOptions& options = {}) {
  std::vector<HistoryEntry> entries;
  value_of(store.history(options, [&](const HistoryEntry& entry) {
    entries.push_back(entry);
    return true;
  }));
  return entries;
}

}  // namespace

TEST_CASE("history tells everything that happens to a key, with time, token and holder") {
  const Simulation simulation;
  Store store = simulation.open();
  const ReserveOptions rerun{.lease = 1min, .on_abandon = OnAbandon::rerun};
  reserved(store.reserve("k", rerun));
  simulation.clock->advance(1min);
  const Reservation second = reserved(store.reserve("k", rerun));
  value_of(store.release(second, "changed my mind"));
  reserved(store.reserve("k", {.lease = 1min}));
  simulation.clock->advance(1min);
  CHECK(error_of(store.reserve("k")) == ErrorCode::in_doubt);
  value_of(store.resolve("k", Verdict::rerun));
  const Reservation fourth = reserved(store.reserve("k"));
  value_of(store.renew(fourth, 5min));
  value_of(store.fail(fourth, "code", "message"));
  CHECK(value_of(store.remove("k")));
  value_of(store.execute("k", [] {}));

  const What expected[] = {What::reserved, What::taken_over, What::released, What::reserved,
                           What::in_doubt, What::resolved,   What::reserved, What::failed,
                           What::removed,  What::reserved,   What::completed};
  const auto entries = history_of(store, {.key = "k"});
  REQUIRE(entries.size() == std::size(expected));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    CAPTURE(i);
    CHECK(entries[i].what == expected[i]);
    CHECK(entries[i].key == Key("k"));
    CHECK(entries[i].holder == holder(100));
    CHECK(entries[i].token.value != 0);
    CHECK(entries[i].time > Time{});
    if (i > 0) {
      CHECK(entries[i].sequence > entries[i - 1].sequence);
      CHECK(entries[i].time >= entries[i - 1].time);
      // After a removal the key begins anew.
      const bool anew = entries[i - 1].what == What::removed;
      CHECK(entries[i].previous == (anew ? 0 : entries[i - 1].sequence));
    }
  }
  CHECK(entries[1].token == second.token);
  CHECK(entries[2].note == "changed my mind");
  CHECK(entries[7].note == "code");
  CHECK(history_of(store, {.key = "other"}).empty());
  CHECK(history_of(store, {.after = entries[8].sequence}).size() == 2);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("history and record name the same holder, also one that was named by somebody else") {
  const Simulation simulation;
  Store store = simulation.open();
  const Holder guardian = holder(200);
  const ReserveOptions options{.on_abandon = OnAbandon::rerun, .holder = guardian};
  for (const char* end : {"completed", "failed", "released"}) {
    const Key key(end);
    Reservation mine = reserved(store.reserve(key, options));
    CHECK(history_of(store, {.key = key}).back().holder == guardian);
    simulation.processes->set(200, Liveness::dead);
    mine = reserved(store.reserve(key, options));
    CHECK(mine.taken_over);
    if (key.id == "completed") value_of(store.complete(mine, Outcome::success()));
    if (key.id == "failed") value_of(store.fail(mine, "code", "message"));
    if (key.id == "released") value_of(store.release(mine));
    const Record record = value_of(store.find(key))->record;
    CHECK(record.holder == guardian);
    for (const HistoryEntry& entry : history_of(store, {.key = key})) {
      CAPTURE(to_string(entry.what));
      CHECK(entry.holder == guardian);
    }
  }
  CHECK(value_of(store.remove("completed")));
  CHECK(history_of(store, {.key = "completed"}).back().holder == holder(100));
  CHECK(problems_of(store) == 0);
}

TEST_CASE("history has a retention of its own, and can be switched off") {
  const Simulation simulation;
  Store store = simulation.open();
  value_of(store.execute("k", [] {}, {.retention = forever}));
  simulation.clock->advance(24h * 7 - 1ms);
  CHECK(history_of(store).size() == 2);
  simulation.clock->advance(1ms);
  CHECK(history_of(store).empty());
  CHECK(value_of(store.find("k")));
  CHECK(problems_of(store) == 0);

  // What is past its retention is missed by nobody, also where younger rows name it.
  for (int day = 0; day < 10; ++day) {
    simulation.clock->advance(24h);
    value_of(store.execute(Key("day " + std::to_string(day)), [] {}, {.retention = 48h}));
    CHECK(problems_of(store) == 0);
  }
  CHECK(value_of(store.remove("k")));
  CHECK(history_of(store, {.key = "k"}).back().previous != 0);
  CHECK(problems_of(store) == 0);

  Options options = simulation.options();
  options.history = false;
  Store silent = value_of(Store::open("memory:", options));
  value_of(silent.execute("k", [] {}));
  CHECK(history_of(silent).empty());
  CHECK(problems_of(silent) == 0);
}
