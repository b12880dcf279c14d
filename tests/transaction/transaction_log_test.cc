// The bytes of a coordinator's checkpoints, and what is made of damaged ones.
#include "transaction/transaction_log.h"

#include <doctest/doctest.h>

#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using namespace once::transaction;

namespace {

const Plan plan = {{.participant = "debit", .saga = false, .payload = Bytes("a\0b", 3)},
                   {.participant = "credit", .saga = true, .payload = ""}};

std::vector<Checkpoint> whole_log() {
  return {plan_entry(plan),
          nonce_entry("0123456789abcdef"),
          vote_entry("debit", "yes"),
          vote_entry("credit", ""),
          decision_entry({.commit = true, .reason = ""}),
          trouble_entry("credit", {.failures = 7, .message = "down"}),
          settled_entry("debit"),
          {.name = "theirs", .data = "whatever", .token = {}}};
}

}  // namespace

TEST_CASE("a log is read as it was written") {
  const auto log = value_of(read_log("t", whole_log()));
  REQUIRE(log);
  CHECK(log->plan == plan);
  CHECK(log->nonce == "0123456789abcdef");
  // One that was begun by a version that had none.
  CHECK(value_of(read_log("t", {plan_entry(plan)}))->nonce.empty());
  CHECK(log->decision == Decided{.commit = true, .reason = ""});
  REQUIRE(log->progress.size() == 2);
  CHECK(log->progress[0].vote == "yes");
  CHECK(log->progress[0].settled);
  CHECK(log->progress[1].vote == "");
  CHECK_FALSE(log->progress[1].settled);
  CHECK(log->progress[1].trouble == Trouble{.failures = 7, .message = "down"});
  CHECK_FALSE(value_of(read_log("t", {whole_log().back()})));
  CHECK_FALSE(value_of(read_log("t", {vote_entry("debit", "")})));
}

TEST_CASE("the bytes are those of docs/formats.md") {
  CHECK(plan_entry(plan).name == "once.tx.plan");
  CHECK(plan_entry(plan).data == Bytes("\1\2\0\0\0"
                                       "\0\5\0\0\0debit\3\0\0\0a\0b"
                                       "\1\6\0\0\0credit\0\0\0\0",
                                       5 + 17 + 15));
  CHECK(nonce_entry("0123456789abcdef").name == "once.tx.nonce");
  CHECK(nonce_entry("0123456789abcdef").data == Bytes("\1"
                                                      "0123456789abcdef"));
  CHECK(vote_entry("debit", "yes").name == "once.tx.vote.debit");
  CHECK(vote_entry("debit", "yes").data == Bytes("\1\3\0\0\0yes", 8));
  CHECK(decision_entry({.commit = true, .reason = ""}).data == Bytes("\1\1\0\0\0\0", 6));
  CHECK(decision_entry({.commit = false, .reason = "no"}).name == "once.tx.decision");
  CHECK(decision_entry({.commit = false, .reason = "no"}).data == Bytes("\1\2\2\0\0\0no", 8));
  CHECK(trouble_entry("x", {.failures = 2, .message = "m"}).name == "once.tx.trouble.x");
  CHECK(trouble_entry("x", {.failures = 2, .message = "m"}).data ==
        Bytes("\1\2\0\0\0\1\0\0\0m", 10));
  CHECK(settled_entry("x").name == "once.tx.settled.x");
  CHECK(settled_entry("x").data == Bytes("\1", 1));
}

TEST_CASE("damage and newer versions are told, wherever they are") {
  for (std::size_t i = 0; i + 1 < whole_log().size(); ++i) {
    std::vector<Checkpoint> log = whole_log();
    const Bytes whole = log[i].data;
    for (std::size_t length = 0; length < whole.size(); ++length) {
      log[i].data = whole.substr(0, length);
      CHECK(error_of(read_log("t", log)) == ErrorCode::damaged);
    }
    log[i].data = whole + "x";
    CHECK(error_of(read_log("t", log)) == ErrorCode::damaged);
    log[i].data = whole;
    log[i].data[0] = 2;
    CHECK(error_of(read_log("t", log)) == ErrorCode::newer_format);
  }
  std::vector<Checkpoint> log = whole_log();
  log[0].data[5] = 2;  // flags that are none
  CHECK(error_of(read_log("t", log)) == ErrorCode::damaged);
  log = whole_log();
  log[4].data[1] = 3;  // a decision that is none
  CHECK(error_of(read_log("t", log)) == ErrorCode::damaged);
}

TEST_CASE("other parts, names, kinds and orders have other fingerprints") {
  Plan other = plan;
  other[0].payload = Bytes("x");
  CHECK(fingerprint_of(other) != fingerprint_of(plan));
  other = plan;
  other[0].saga = true;
  CHECK(fingerprint_of(other) != fingerprint_of(plan));
  other = {plan[1], plan[0]};
  CHECK(fingerprint_of(other) != fingerprint_of(plan));
  CHECK(fingerprint_of(Plan(plan)) == fingerprint_of(plan));
}

TEST_CASE(
    "where it stands is told by what was decided and acknowledged, not by the outcome alone") {
  const auto state = [](Status status, bool last_settled, const std::optional<Decided>& decision) {
    Log log{.plan = plan, .decision = decision, .progress = {}};
    log.progress.resize(plan.size());
    log.progress[0].settled = true;
    log.progress[1].settled = last_settled;
    return report_of("t", {.status = status}, std::nullopt, log).state;
  };
  const Decided commit{.commit = true, .reason = ""};
  CHECK(state(Status::in_progress, false, commit) == TransactionState::committing);
  CHECK(state(Status::completed, true, commit) == TransactionState::committed);
  // Somebody else gave the key an outcome.
  CHECK(state(Status::completed, false, commit) == TransactionState::committing);
  CHECK(state(Status::failed, false, commit) == TransactionState::committing);
  CHECK(state(Status::failed, true, commit) == TransactionState::committing);
  const Decided abort{.commit = false, .reason = "no"};
  CHECK(state(Status::in_progress, true, abort) == TransactionState::aborting);
  CHECK(state(Status::failed, false, abort) == TransactionState::aborted);
  CHECK(state(Status::completed, true, abort) == TransactionState::aborting);
  CHECK(state(Status::in_progress, false, std::nullopt) == TransactionState::preparing);
  CHECK(state(Status::completed, false, std::nullopt) == TransactionState::preparing);
  CHECK(state(Status::failed, false, std::nullopt) == TransactionState::aborted);
}
