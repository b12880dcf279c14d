// Participants whose effects are in a Store: each takes effect exactly once, in whatever order and
// however often they are called.
#include <doctest/doctest.h>

#include <stdexcept>

#include "../store/fixture.h"
#include "bank.h"
#include "once/coordinator.h"

using namespace once;
using namespace once::testing;

namespace {

struct Bank {
  Simulation simulation;
  Store store = simulation.open();
  Participant debit = store_participant("debit", store, debit_work(), {.retention = 1h});
  ParticipantCall call{.transaction = "t",
                       .participant = "debit",
                       .key = "t-debit",
                       .token = {7},
                       .payload = "alice 30"};

  Result<void> ask(Ask what) {
    call.ask = what;
    if (what == Ask::commit) return debit.commit(call);
    if (what == Ask::abort) return debit.abort(call);
    auto vote = debit.prepare(call);
    if (!vote) return std::unexpected(vote.error());
    CHECK(*vote == "hold of 30");
    return {};
  }
  std::int64_t held() { return number_in(store, "held/alice", 0); }
};

}  // namespace

TEST_CASE("prepare holds, commit applies, each once, however often they are asked") {
  Bank bank;
  for (int i = 0; i < 3; ++i) value_of(bank.ask(Ask::prepare));
  CHECK(balance(bank.store, "alice") == 70);
  CHECK(bank.held() == 30);
  CHECK(prepared_rows(bank.store) == 1);
  for (int i = 0; i < 3; ++i) value_of(bank.ask(Ask::commit));
  CHECK(balance(bank.store, "alice") == 70);
  CHECK(bank.held() == 0);
  CHECK(prepared_rows(bank.store) == 0);
  CHECK(number_in(bank.store, "done/t-debit:commit", 0) == 1);
}

TEST_CASE("abort releases what was prepared, once, also when the answers are forgotten") {
  for (const bool forgotten : {false, true}) {
    Bank bank;
    value_of(bank.ask(Ask::prepare));
    if (forgotten) {
      bank.simulation.clock->advance(2h);
      value_of(bank.store.sweep());
      CHECK_FALSE(value_of(bank.store.find("t-debit:prepare")));
    }
    for (int i = 0; i < 3; ++i) value_of(bank.ask(Ask::abort));
    CHECK(balance(bank.store, "alice") == 100);
    CHECK(bank.held() == 0);
    CHECK(prepared_rows(bank.store) == 0);
  }
}

TEST_CASE("a hold whose answer is forgotten is still there to be committed") {
  Bank bank;
  value_of(bank.ask(Ask::prepare));
  bank.simulation.clock->advance(2h);
  value_of(bank.store.sweep());
  value_of(bank.ask(Ask::commit));
  CHECK(balance(bank.store, "alice") == 70);
  CHECK(bank.held() == 0);
}

TEST_CASE("an abort that comes first makes the prepare that comes later fail") {
  Bank bank;
  value_of(bank.ask(Ask::abort));
  const auto late = bank.ask(Ask::prepare);
  CHECK(error_of(late) == ErrorCode::work_failed);
  CHECK(late.error().failure_code == "aborted");
  CHECK(balance(bank.store, "alice") == 100);
  CHECK(prepared_rows(bank.store) == 0);
  value_of(bank.ask(Ask::abort));
}

TEST_CASE("a no leaves nothing and stays a no") {
  Bank bank;
  bank.call.payload = "alice 101";
  CHECK(error_of(bank.ask(Ask::prepare)) == ErrorCode::work_failed);
  CHECK(bank.held() == 0);
  value_of(bank.ask(Ask::abort));
  CHECK(error_of(bank.ask(Ask::prepare)) == ErrorCode::work_failed);
}

TEST_CASE("a commit of what is not prepared is refused, and so is one in the wrong store") {
  Bank bank;
  CHECK(error_of(bank.ask(Ask::commit)) == ErrorCode::not_found);
  value_of(bank.ask(Ask::prepare));
  value_of(bank.ask(Ask::commit));  // the refusal was not kept
}

TEST_CASE("a commit that fails is not final, whatever it says, and leaves nothing half done") {
  Simulation simulation;
  Store store = simulation.open();
  StoreWork work = debit_work();
  int tries = 0;
  work.commit = [&](Transaction& tx, const ParticipantCall& call) -> Result<void> {
    if (auto put = add_to(tx, "committed", 1, 0); !put) return put;
    if (++tries == 1) return std::unexpected(work_failed("no", "not today"));
    if (tries == 2) throw std::runtime_error("theirs");
    return debit_work().commit(tx, call);
  };
  Coordinator coordinator(store, {.settle_timeout = 0ms});
  value_of(coordinator.add(store_participant("debit", store, work)));
  CHECK(value_of(coordinator.run("t", {{"debit", "alice 30"}})).pending().size() == 1);
  CHECK_THROWS_WITH((void)coordinator.recover("t"), "theirs");
  CHECK(value_of(coordinator.recover("t")).state == TransactionState::committed);
  CHECK(number_in(store, "committed", 0) == 1);
  CHECK(balance(store, "alice") == 70);
}

