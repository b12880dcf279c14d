// What a store counts of itself: by tenant and operation, while it works and by looking.
#include <doctest/doctest.h>

#include <thread>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

const LabelFigures& of(const Figures& figures, const Bytes& tenant, const Bytes& operation) {
  for (const LabelFigures& label : figures.labels) {
    if (label.tenant == tenant && label.operation == operation) return label;
  }
  FAIL("there is no such label");
  return figures.labels.front();
}

const LabelStats& of(const Stats& stats, const Bytes& tenant, const Bytes& operation) {
  for (const LabelStats& label : stats.labels) {
    if (label.tenant == tenant && label.operation == operation) return label;
  }
  FAIL("there is no such label");
  return stats.labels.front();
}

}  // namespace

TEST_CASE("executions, replays, refusals and fences are counted under their labels") {
  const Simulation simulation;
  Store store = simulation.open();
  const Key charge("acme", "charge", "1");
  const auto fingerprint = Fingerprint::of("question");
  value_of(store.execute(charge, [] { return 1; }, {.fingerprint = fingerprint}));
  value_of(store.execute(charge, [] { return 1; }, {.fingerprint = fingerprint}));
  value_of(store.execute(charge, [] { return 1; }));
  CHECK(error_of(store.execute(charge, [] { return 1; },
                               {.fingerprint = Fingerprint::of("other")})) == ErrorCode::mismatch);
  const Key refund("acme", "refund", "1");
  const Reservation held = reserved(store.reserve(refund, {.lease = 1min}));
  CHECK(error_of(store.reserve(refund)) == ErrorCode::busy);
  simulation.clock->advance(2min);
  CHECK(error_of(store.reserve(refund)) == ErrorCode::in_doubt);
  CHECK(error_of(store.complete(held, Outcome::success())) == ErrorCode::fenced);
  CHECK(error_of(store.renew(held, 1min)) == ErrorCode::fenced);
  const CompleteRequest late{.reservation = held};
  CHECK_FALSE(value_of(store.complete_many(std::span(&late, 1)))[0]);

  const Figures figures = value_of(store.figures());
  const Counts& charged = of(figures, "acme", "charge").counts;
  CHECK(charged.executions == 1);
  CHECK(charged.replays == 2);
  CHECK(charged.mismatches == 1);
  CHECK(charged.hit_rate() == doctest::Approx(2.0 / 3));
  CHECK(charged.duplicates_avoided() == 2);
  const Counts& refunded = of(figures, "acme", "refund").counts;
  CHECK(refunded.executions == 1);
  CHECK(refunded.busy == 1);
  CHECK(refunded.in_doubt == 1);
  CHECK(refunded.fenced == 3);
  CHECK(figures.total.executions == 2);
  CHECK(figures.total.fenced == 3);
  CHECK(figures.stats.executions == 2);
  CHECK(figures.stats.hit_rate() == 0.5);
  CHECK(figures.stats.in_doubt == 1);
  CHECK(value_of(store.figures({.stats = false})).stats.active() == 0);
}

TEST_CASE("transactions, batches and transactions that are refused are counted too") {
  Store store = Simulation().open();
  const auto work = [](Transaction& tx) { return tx.put("row", "value"); };
  const Key key("t", "o", "1");
  value_of(store.transact(key, work));
  value_of(store.transact(key, work));
  const std::vector<ReserveRequest> requests = {
      {.key = Key("t", "batch", "1")}, {.key = Key("t", "batch", "1")}, {.key = key}};
  value_of(store.reserve_many(requests));
  CHECK(error_of(store.transact(Key("t", "batch", "1"), work, {.wait = 0ms})) == ErrorCode::busy);
  const Figures figures = value_of(store.figures());
  CHECK(of(figures, "t", "o").counts.executions == 1);
  CHECK(of(figures, "t", "o").counts.replays == 2);
  CHECK(of(figures, "t", "batch").counts.executions == 1);
  CHECK(of(figures, "t", "batch").counts.busy == 2);
}

TEST_CASE("what ran and what was committed is timed, what was only answered is not") {
  Store store = Simulation().open();
  const Key key("t", "o", "1");
  const auto slow = [] {
    std::this_thread::sleep_for(20ms);  // what is timed, not what is waited for
    return 1;
  };
  value_of(store.execute(key, slow));
  const Counts once = of(value_of(store.figures()), "t", "o").counts;
  CHECK(once.execute.count() == 1);
  CHECK(once.execute.mean() >= 20ms);
  CHECK(once.execute.within(1) >= 20ms);
  CHECK(once.commit.count() == 2);  // reserve and complete
  for (int i = 0; i < 10; ++i) value_of(store.execute(key, slow));
  const Counts again = of(value_of(store.figures()), "t", "o").counts;
  CHECK(again.execute.count() == 1);
  CHECK(again.commit.count() == 2);
}

