// One record or checkpoint that could not be read, of whatever key, kept recover_all() from
// recovering any transaction and scan_transactions() from telling of any.
#include <doctest/doctest.h>

#include "model/key_codec.h"
#include "once/coordinator.h"
#include "store/fixture.h"
#include "store/raw_store.h"
#include "transaction/late_participant.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr char newer_layout = 9;

// Three decided transactions, "a", "b" and "c", and a key "b0" of somebody else, in a store that
// can be tampered with.
struct World {
  Simulation simulation;
  TemporaryDirectory directory;
  std::string path = directory.file("store");
  bool up = false;

  World() {
    Store store = simulation.open(path);
    Coordinator coordinator(store, {.settle_timeout = 0ms});
    add(coordinator);
    for (const char* key : {"a", "b", "c"}) {
      REQUIRE(value_of(coordinator.run(key, {{"x", "p"}})).commits());
    }
    const Reservation other = reserved(store.reserve("b0"));
    value_of(store.save_checkpoint(other, "step", "done"));
    value_of(store.release(other));
    value_of(store.close());
    up = true;
  }
  void add(Coordinator& coordinator) const { value_of(coordinator.add(late_participant("x", up))); }
  // Gives a row the layout of a newer version.
  void make_unreadable(Table table, const Bytes& row) {
    RawStore raw(path);
    Bytes value = raw.get(table, row);
    value[0] = newer_layout;
    raw.put(table, row, value);
  }
};

std::vector<Key> keys_of(const std::vector<TransactionReport>& reports) {
  std::vector<Key> keys;
  for (const TransactionReport& report : reports) keys.push_back(report.key);
  return keys;
}

struct Scanned {
  std::vector<Key> seen{};
  std::vector<Key> unreadable{};
};

Scanned scan(Store& store) {
  Scanned scanned;
  value_of(scan_transactions(
      store,
      [&](const TransactionReport& report) {
        scanned.seen.push_back(report.key);
        return true;
      },
      [&](const Key& key, const Error& error) {
        CHECK(error.code == ErrorCode::newer_format);
        scanned.unreadable.push_back(key);
        return true;
      }));
  return scanned;
}

}  // namespace

TEST_CASE("a record that cannot be read does not keep transactions from being recovered") {
  World world;
  world.make_unreadable(Table::keys, model::encode_key("b0"));
  Store store = world.simulation.open(world.path);
  Coordinator coordinator(store);
  world.add(coordinator);
  const RecoveryReport all = value_of(coordinator.recover_all());
  CHECK(keys_of(all.finished) == std::vector<Key>{"a", "b", "c"});
  REQUIRE(all.unreadable.size() == 1);
  CHECK(all.unreadable[0].code == ErrorCode::newer_format);
  CHECK(all.unreadable[0].message.contains("b0"));
  CHECK(scan(store).seen == std::vector<Key>{"a", "b", "c"});
}

TEST_CASE("nor one under the prefix that was asked for") {
  World world;
  world.make_unreadable(Table::keys, model::encode_key("b0"));
  Store store = world.simulation.open(world.path);
  Coordinator coordinator(store);
  world.add(coordinator);
  const RecoveryReport all = value_of(coordinator.recover_all("%62"));
  CHECK(keys_of(all.finished) == std::vector<Key>{"b"});
  CHECK(all.unreadable.size() == 1);
}

TEST_CASE("a checkpoint that cannot be read does not keep transactions from being told of") {
  World world;
  Scanned expected{.seen = {"a", "b", "c"}, .unreadable = {Key{}}};
  SUBCASE("of somebody else") {
    world.make_unreadable(Table::checkpoints, model::encode_checkpoint_key("b0", "step"));
  }
  SUBCASE("a plan") {
    world.make_unreadable(Table::checkpoints, model::encode_checkpoint_key("b", "once.tx.plan"));
    expected.seen = {"a", "c"};
  }
  SUBCASE("a decision, which is told of once") {
    world.make_unreadable(Table::checkpoints,
                          model::encode_checkpoint_key("b", "once.tx.decision"));
    expected = {.seen = {"a", "c"}, .unreadable = {"b"}};
  }
  Store store = world.simulation.open(world.path);
  const Scanned scanned = scan(store);
  CHECK(scanned.seen == expected.seen);
  CHECK(scanned.unreadable == expected.unreadable);
  CHECK(error_of(scan_transactions(store, [](const TransactionReport&) { return true; })) ==
        ErrorCode::newer_format);

  Coordinator coordinator(store);
  world.add(coordinator);
  const RecoveryReport all = value_of(coordinator.recover_all());
  CHECK(keys_of(all.finished) == expected.seen);
  CHECK(all.failed.size() == 3 - expected.seen.size());
}
