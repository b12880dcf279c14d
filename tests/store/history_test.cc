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

  Options options = simulation.options();
  options.history = false;
  Store silent = value_of(Store::open("memory:", options));
  value_of(silent.execute("k", [] {}));
  CHECK(history_of(silent).empty());
  CHECK(problems_of(silent) == 0);
}
