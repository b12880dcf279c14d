#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <stdexcept>
#include <thread>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

std::int64_t number(const std::optional<Bytes>& value) {
  return value ? std::stoll(*value) : 0;
}

// Adds `amount` to a row.
Result<void> add(Transaction& tx, ByteView key, std::int64_t amount) {
  auto value = tx.get(key);
  if (!value) return std::unexpected(value.error());
  return tx.put(key, std::to_string(number(*value) + amount));
}

}  // namespace

TEST_CASE("writes, events, checkpoints and outcome are there together, once") {
  Store store = Simulation().open();
  int runs = 0;
  const auto work = [&](Transaction& tx) -> Result<Bytes> {
    ++runs;
    CHECK(tx.put("row", "value"));
    CHECK(tx.publish({.aggregate_type = "order", .aggregate_id = "9", .type = "placed"}));
    CHECK(tx.save_checkpoint("step", "data"));
    return "outcome";
  };
  CHECK_FALSE(value_of(store.transact("k", work)).replayed());
  CHECK(value_of(store.transact("k", work)).replayed());
  CHECK(runs == 1);
  CHECK(value_of(store.data("row")) == "value");
  std::vector<Event> events;
  value_of(store.events({}, [&](const Event& event) {
    events.push_back(event);
    return true;
  }));
  REQUIRE(events.size() == 1);
  CHECK(events[0].type == "placed");
  CHECK(events[0].id.size() == 36);
  CHECK(events[0].sequence != 0);
  CHECK(value_of(store.load_checkpoints("k")).size() == 1);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("an error or an exception leaves nothing; a definite failure leaves only itself") {
  Store store = Simulation().open();
  const auto failing = [&](Error error) {
    return [error](Transaction& tx) -> Result<void> {
      CHECK(tx.put("row", "value"));
      CHECK(tx.publish({.type = "x"}));
      return std::unexpected(error);
    };
  };
  CHECK(error_of(store.transact("a", failing(work_retryable("no")))) == ErrorCode::work_retryable);
  CHECK_FALSE(value_of(store.find("a")));
  CHECK_THROWS_WITH(store.transact("b", [](Transaction&) { throw std::runtime_error("theirs"); }),
                    "theirs");
  CHECK_FALSE(value_of(store.find("b")));
  CHECK(value_of(store.transact("b", [](Transaction&) {})).provenance().attempt == 1);

  CHECK(error_of(store.transact("c", failing(work_failed("code", "no")))) ==
        ErrorCode::work_failed);
  const auto again = store.transact("c", failing(work_retryable("other")));
  REQUIRE_FALSE(again);
  CHECK(again.error().failure_code == "code");
  CHECK(again.error().replayed);
  CHECK_FALSE(value_of(store.data("row")));
  CHECK(value_of(store.stats()).events_pending == 0);
}

TEST_CASE("a transaction sees its own writes, in gets and merged into scans") {
  Store store = Simulation().open();
  value_of(store.transact("fill", [](Transaction& tx) {
    for (const char* key : {"a", "c", "e"}) CHECK(tx.put(key, "old"));
  }));
  value_of(store.transact("look", [](Transaction& tx) {
    CHECK(tx.put("b", "new"));
    CHECK(tx.put("c", "new"));
    CHECK(tx.erase("e"));
    CHECK(tx.put("f", "new"));
    CHECK(value_of(tx.get("c")) == "new");
    CHECK_FALSE(value_of(tx.get("e")));
    std::string seen;
    const auto collect = [&](ByteView key, ByteView value) {
      seen += Bytes(key) + "=" + Bytes(value) + " ";
      return true;
    };
    value_of(tx.scan("", "", collect));
    CHECK(seen == "a=old b=new c=new f=new ");
    seen.clear();
    value_of(tx.scan("b", "c", collect));
    CHECK(seen == "b=new ");
    int visits = 0;
    value_of(tx.scan("", "", [&](ByteView, ByteView) { return ++visits < 2; }));
    CHECK(visits == 2);
  }));
  CHECK(value_of(store.data("b")) == "new");
  CHECK_FALSE(value_of(store.data("e")));
}

TEST_CASE("what was read must be unchanged at commit: rows, absent rows and ranges") {
  for (const std::string read : {"row", "absent", "range"}) {
    CAPTURE(read);
    Store store = Simulation().open();
    value_of(store.transact("fill", [](Transaction& tx) { CHECK(tx.put("row", "1")); }));
    int runs = 0;
    const auto result = value_of(store.transact("k", [&](Transaction& tx) -> Result<Bytes> {
      std::string seen;
      if (read == "range") {
        value_of(tx.scan("a", "z", [&](ByteView key, ByteView value) {
          seen += Bytes(key) + Bytes(value);
          return true;
        }));
      } else {
        seen = value_of(tx.get(read == "row" ? "row" : "new")).value_or("none");
      }
      if (++runs == 1) {
        // Another thread commits in between.
        std::thread([&] {
          value_of(store.transact("other", [&](Transaction& other) {
            CHECK(other.put(read == "row" ? "row" : "new", "2"));
          }));
        }).join();
      }
      CHECK(tx.put("result", seen));
      return seen;
    }));
    CHECK(runs == 2);
    CHECK(result.value() == (read == "range" ? "new2row1" : "2"));
    CHECK(value_of(store.data("result")) == result.value());
  }
}

TEST_CASE("write skew: two that read what the other writes do not both commit on the old state") {
  Store store = Simulation().open();
  value_of(store.transact("fill", [](Transaction& tx) {
    CHECK(tx.put("x", "1"));
    CHECK(tx.put("y", "1"));
  }));
  // Each may take one only while the sum is 2.
  const auto take = [&](const Key& key, const char* mine, auto between) {
    return store.transact(key, [&, mine](Transaction& tx) -> Result<Bytes> {
      const std::int64_t sum = number(value_of(tx.get("x"))) + number(value_of(tx.get("y")));
      between();
      if (sum < 2) return "refused";
      if (auto added = add(tx, mine, -1); !added) return std::unexpected(added.error());
      return "taken";
    });
  };
  int turns = 0;
  const auto first = take("first", "x", [&] {
    if (++turns > 1) return;
    std::thread([&] { CHECK(value_of(take("second", "y", [] {})).value() == "taken"); }).join();
  });
  CHECK(value_of(first).value() == "refused");
}

TEST_CASE("many threads on few accounts: the sum stays, every transaction happens once") {
  Store store = Simulation().open();
  constexpr int threads = 8;
  constexpr int each = 100;
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        const std::string from = std::to_string((t + i) % 3);
        const std::string to = std::to_string((t + i + 1) % 3);
        value_of(store.transact(Key("", "move", std::to_string(t * each + i)),
                                [&](Transaction& tx) -> Result<void> {
                                  if (auto a = add(tx, from, -1); !a) return a;
                                  if (auto b = add(tx, to, 1); !b) return b;
                                  return add(tx, "count", 1);
                                }));
      }
    });
  }
  for (auto& thread : all) thread.join();
  CHECK(value_of(store.data("count")) == std::to_string(threads * each));
  std::int64_t sum = 0;
  for (const char* account : {"0", "1", "2"}) sum += number(value_of(store.data(account)));
  CHECK(sum == 0);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("a transaction respects a reservation of the same key, and the question") {
  const Simulation simulation;
  Store store = simulation.open();
  const Reservation mine = reserved(store.reserve("k", {.fingerprint = Fingerprint::of("1")}));
  CHECK(error_of(store.transact("k", [](Transaction&) {}, {.wait = 0ms})) == ErrorCode::busy);
  CHECK(error_of(store.transact("k", [](Transaction&) {}, {.fingerprint = Fingerprint::of("2")})) ==
        ErrorCode::mismatch);
  value_of(store.complete(mine, Outcome::success()));
  CHECK(value_of(store.transact("k", [](Transaction&) {})).replayed());
}

TEST_CASE("transact within transact is refused") {
  Store store = Simulation().open();
  value_of(store.transact("outer", [&](Transaction&) {
    CHECK(error_of(store.transact("inner", [](Transaction&) {})) == ErrorCode::invalid_argument);
  }));
}

TEST_CASE("bad keys and too large values within a transaction") {
  Store store = Simulation().open();
  value_of(store.transact("k", [&](Transaction& tx) {
    CHECK(error_of(tx.get("")) == ErrorCode::invalid_argument);
    CHECK(error_of(tx.put(Bytes(4097, 'x'), "")) == ErrorCode::invalid_argument);
    CHECK(error_of(tx.put("k", Bytes((16 << 20) + 1, 'x'))) == ErrorCode::limit_exceeded);
    CHECK(error_of(tx.publish({.payload = Bytes((1 << 20) + 1, 'x')})) ==
          ErrorCode::limit_exceeded);
    CHECK(error_of(tx.save_checkpoint("", "")) == ErrorCode::invalid_argument);
  }));
}
