// A coordinator with participants that do as the test says, in memory and under a simulated clock.
#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "../store/fixture.h"
#include "once/coordinator.h"

using namespace once;
using namespace once::testing;

namespace {

// Notes every call, and answers yes unless told otherwise.
struct Stage {
  Simulation simulation;
  Store store = simulation.open();
  std::vector<std::string> calls;
  std::vector<ParticipantCall> details;
  std::map<std::string, std::function<Result<Bytes>(const ParticipantCall&)>> answers;

  Result<Bytes> called(const ParticipantCall& call) {
    calls.push_back(std::string(to_string(call.ask)) + " " + call.participant);
    details.push_back(call);
    const auto answer = answers.find(calls.back());
    if (answer == answers.end()) return "vote of " + call.participant;
    const auto act = answer->second;  // a copy: it may change the answers
    return act(call);
  }
  Participant participant(const std::string& name, bool saga = false) {
    const auto tell = [this](const ParticipantCall& call) -> Result<void> {
      auto answer = called(call);
      if (!answer) return std::unexpected(answer.error());
      return {};
    };
    return {.name = name,
            .saga = saga,
            .prepare = [this](const ParticipantCall& call) { return called(call); },
            .commit = saga ? std::function<Result<void>(const ParticipantCall&)>{} : tell,
            .abort = tell};
  }
  Coordinator coordinator(CoordinatorOptions options = {}, bool saga = false) {
    Coordinator made(store, std::move(options));
    for (const char* name : {"debit", "credit", "notify"}) {
      value_of(made.add(participant(name, saga)));
    }
    return made;
  }
  void fails(const std::string& call, Error error) {
    answers[call] = [error](const ParticipantCall&) -> Result<Bytes> {
      return std::unexpected(error);
    };
  }
  std::vector<std::string> take_calls() { return std::exchange(calls, {}); }
};

const std::vector<Part> three = {{"debit", "a 1"}, {"credit", "b 1"}, {"notify", ""}};

using Calls = std::vector<std::string>;

// Ends a drive as a crash would, at the n-th moment.
struct Crash {};
std::function<void(const CoordinatorMoment&)> crash_at(int n) {
  return [left = std::make_shared<int>(n)](const CoordinatorMoment&) {
    if ((*left)-- == 0) throw Crash{};
  };
}
// Ends it right before or after `what`.
std::function<void(const CoordinatorMoment&)> crash_at(std::string what, std::string participant,
                                                       bool before) {
  return [=](const CoordinatorMoment& moment) {
    if (moment.what == what && moment.participant == participant && moment.before == before) {
      throw Crash{};
    }
  };
}

}  // namespace

TEST_CASE("all vote yes: all commit once, in order, and whoever asks again gets that answer") {
  Stage stage;
  Coordinator coordinator = stage.coordinator();
  const TransactionReport first = value_of(coordinator.run(Key("acme", "transfer", "tx-9"), three));
  CHECK(first.state == TransactionState::committed);
  CHECK(first.commits());
  CHECK(first.finished());
  CHECK(first.pending().empty());
  CHECK_FALSE(first.replayed);
  CHECK(stage.take_calls() == Calls{"prepare debit", "prepare credit", "prepare notify",
                                    "commit debit", "commit credit", "commit notify"});

  const TransactionReport again = value_of(coordinator.run(Key("acme", "transfer", "tx-9"), three));
  CHECK(again.state == TransactionState::committed);
  CHECK(again.replayed);
  CHECK(again.token == first.token);
  REQUIRE(again.participants.size() == 3);
  CHECK(again.participants[1].name == "credit");
  CHECK(again.participants[1].state == ParticipantState::settled);
  CHECK(again.participants[1].vote == "vote of credit");
  CHECK(again.participants[1].payload == "b 1");
  CHECK(stage.take_calls().empty());
  CHECK(problems_of(stage.store) == 0);
}