TEST_CASE("commits and syncs: buffered ones are not synced") {
  Store store = Simulation().open();
  const Figures before = value_of(store.figures());
  const Reservation held = reserved(store.reserve("k"));
  value_of(store.renew(held, 1min, Durability::buffered));
  value_of(store.publish({.type = "t"}));
  value_of(store.complete(held, Outcome::success()));
  const Figures after = value_of(store.figures());
  CHECK(after.commits - before.commits == 4);
  CHECK(after.syncs - before.syncs == 3);
}

TEST_CASE("switched off, only totals are counted") {
  Options options = Simulation().options();
  options.figures = false;
  Store store = value_of(Store::open("memory:", options));
  value_of(store.execute(Key("t", "o", "1"), [] { return 1; }));
  value_of(store.execute(Key("t", "o", "1"), [] { return 1; }));
  const Figures figures = value_of(store.figures());
  CHECK(figures.labels.empty());
  CHECK(figures.total.executions == 1);
  CHECK(figures.total.replays == 1);
  CHECK(figures.total.execute.count() == 0);
  CHECK(value_of(store.stats()).replays == 1);
}

TEST_CASE("stats: records, bytes and time to live by tenant and operation") {
  const Simulation simulation;
  Store store = simulation.open();
  const auto done = [&](const Key& key, Duration retention, std::size_t bytes) {
    value_of(store.execute(key, [&] { return Bytes(bytes, 'x'); }, {.retention = retention}));
  };
  done(Key("a", "x", "1"), 1h, 100);
  done(Key("a", "x", "2"), 3h, 100);
  done(Key("a", "x", "3"), forever, 100);
  done(Key("a", "y", "1"), 10min, 5000);
  reserved(store.reserve(Key("b", "x", "1")));
  done("plain", 1min, 0);
  simulation.clock->advance(2min);
  const Stats stats = value_of(store.stats());
  REQUIRE(stats.labels.size() == 4);
  CHECK(stats.labels[0].expired == 1);
  CHECK(stats.labels[0].active() == 0);
  CHECK(stats.labels[0].total() == 1);
  const LabelStats& ax = of(stats, "a", "x");
  CHECK(ax.completed == 3);
  CHECK(ax.average_ttl == 2h - 2min);
  CHECK(ax.bytes > 300);
  CHECK(ax.bytes < 3000);
  CHECK(of(stats, "a", "y").average_ttl == 8min);
  CHECK(of(stats, "a", "y").bytes > 5000);
  CHECK(of(stats, "b", "x").in_progress == 1);
  CHECK(of(stats, "b", "x").average_ttl == 0ms);
  CHECK(stats.average_ttl == Duration(1h + 3h + 10min - 6min) / 3);
  CHECK(stats.active() == 5);
  CHECK(stats.total() == 6);
  CHECK(stats.expired == 1);
  std::uint64_t bytes = 0;
  for (const LabelStats& label : stats.labels) bytes += label.bytes;
  CHECK(stats.bytes == bytes);
}

TEST_CASE("stats: how long the oldest pending event waits") {
  const Simulation simulation;
  Store store = simulation.open();
  CHECK(value_of(store.stats()).oldest_pending == 0ms);
  value_of(store.publish({.type = "first"}));
  simulation.clock->advance(1min);
  value_of(store.publish({.type = "second"}));
  simulation.clock->advance(1min);
  const Stats stats = value_of(store.stats());
  CHECK(stats.events_pending == 2);
  CHECK(stats.oldest_pending == 2min);
}

TEST_CASE("stats: labels beyond the limit are counted together") {
  Store store = Simulation().open();
  std::vector<ReserveRequest> requests;
  for (std::size_t i = 0; i < max_label_stats + 50; ++i) {
    requests.push_back({.key = Key("tenant-" + std::to_string(i), "", "1")});
  }
  value_of(store.reserve_many(requests));
  const Stats stats = value_of(store.stats());
  REQUIRE(stats.labels.size() == max_label_stats + 1);
  CHECK(stats.labels.back().others);
  CHECK(stats.labels.back().in_progress == 50);
  CHECK(stats.in_progress == max_label_stats + 50);
}
