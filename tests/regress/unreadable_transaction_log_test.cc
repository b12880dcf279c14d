// A decided transaction one of whose checkpoints could not be read, in that version or at that
// moment, was released when somebody asked for it again: anybody could take its key, and a sweep
// forget it. And one of them kept scan_transactions() from telling of all behind it.
#include <doctest/doctest.h>

#include "once/coordinator.h"
#include "store/fixture.h"
#include "transaction/late_participant.h"
#include "transaction/transaction_log.h"

using namespace once;
using namespace once::testing;

namespace {

struct World {
  Simulation simulation;
  Store store = simulation.open();
  Coordinator coordinator{store, {.settle_timeout = 0ms}};
  bool up = false;

  World() {
    value_of(coordinator.add(late_participant("x", up)));
    for (const char* key : {"a", "b", "c"}) {
      REQUIRE(value_of(coordinator.run(key, {{"x", "p"}})).commits());
    }
  }
  // Writes what stands for the decision on "b".
  void put_decision(const Bytes& data) {
    const Token token = value_of(store.find("b"))->record.token;
    const auto holder = Reservation{.key = "b", .token = token};
    value_of(store.save_checkpoint(holder, "once.tx.decision", data));
  }
};

}  // namespace

TEST_CASE("a transaction whose log cannot be read stays as it is") {
  World world;
  world.put_decision("\x09");
  CHECK(error_of(world.coordinator.run("b", {{"x", "p"}})) == ErrorCode::newer_format);
  CHECK(value_of(world.store.find("b"))->record.status == Status::in_progress);
  world.simulation.clock->advance(std::chrono::hours(24 * 365));
  value_of(world.store.sweep());

  world.put_decision(transaction::decision_entry({.commit = true, .reason = ""}).data);
  world.up = true;
  CHECK(value_of(world.coordinator.recover("b")).state == TransactionState::committed);
}

TEST_CASE("a transaction whose log cannot be read does not keep the others from being told of") {
  World world;
  world.put_decision("\x09");
  std::vector<Key> seen;
  const auto visit = [&](const TransactionReport& report) {
    seen.push_back(report.key);
    return true;
  };
  CHECK(error_of(scan_transactions(world.store, visit)) == ErrorCode::newer_format);
  CHECK(seen == std::vector<Key>{"a", "c"});
}
