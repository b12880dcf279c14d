// A transaction that waited for a participant was a record in progress whose lease had lapsed, and
// so resolve(), remove() and whoever executed its key took it away from its coordinator, with the
// decision to commit that was on disk.
#include <doctest/doctest.h>

#include <map>

#include "once/coordinator.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// A transaction "tx" that is decided and waits for its second participant.
struct Waiting {
  Simulation simulation;
  Store store = simulation.open();
  Coordinator coordinator{store, {.settle_timeout = 0ms}};
  bool up = false;
  int commits = 0;

  Waiting() {
    for (const char* name : {"x", "y"}) {
      value_of(coordinator.add(
          {.name = name,
           .prepare = [](const ParticipantCall&) -> Result<Bytes> { return Bytes("yes"); },
           .commit = [this](const ParticipantCall& call) -> Result<void> {
             if (call.participant == "y" && !up) {
               return std::unexpected(work_retryable("down"));
             }
             ++commits;
             return {};
           },
           .abort = [](const ParticipantCall&) -> Result<void> { return {}; }}));
    }
    const auto report = value_of(coordinator.run("tx", {{"x", "p"}, {"y", "p"}}));
    REQUIRE(report.state == TransactionState::committing);
    REQUIRE(commits == 1);
  }
  // Nothing of it was lost: y is asked to commit, and then it is over.
  void finishes() {
    CHECK(value_of(coordinator.report("tx"))->state == TransactionState::committing);
    up = true;
    const RecoveryReport all = value_of(coordinator.recover_all());
    REQUIRE(all.finished.size() == 1);
    CHECK(all.finished[0].state == TransactionState::committed);
    CHECK(commits == 2);
    CHECK(problems_of(store) == 0);
  }
};

template <class T>
void check_busy(const Result<T>& answer) {
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == ErrorCode::busy);
  CHECK(answer.error().message.find("Coordinator::recover") != std::string::npos);
}

}  // namespace

TEST_CASE("a decided transaction is not executed, transacted or reserved by somebody else") {
  Waiting waiting;
  bool ran = false;
  check_busy(waiting.store.execute("tx", [&] { return ran = true; }, {.wait = 0ms}));
  check_busy(waiting.store.execute("tx", [&] { return ran = true; },
                                   {.on_abandon = OnAbandon::rerun, .wait = 0ms}));
  check_busy(waiting.store.transact("tx",
                                    [&](Transaction&) -> Result<Bytes> {
                                      ran = true;
                                      return Bytes("z");
                                    },
                                    {.wait = 0ms}));
  check_busy(waiting.store.reserve("tx"));
  const std::vector<ReserveRequest> requests{{.key = "tx", .options = {}}};
  check_busy(value_of(waiting.store.reserve_many(requests))[0]);
  CHECK_FALSE(ran);
  waiting.finishes();
}

TEST_CASE("a decided transaction is neither resolved nor removed") {
  Waiting waiting;
  check_busy(waiting.store.resolve("tx", Verdict::failure, Outcome::failure("", "no")));
  check_busy(waiting.store.resolve("tx", Verdict::success));
  check_busy(waiting.store.resolve("tx", Verdict::rerun));
  check_busy(waiting.store.remove("tx"));
  waiting.finishes();
  // What is over can go.
  CHECK(value_of(waiting.store.remove("tx")));
}

TEST_CASE("a transaction in doubt goes back to its coordinator, and to nobody else") {
  Waiting waiting;
  const Token token = value_of(waiting.store.find("tx"))->record.token;
  auto taken = Reservation{.key = "tx", .token = token};
  value_of(waiting.store.doubt(taken, "salvaged"));
  check_busy(waiting.store.resolve("tx", Verdict::success));
  check_busy(waiting.store.remove("tx"));
  value_of(waiting.store.resolve("tx", Verdict::rerun));
  // However long it takes until somebody asks.
  waiting.simulation.clock->advance(std::chrono::hours(24 * 365));
  value_of(waiting.store.sweep());
  check_busy(waiting.store.execute("tx", [] { return 5; }, {.wait = 0ms}));
  waiting.finishes();
}
