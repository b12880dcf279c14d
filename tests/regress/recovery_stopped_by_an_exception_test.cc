// What a participant threw in commit or abort came out of recover_all() at once: the transactions
// behind that one were not recovered, however often it was called, and their participants held what
// they had prepared.
#include <doctest/doctest.h>

#include <stdexcept>

#include "once/coordinator.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

struct Crash {};

Participant participant(bool& throws) {
  return {.name = "bank",
          .prepare = [](const ParticipantCall&) -> Result<Bytes> { return ""; },
          .commit = [&throws](const ParticipantCall& call) -> Result<void> {
            if (throws && call.transaction.id == "1") throw std::runtime_error("of the bank");
            return {};
          },
          .abort = [](const ParticipantCall&) -> Result<void> { return {}; }};
}

TransactionState state_of(Coordinator& coordinator, const Key& key) {
  const auto report = value_of(coordinator.report(key));
  REQUIRE(report);
  return report->state;
}

}  // namespace

TEST_CASE("who throws while all is recovered keeps no other transaction") {
  Store store = value_of(Store::open("memory:"));
  bool throws = true;
  {
    Coordinator crashing(store, {.self_recovery = SelfRecovery::none,
                                 .observer = [](const CoordinatorMoment& moment) {
                                   if (moment.what == "decision" && !moment.before) throw Crash{};
                                 }});
    value_of(crashing.add(participant(throws)));
    for (const char* key : {"1", "2", "3"}) {
      CHECK_THROWS_AS((void)crashing.run(key, {{"bank", ""}}), Crash);
    }
  }
  Coordinator coordinator(store, {.self_recovery = SelfRecovery::none});
  value_of(coordinator.add(participant(throws)));
  CHECK_THROWS_WITH((void)coordinator.recover_all(), "of the bank");
  CHECK(state_of(coordinator, "1") == TransactionState::committing);
  CHECK(state_of(coordinator, "2") == TransactionState::committed);
  CHECK(state_of(coordinator, "3") == TransactionState::committed);
  throws = false;
  CHECK(value_of(coordinator.recover_all()).finished.size() == 1);
  CHECK(state_of(coordinator, "1") == TransactionState::committed);
}