TEST_CASE("each participant gets its own derived key, the token, its payload and its vote") {
  Stage stage;
  Coordinator coordinator = stage.coordinator();
  const auto report = value_of(coordinator.run(Key("acme", "transfer", "tx-9"), three));
  const ParticipantCall& prepare = stage.details[0];
  CHECK(prepare.transaction == Key("acme", "transfer", "tx-9"));
  CHECK(prepare.key == Key("acme", "transfer", "tx-9-debit"));
  CHECK(prepare.key_of_ask() == Key("acme", "transfer", "tx-9-debit:prepare"));
  CHECK(prepare.token == report.token);
  CHECK(prepare.payload == "a 1");
  CHECK_FALSE(prepare.vote);
  CHECK(prepare.attempt == 1);
  CHECK(prepare.time_left == 30s);
  const ParticipantCall& commit = stage.details[4];
  CHECK(commit.key == Key("acme", "transfer", "tx-9-credit"));
  CHECK(commit.key_of_ask().id == "tx-9-credit:commit");
  CHECK(commit.vote == "vote of credit");
}

TEST_CASE("all calls of a transaction have one nonce, over crashes too, and no other one has it") {
  Stage stage;
  Coordinator first = stage.coordinator({.observer = crash_at("vote", "credit", false)});
  CHECK_THROWS_AS((void)first.run("t", three), Crash);
  Coordinator coordinator = stage.coordinator();
  CHECK(value_of(coordinator.recover("t")).state == TransactionState::aborted);
  const Bytes nonce = stage.details.at(0).nonce;
  CHECK(nonce.size() == 16);
  CHECK(stage.details.size() > 2);
  for (const ParticipantCall& call : stage.details) CHECK(call.nonce == nonce);
  (void)value_of(coordinator.run("u", three));
  CHECK(stage.details.back().nonce.size() == 16);
  CHECK(stage.details.back().nonce != nonce);
}

TEST_CASE(
    "one no aborts those who were asked, in reverse, and not who said that it holds nothing") {
  Stage stage;
  Coordinator coordinator = stage.coordinator();
  stage.fails("prepare credit", work_failed("closed", "the account is closed"));
  const TransactionReport report = value_of(coordinator.run("t", three));
  CHECK(report.state == TransactionState::aborted);
  CHECK_FALSE(report.commits());
  CHECK(report.finished());
  CHECK(report.reason == "credit voted no: closed: the account is closed");
  CHECK(stage.take_calls() == Calls{"prepare debit", "prepare credit", "abort debit"});

  const TransactionReport again = value_of(coordinator.run("t", three));
  CHECK(again.state == TransactionState::aborted);
  CHECK(again.reason == report.reason);
  CHECK(again.replayed);
  CHECK(stage.take_calls().empty());
  CHECK(value_of(stage.store.find("t"))->outcome->code == "aborted");
}

TEST_CASE("who fails without saying what it holds is aborted too") {
  for (const Error& error : {work_unknown("timed out"), Error{.code = ErrorCode::io}}) {
    Stage stage;
    Coordinator coordinator = stage.coordinator();
    stage.fails("prepare notify", error);
    CHECK(value_of(coordinator.run("t", three)).state == TransactionState::aborted);
    CHECK(stage.take_calls() == Calls{"prepare debit", "prepare credit", "prepare notify",
                                      "abort notify", "abort credit", "abort debit"});
  }
}

TEST_CASE("a vote that may be tried again is, until prepare_timeout is over") {
  Stage stage;
  Coordinator coordinator = stage.coordinator({.prepare_timeout = 10s, .first_pause = 0ms});
  int tries = 0;
  stage.answers["prepare debit"] = [&](const ParticipantCall& call) -> Result<Bytes> {
    CHECK(call.attempt == static_cast<std::uint32_t>(++tries));
    stage.simulation.clock->advance(1s);
    if (tries < 5) return std::unexpected(work_retryable("not now"));
    return Bytes();
  };
  CHECK(value_of(coordinator.run("patient", three)).commits());
  CHECK(tries == 5);

  tries = -100;
  stage.answers["prepare debit"] = [&](const ParticipantCall&) -> Result<Bytes> {
    ++tries;
    stage.simulation.clock->advance(3s);
    return std::unexpected(work_retryable("never"));
  };
  const TransactionReport report = value_of(coordinator.run("hopeless", three));
  CHECK(report.state == TransactionState::aborted);
  CHECK(report.reason == "debit voted no: never");
  CHECK(tries == -96);  // at 0, 3, 6 and 9 seconds
}

TEST_CASE("a yes that comes after prepare_timeout is a no") {
  Stage stage;
  Coordinator coordinator = stage.coordinator({.prepare_timeout = 10s});
  stage.answers["prepare credit"] = [&](const ParticipantCall&) -> Result<Bytes> {
    stage.simulation.clock->advance(10s);
    return Bytes("yes");
  };
  const TransactionReport report = value_of(coordinator.run("t", three));
  CHECK(report.state == TransactionState::aborted);
  CHECK(report.reason == "the vote of credit came after prepare_timeout, 10000 ms");
  CHECK(stage.take_calls() ==
        Calls{"prepare debit", "prepare credit", "abort credit", "abort debit"});
}

