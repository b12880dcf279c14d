// A participant in a store took any call under a key for the same one: another transaction with the
// same key, with another payload, or of another coordinator, was answered with the vote and the
// commit of the first, and told that it was committed when nothing had happened.
#include <doctest/doctest.h>

#include "once/coordinator.h"
#include "store/fixture.h"
#include "transaction/bank.h"

using namespace once;
using namespace once::testing;

namespace {

struct World {
  Simulation simulation;
  Store own = simulation.open();
  Store bank = simulation.open();
  Coordinator coordinator = coordinator_of(own);

  Coordinator coordinator_of(Store& store, CoordinatorOptions options = {}) {
    Coordinator made(store, std::move(options));
    value_of(made.add(store_participant("debit", bank, debit_work())));
    return made;
  }
  [[nodiscard]] bool holds_nothing() {
    return number_in(bank, "held/alice", 0) == 0 && prepared_rows(bank) == 0;
  }
};

// One transaction's part in a bank, called by hand.
struct Caller {
  Participant debit;
  ParticipantCall call;

  Caller(Store& store, Bytes nonce, Bytes payload)
      : debit(store_participant("debit", store, debit_work(), {.retention = 1h})),
        call{.transaction = "t",
             .participant = "debit",
             .key = "t-debit",
             .token = {7},
             .nonce = std::move(nonce),
             .payload = std::move(payload)} {}

  Result<void> ask(Ask what) {
    call.ask = what;
    if (what == Ask::commit) return debit.commit(call);
    if (what == Ask::abort) return debit.abort(call);
    auto vote = debit.prepare(call);
    if (!vote) return std::unexpected(vote.error());
    return {};
  }
};

void check_refused(const TransactionReport& report) {
  CHECK(report.state == TransactionState::aborted);
  CHECK_FALSE(report.replayed);
  CHECK(report.reason.find("debit voted no: mismatch: ") == 0);
}

}  // namespace

TEST_CASE("a key that the coordinator has forgotten is refused by who remembers it") {
  World world;
  CHECK(value_of(world.coordinator.run("tx-9", {{"debit", "alice 30"}})).commits());
  world.simulation.clock->advance(24h * 8);
  for (const char* payload : {"alice 50", "alice 30"}) {
    CAPTURE(payload);
    check_refused(value_of(world.coordinator.run("tx-9", {{"debit", payload}})));
    CHECK(balance(world.bank, "alice") == 70);
    CHECK(world.holds_nothing());
    world.simulation.clock->advance(24h * 8);
  }
  // By now nobody remembers it.
  world.simulation.clock->advance(24h * 30);
  CHECK(value_of(world.coordinator.run("tx-9", {{"debit", "alice 50"}})).commits());
  CHECK(balance(world.bank, "alice") == 20);
}

TEST_CASE("a key of another coordinator is refused, and nothing of the other's is undone") {
  World world;
  Store others = world.simulation.open();
  Coordinator other = world.coordinator_of(others);
  CHECK(value_of(world.coordinator.run("tx-1", {{"debit", "alice 30"}})).commits());
  SUBCASE("with another payload") {
    check_refused(value_of(other.run("tx-1", {{"debit", "alice 50"}})));
  }
  SUBCASE("with the same one") {
    check_refused(value_of(other.run("tx-1", {{"debit", "alice 30"}})));
  }
  SUBCASE("and aborted when it was broken off") {
    struct Crash {};
    Coordinator dies =
        world.coordinator_of(others, {.observer = [](const CoordinatorMoment& moment) {
                               if (moment.what == "decision") throw Crash{};
                             }});
    CHECK_THROWS_AS((void)dies.run("tx-1", {{"debit", "alice 50"}}), Crash);
    CHECK(value_of(other.recover("tx-1")).state == TransactionState::aborted);
  }
  CHECK(balance(world.bank, "alice") == 70);
  CHECK(world.holds_nothing());
}

TEST_CASE("what another transaction of the same name was answered is in nobody's way") {
  Simulation simulation;
  Store store = simulation.open();
  Caller first(store, "first nonce here", "alice 30");
  Caller second(store, "another nonce...", "alice 50");
  value_of(first.ask(Ask::prepare));
  SUBCASE("a commit, when the answer to prepare is forgotten already") {
    simulation.clock->advance(30min);
    value_of(first.ask(Ask::commit));
    simulation.clock->advance(30min);
    value_of(second.ask(Ask::prepare));
    for (int i = 0; i < 2; ++i) value_of(second.ask(Ask::commit));
    CHECK(balance(store, "alice") == 20);
  }
  SUBCASE("an abort, when the answer to prepare is forgotten already") {
    simulation.clock->advance(30min);
    value_of(first.ask(Ask::abort));
    simulation.clock->advance(30min);
    value_of(second.ask(Ask::prepare));
    for (int i = 0; i < 2; ++i) value_of(second.ask(Ask::abort));
    CHECK(balance(store, "alice") == 100);
  }
  SUBCASE("an abort of what was never prepared, when the other is held for long") {
    simulation.clock->advance(2h);
    value_of(second.ask(Ask::abort));
    CHECK(number_in(store, "held/alice", 0) == 30);
    SUBCASE("and then committed") {
      value_of(first.ask(Ask::commit));
    }
    SUBCASE("and then aborted") {
      value_of(first.ask(Ask::abort));
    }
  }
  SUBCASE("a prepare, when the other is held for long") {
    simulation.clock->advance(2h);
    CHECK(error_of(first.ask(Ask::prepare)) == ErrorCode::conflict);
    value_of(second.ask(Ask::prepare));
    CHECK(number_in(store, "held/alice", 0) == 80);
    value_of(second.ask(Ask::abort));
    CHECK(number_in(store, "held/alice", 0) == 30);
    value_of(first.ask(Ask::commit));
    CHECK(balance(store, "alice") == 70);
  }
  CHECK(number_in(store, "held/alice", 0) == 0);
  CHECK(prepared_rows(store) == 0);
}