TEST_CASE("a transfer between two stores: all of it or nothing") {
  Simulation simulation;
  Store north = simulation.open();
  Store south = simulation.open();
  Store own = simulation.open();
  Coordinator coordinator(own);
  value_of(coordinator.add(store_participant("debit", north, debit_work())));
  value_of(coordinator.add(store_participant("credit", south, credit_work())));
  CHECK(value_of(coordinator.run("1", {{"debit", "alice 30"}, {"credit", "bob 30"}})).commits());
  CHECK(balance(north, "alice") == 70);
  CHECK(balance(south, "bob") == 130);
  // Bob is there, Alice has too little; then Alice has enough, and the other is not there.
  CHECK_FALSE(
      value_of(coordinator.run("2", {{"credit", "bob 71"}, {"debit", "alice 71"}})).commits());
  CHECK_FALSE(
      value_of(coordinator.run("3", {{"debit", "alice 30"}, {"credit", "!eve 30"}})).commits());
  CHECK(balance(north, "alice") == 70);
  CHECK(balance(south, "bob") == 130);
  CHECK(number_in(south, "expected/bob", 0) == 0);
  CHECK(prepared_rows(north) + prepared_rows(south) == 0);
}

TEST_CASE("a saga's steps have their effects at once, and their rows go at the end") {
  Simulation simulation;
  Store store = simulation.open();
  Coordinator coordinator(store);  // the participants' store may be the coordinator's own
  value_of(coordinator.add(store_saga_step("take", store, saga_work(-1))));
  value_of(coordinator.add(store_saga_step("give", store, saga_work(1))));
  CHECK(value_of(coordinator.run("1", {{"take", "alice 30"}, {"give", "bob 30"}})).commits());
  CHECK(balance(store, "alice") == 70);
  CHECK(balance(store, "bob") == 130);
  CHECK_FALSE(
      value_of(coordinator.run("2", {{"take", "alice 30"}, {"give", "!eve 30"}})).commits());
  CHECK(balance(store, "alice") == 70);
  CHECK(number_in(store, "done/2-take:abort", 0) == 1);
  CHECK(prepared_rows(store) == 0);
}

TEST_CASE("a zombie's late calls reach the participants and change nothing there") {
  Simulation simulation;
  Store north = simulation.open();
  Store south = simulation.open();
  Store own = simulation.open();
  Coordinator other(own);
  const Participant debit = store_participant("debit", north, debit_work());
  const Participant credit = store_participant("credit", south, credit_work());
  for (const Participant& participant : {debit, credit}) value_of(other.add(participant));

  Coordinator zombie(own, {.lease = 1min, .heartbeat = false});
  const auto overtaken = [&](const ParticipantCall& call) {
    simulation.clock->advance(2min);
    value_of(other.recover(call.transaction));
  };
  Participant slow_credit = credit;
  Participant slow_debit = debit;
  const std::vector<Part> parts = {{"debit", "alice 30"}, {"credit", "bob 30"}};
  SUBCASE("a prepare after the abort") {
    slow_credit.prepare = [&](const ParticipantCall& call) {
      overtaken(call);
      auto vote = credit.prepare(call);
      CHECK(error_of(vote) == ErrorCode::work_failed);
      return vote;
    };
  }
  SUBCASE("a commit after the commit") {
    slow_debit.commit = [&](const ParticipantCall& call) {
      overtaken(call);
      return debit.commit(call);
    };
  }
  for (const Participant& participant : {slow_debit, slow_credit})
    value_of(zombie.add(participant));
  CHECK(error_of(zombie.run("t", parts)) == ErrorCode::fenced);
  const bool commits = value_of(other.report("t"))->commits();
  CHECK(balance(north, "alice") == (commits ? 70 : 100));
  CHECK(balance(south, "bob") == (commits ? 130 : 100));
  CHECK(number_in(north, "held/alice", 0) == 0);
  CHECK(number_in(south, "expected/bob", 0) == 0);
  CHECK(prepared_rows(north) + prepared_rows(south) == 0);
  CHECK(number_in(north, "done/t-debit:commit", 0) == (commits ? 1 : 0));
}

TEST_CASE("options that cannot be are refused when the participant is added") {
  Simulation simulation;
  Store store = simulation.open();
  for (const auto make : {store_participant, store_saga_step}) {
    const Participant bad = make("debit", store, debit_work(), {.retention = -1ms});
    const auto opened = Coordinator::open(store, {bad});
    CHECK(error_of(opened) == ErrorCode::invalid_argument);
    CHECK(opened.error().message == "participant debit: a retention of -1 ms is less than none");
    Coordinator coordinator(store);
    CHECK(error_of(coordinator.add(bad)) == ErrorCode::invalid_argument);
    CHECK(error_of(coordinator.run("t", {{"debit", "alice 1"}})) == ErrorCode::invalid_argument);
  }
  CHECK(value_of(store.status("t")) == KeyStatus::none);
}