TEST_CASE("a commit that fails is called again until it succeeds") {
  Stage stage;
  // So long that it is not over before, however fast the time goes below.
  Coordinator coordinator =
      stage.coordinator({.prepare_timeout = 10000h, .settle_timeout = 10000h});
  int tries = 0;
  stage.answers["commit debit"] = [&](const ParticipantCall&) -> Result<Bytes> {
    if (++tries < 4) return std::unexpected(work_failed("down", "being serviced"));
    return Bytes();
  };
  std::thread time;
  const TransactionReport report = value_of([&] {
    std::atomic<bool> over = false;
    time = std::thread([&] {
      while (!over) {
        stage.simulation.clock->advance(1ms);
        std::this_thread::yield();
      }
    });
    auto ran = coordinator.run("t", three);
    over = true;
    time.join();
    return ran;
  }());
  CHECK(report.state == TransactionState::committed);
  CHECK(report.participants[0].failures == 3);
  CHECK(report.participants[0].trouble == "down: being serviced");
  // The others are not kept waiting, and are not called again.
  CHECK(stage.take_calls() == Calls{"prepare debit", "prepare credit", "prepare notify",
                                    "commit debit", "commit credit", "commit notify",
                                    "commit debit", "commit debit", "commit debit"});
}

TEST_CASE("who does not acknowledge stays pending, can be read, and is recovered") {
  Stage stage;
  Coordinator coordinator = stage.coordinator({.settle_timeout = 0ms});
  stage.fails("commit credit", work_retryable("being serviced"));
  const TransactionReport report = value_of(coordinator.run("t", three));
  CHECK(report.state == TransactionState::committing);
  CHECK(report.commits());
  CHECK_FALSE(report.finished());
  CHECK(report.pending() == std::vector<std::string>{"credit"});
  const TransactionReport read = *value_of(coordinator.report("t"));
  CHECK(read.state == TransactionState::committing);
  CHECK(read.pending() == report.pending());
  CHECK(read.participants[1].failures == 1);
  CHECK(read.participants[1].trouble == "being serviced");
  CHECK(read.participants[0].state == ParticipantState::settled);

  stage.take_calls();
  CHECK(value_of(coordinator.recover("t")).pending().size() == 1);
  CHECK(value_of(coordinator.run("t", three)).pending().size() == 1);
  CHECK(stage.take_calls() == Calls{"commit credit", "commit credit"});
  stage.answers.clear();
  const RecoveryReport recovered = value_of(coordinator.recover_all());
  REQUIRE(recovered.finished.size() == 1);
  CHECK(recovered.finished[0].state == TransactionState::committed);
  CHECK(recovered.finished[0].token > report.token);
  CHECK(recovered.pending.empty());
  CHECK(stage.take_calls() == Calls{"commit credit"});
  CHECK(stage.details.back().vote == "vote of credit");
  CHECK(value_of(coordinator.recover_all()).finished.empty());
}

TEST_CASE("without a decision recovery aborts, with one it commits") {
  struct Case {
    const char* what;
    const char* participant;
    bool before;
    Calls recovery;
    bool commits;
  };
  const Calls aborts = {"abort notify", "abort credit", "abort debit"};
  const std::vector<Case> cases = {
      {"plan", "", false, aborts, false},
      {"prepare", "credit", true, aborts, false},
      {"vote", "notify", false, aborts, false},
      {"decision", "", true, aborts, false},
      {"decision", "", false, {"commit debit", "commit credit", "commit notify"}, true},
      {"settled", "credit", true, {"commit credit", "commit notify"}, true},
      {"settled", "credit", false, {"commit notify"}, true},
      {"outcome", "", true, {}, true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    CAPTURE(c.before);
    Stage stage;
    {
      Coordinator crashing =
          stage.coordinator({.observer = crash_at(c.what, c.participant, c.before)});
      CHECK_THROWS_AS((void)crashing.run("t", three), Crash);
    }
    stage.take_calls();
    Coordinator coordinator = stage.coordinator();
    const TransactionReport report = value_of(coordinator.recover("t"));
    CHECK(report.commits() == c.commits);
    CHECK(report.finished());
    CHECK(stage.take_calls() == c.recovery);
    if (!c.commits) CHECK(report.reason == "its coordinator ended before it was decided");
    const TransactionReport again = value_of(coordinator.run("t", three));
    CHECK(again.replayed);
    CHECK(again.state == report.state);
    CHECK(stage.take_calls().empty());
  }
}

TEST_CASE("who asks again with the key of a transaction that crashed finishes it first") {
  Stage stage;
  {
    Coordinator crashing = stage.coordinator({.observer = crash_at("decision", "", false)});
    CHECK_THROWS_AS((void)crashing.run("decided", three), Crash);
  }
  {
    Coordinator crashing = stage.coordinator(
        {.self_recovery = SelfRecovery::none, .observer = crash_at("decision", "", true)});
    CHECK_THROWS_AS((void)crashing.run("open", three), Crash);
  }
  Coordinator coordinator = stage.coordinator();
  const auto decided = value_of(coordinator.run("decided", three));
  CHECK(decided.state == TransactionState::committed);
  CHECK_FALSE(decided.replayed);
  CHECK(value_of(coordinator.run("open", three)).state == TransactionState::aborted);
}

TEST_CASE("steps of a saga that ran are compensated in reverse, and no others") {
  Stage stage;
  Coordinator coordinator = stage.coordinator({}, true);
  CHECK(value_of(coordinator.run("good", three)).state == TransactionState::committed);
  CHECK(stage.take_calls() == Calls{"prepare debit", "prepare credit", "prepare notify"});

  stage.fails("prepare notify", work_failed("no", "no"));
  const TransactionReport report = value_of(coordinator.run("bad", three));
  CHECK(report.state == TransactionState::aborted);
  CHECK(report.participants[0].state == ParticipantState::settled);
  CHECK(stage.take_calls() ==
        Calls{"prepare debit", "prepare credit", "prepare notify", "abort credit", "abort debit"});
  CHECK(stage.details.back().vote == "vote of debit");

  // A crash at the second step: it may have run, the third cannot have.
  for (const bool before : {true, false}) {
    Coordinator crashing =
        stage.coordinator({.observer = crash_at("prepare", "credit", before)}, true);
    const std::string key = before ? "before" : "after";
    CHECK_THROWS_AS((void)crashing.run(key, three), Crash);
    stage.take_calls();
    CHECK(value_of(coordinator.recover(key)).state == TransactionState::aborted);
    CHECK(stage.take_calls() == Calls{"abort credit", "abort debit"});
  }
}

TEST_CASE("a zombie is fenced: what it does after another took over changes nothing") {
  Stage stage;
  Coordinator zombie =
      stage.coordinator({.lease = 1min, .heartbeat = false, .prepare_timeout = 1h});
  Coordinator other = stage.coordinator();
  std::vector<TransactionReport> others;
  const auto taken_over = [&](const ParticipantCall& call) -> Result<Bytes> {
    stage.answers.clear();
    stage.simulation.clock->advance(2min);
    others.push_back(value_of(other.recover(call.transaction)));
    return Bytes("late");
  };
  SUBCASE("between the votes: the other aborts") {
    stage.answers["prepare credit"] = taken_over;
    CHECK(error_of(zombie.run("t", three)) == ErrorCode::fenced);
    CHECK(stage.take_calls() ==
          Calls{"prepare debit", "prepare credit", "abort notify", "abort credit", "abort debit"});
    CHECK(value_of(other.run("t", three)).state == TransactionState::aborted);
  }
  SUBCASE("after the decision: the other commits") {
    stage.answers["commit debit"] = taken_over;
    CHECK(error_of(zombie.run("t", three)) == ErrorCode::fenced);
    CHECK(stage.take_calls() == Calls{"prepare debit", "prepare credit", "prepare notify",
                                      "commit debit", "commit debit", "commit credit",
                                      "commit notify"});
    CHECK(value_of(other.run("t", three)).state == TransactionState::committed);
  }
  REQUIRE(others.size() == 1);
  CHECK(others[0].token > stage.details[0].token);
  CHECK(stage.details.back().token == others[0].token);
  const TransactionReport report = *value_of(other.report("t"));
  CHECK(report.token == others[0].token);
  for (const ParticipantReport& participant : report.participants) {
    CHECK(participant.vote != "late");
  }
}

TEST_CASE("while somebody drives it, recovery keeps away, and who asks waits for the answer") {
  Stage stage;
  Coordinator coordinator = stage.coordinator({.wait = 0ms});
  stage.answers["prepare credit"] = [&](const ParticipantCall&) -> Result<Bytes> {
    CHECK(error_of(coordinator.recover("t")) == ErrorCode::busy);
    CHECK(error_of(coordinator.run("t", three)) == ErrorCode::busy);
    const RecoveryReport all = value_of(coordinator.recover_all());
    CHECK(all.busy == std::vector<Key>{"t"});
    CHECK(all.finished.empty());
    CHECK(value_of(coordinator.report("t"))->state == TransactionState::preparing);
    return Bytes();
  };
  CHECK(value_of(coordinator.run("t", three)).commits());

  Coordinator patient = stage.coordinator();
  TransactionReport second;
  std::thread waiting;
  stage.answers["prepare debit"] = [&](const ParticipantCall&) -> Result<Bytes> {
    waiting = std::thread([&] { second = value_of(patient.run("u", three)); });
    return Bytes();
  };
  stage.answers.erase("prepare credit");
  const TransactionReport first = value_of(patient.run("u", three));
  waiting.join();
  CHECK_FALSE(first.replayed);
  CHECK(second.replayed);
  CHECK(second.state == TransactionState::committed);
}

TEST_CASE("who waits for somebody else gives up when its stop token says so") {
  Stage stage;
  std::stop_source stop;
  Coordinator driving = stage.coordinator();
  Coordinator waiting = stage.coordinator({.wait = forever, .stop = stop.get_token()});
  std::optional<Result<TransactionReport>> answer;
  stage.answers["prepare debit"] = [&](const ParticipantCall&) -> Result<Bytes> {
    // While it is under way here, the other one waits for it, however long, until it is told to
    // stop: before it begins to wait, or in the middle of it.
    std::jthread asking([&] { answer = waiting.run("t", three); });
    stop.request_stop();
    return "yes";
  };
  CHECK(value_of(driving.run("t", three)).state == TransactionState::committed);
  REQUIRE(answer);
  CHECK(error_of(*answer) == ErrorCode::cancelled);
  // What is finished answers all the same.
  CHECK(value_of(waiting.run("t", three)).replayed);
}

TEST_CASE("a stop token ends the pauses between tries, and what is decided stays so") {
  Stage stage;
  std::stop_source stop;
  Coordinator coordinator = stage.coordinator({.settle_timeout = forever,
                                               .stop = stop.get_token(),
                                               .first_pause = forever,
                                               .longest_pause = forever});
  stage.answers["commit notify"] = [&](const ParticipantCall&) -> Result<Bytes> {
    stop.request_stop();
    return std::unexpected(work_retryable("down"));
  };
  const TransactionReport report = value_of(coordinator.run("t", three));
  CHECK(report.state == TransactionState::committing);
  CHECK(report.pending() == Calls{"notify"});
  stage.answers.clear();
  CHECK(value_of(stage.coordinator().recover("t")).state == TransactionState::committed);

  stage.answers["prepare credit"] = [&](const ParticipantCall&) -> Result<Bytes> {
    return std::unexpected(work_retryable("later"));
  };
  CHECK(value_of(coordinator.run("u", three)).state == TransactionState::aborted);
}

TEST_CASE("what a participant throws reaches the caller, and everybody knows what happened") {
  Stage stage;
  Coordinator coordinator = stage.coordinator();
  const auto throws = [](const ParticipantCall&) -> Result<Bytes> {
    throw std::runtime_error("theirs");
  };
  stage.answers["prepare credit"] = throws;
  CHECK_THROWS_WITH((void)coordinator.run("t", three), "theirs");
  CHECK(stage.take_calls() ==
        Calls{"prepare debit", "prepare credit", "abort credit", "abort debit"});
  CHECK(value_of(coordinator.run("t", three)).reason == "credit voted no: it threw an exception");

  stage.answers.clear();
  stage.answers["commit debit"] = throws;
  CHECK_THROWS_WITH((void)coordinator.run("u", three), "theirs");
  CHECK(value_of(coordinator.report("u"))->pending() == std::vector<std::string>{"debit"});
  CHECK_THROWS_WITH((void)coordinator.recover("u"), "theirs");
  stage.answers.clear();
  CHECK(value_of(coordinator.recover("u")).state == TransactionState::committed);
}

TEST_CASE("recovery does nothing while a participant is not registered, or is of another kind") {
  Stage stage;
  {
    Coordinator crashing = stage.coordinator({.observer = crash_at("decision", "", false)});
    CHECK_THROWS_AS((void)crashing.run("t", three), Crash);
  }
  {
    Coordinator crashing = stage.coordinator(
        {.self_recovery = SelfRecovery::none, .observer = crash_at("decision", "", false)});
    CHECK_THROWS_AS((void)crashing.run("u", {{"debit", ""}}), Crash);
  }
  stage.take_calls();
  const Token before = value_of(stage.store.find("t"))->record.token;
  Coordinator coordinator(stage.store);
  value_of(coordinator.add(stage.participant("debit")));
  value_of(coordinator.add(stage.participant("credit")));
  const auto unknown = coordinator.recover("t");
  CHECK(error_of(unknown) == ErrorCode::invalid_argument);
  CHECK(unknown.error().message.contains("notify"));
  value_of(coordinator.add(stage.participant("notify", true)));
  const auto other_kind = coordinator.recover("t");
  CHECK(error_of(other_kind) == ErrorCode::invalid_argument);
  CHECK(other_kind.error().message.contains("saga"));
  CHECK(stage.take_calls().empty());
  CHECK(value_of(stage.store.find("t"))->record.token == before);

  // Which does not keep others.
  const RecoveryReport all = value_of(coordinator.recover_all());
  REQUIRE(all.failed.size() == 1);
  CHECK(all.failed[0].first == Key("t"));
  REQUIRE(all.finished.size() == 1);
  CHECK(all.finished[0].key == Key("u"));
  CHECK(stage.take_calls() == Calls{"commit debit"});
}

TEST_CASE("one key, one transaction") {
  Stage stage;
  Coordinator coordinator = stage.coordinator();
  value_of(coordinator.run("t", three));
  const std::vector<Part> other = {{"debit", "a 2"}, {"credit", "b 1"}, {"notify", ""}};
  CHECK(error_of(coordinator.run("t", other)) == ErrorCode::mismatch);
  value_of(stage.store.execute("plain", [] { return 1; }));
  CHECK(error_of(coordinator.run("plain", three)) == ErrorCode::mismatch);
  CHECK(error_of(coordinator.recover("plain")) == ErrorCode::not_found);
  CHECK(error_of(coordinator.recover("nothing")) == ErrorCode::not_found);
  CHECK_FALSE(value_of(coordinator.report("plain")));
  CHECK_FALSE(value_of(coordinator.report("nothing")));
  // What others hold is left alone by recovery.
  reserved(stage.store.reserve("theirs", {.on_abandon = OnAbandon::rerun}));
  stage.simulation.clock->advance(1h);
  const RecoveryReport all = value_of(coordinator.recover_all());
  CHECK(all.finished.size() + all.pending.size() + all.busy.size() + all.failed.size() == 0);
  // Who takes one over by its key gets it back as it was, if it is none.
  stage.take_calls();
  CHECK(error_of(coordinator.run("theirs", three)) == ErrorCode::mismatch);
  CHECK(value_of(stage.store.find("theirs"))->record.status == Status::released);
  CHECK(stage.take_calls().empty());
}

TEST_CASE("recover_all finds those under a prefix") {
  Stage stage;
  for (const char* tenant : {"a", "b"}) {
    Coordinator crashing = stage.coordinator(
        {.self_recovery = SelfRecovery::none, .observer = crash_at("decision", "", false)});
    CHECK_THROWS_AS((void)crashing.run(Key(tenant, "transfer", "1"), three), Crash);
  }
  Coordinator coordinator = stage.coordinator();
  CHECK(value_of(coordinator.recover_all("a/")).finished.size() == 1);
  CHECK(value_of(coordinator.recover_all("a/")).finished.empty());
  std::vector<std::string> seen;
  value_of(scan_transactions(stage.store, [&](const TransactionReport& report) {
    seen.push_back(report.key.to_string() + " " + std::string(to_string(report.state)));
    return true;
  }));
  CHECK(seen == std::vector<std::string>{"a/transfer/1 committed", "b/transfer/1 committing"});
  CHECK(value_of(coordinator.recover_all()).finished.size() == 1);
}

TEST_CASE("bad input is refused before anything is changed") {
  Stage stage;
  Coordinator coordinator = stage.coordinator();
  CHECK(error_of(coordinator.add(stage.participant("debit"))) == ErrorCode::invalid_argument);
  for (const char* name : {"", "a-b", "a:b", "a b", "\xc3\xa4"}) {
    CHECK(error_of(coordinator.add(stage.participant(name))) == ErrorCode::invalid_argument);
  }
  CHECK(error_of(coordinator.add(stage.participant(std::string(65, 'x')))) ==
        ErrorCode::invalid_argument);
  value_of(coordinator.add(stage.participant(std::string(64, 'x'))));
  for (int missing = 0; missing < 3; ++missing) {
    Participant participant = stage.participant("other");
    if (missing == 0) participant.prepare = {};
    if (missing == 1) participant.commit = {};
    if (missing == 2) participant.abort = {};
    CHECK(error_of(coordinator.add(participant)) == ErrorCode::invalid_argument);
  }
  CHECK(error_of(coordinator.add(store_participant("other", stage.store, {}))) ==
        ErrorCode::invalid_argument);

  CHECK(error_of(coordinator.run("t", std::span<const Part>())) == ErrorCode::invalid_argument);
  CHECK(error_of(coordinator.run("", three)) == ErrorCode::invalid_argument);
  CHECK(error_of(coordinator.run("t", {{"debit", ""}, {"debit", ""}})) ==
        ErrorCode::invalid_argument);
  CHECK(error_of(coordinator.run("t", {{"stranger", ""}})) == ErrorCode::invalid_argument);
  CHECK(error_of(coordinator.run("t", std::vector<Part>(1001))) == ErrorCode::limit_exceeded);
  // "-debit:prepare" has 14 bytes.
  CHECK(error_of(coordinator.run(std::string(1011, 'i'), {{"debit", ""}})) ==
        ErrorCode::limit_exceeded);
  CHECK(value_of(coordinator.run(std::string(1010, 'i'), {{"debit", ""}})).commits());
  CHECK(error_of(coordinator.run("t", {{"debit", Bytes(17 << 20, 'x')}})) ==
        ErrorCode::limit_exceeded);
  for (CoordinatorOptions bad :
       {CoordinatorOptions{.lease = 0ms}, CoordinatorOptions{.retention = -1ms},
        CoordinatorOptions{.prepare_timeout = -1ms}, CoordinatorOptions{.pause_factor = 0.5}}) {
    Coordinator with_bad(stage.store, bad);
    CHECK(error_of(with_bad.recover_all()) == ErrorCode::invalid_argument);
    CHECK(error_of(with_bad.run("t", three)) == ErrorCode::invalid_argument);
  }
  CHECK_FALSE(value_of(stage.store.find("t")));
}

TEST_CASE("a vote too large to keep is a no") {
  Simulation simulation;
  Stage stage;
  stage.answers["prepare credit"] = [](const ParticipantCall&) -> Result<Bytes> {
    return Bytes(17 << 20, 'x');
  };
  Coordinator coordinator = stage.coordinator();
  CHECK(value_of(coordinator.run("t", three)).state == TransactionState::aborted);
  CHECK(stage.take_calls() ==
        Calls{"prepare debit", "prepare credit", "abort credit", "abort debit"});
}

TEST_CASE("ended at any moment, and again while recovering: all commit or all abort") {
  for (const bool refuses : {false, true}) {
    for (int first = 0;; ++first) {
      Stage stage;
      if (refuses) stage.fails("prepare notify", work_unknown("no"));
      bool ran = true;
      try {
        value_of(stage.coordinator({.observer = crash_at(first)}).run("t", three));
      } catch (const Crash&) {
        ran = false;
      }
      if (ran) break;
      for (int second = 0;; ++second) {
        try {
          value_of(stage.coordinator({.observer = crash_at(second)}).recover_all());
          break;
        } catch (const Crash&) {
        }
      }
      CAPTURE(first);
      std::map<std::string, int> calls;
      for (const std::string& call : stage.calls) ++calls[call.substr(0, call.find(' '))];
      const auto report = value_of(stage.coordinator().report("t"));
      if (!report) continue;  // before the plan was there
      CHECK(report->finished());
      CHECK((calls["commit"] == 0 || calls["abort"] == 0));
      if (report->commits()) {
        CHECK_FALSE(refuses);
        CHECK(calls["commit"] >= 3);
      } else if (calls["prepare"] != 0) {
        CHECK(calls["abort"] >= calls["prepare"]);
      }
    }
  }
}
