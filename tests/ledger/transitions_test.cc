// Every request on every state: the table at the top of lib/ledger/transitions.h, as a table.
#include "ledger/transitions.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/saturating.h"
#include "support/simulated_processes.h"

using namespace once;
using namespace std::chrono_literals;

namespace {

const Time now(1'000'000s);
const Token held{10};
const Token other{9};
const Token fresh{20};
const Key key("acme", "charge", "42");
const Fingerprint question = Fingerprint::of("question");
const Outcome receipt = Outcome::success("receipt");

Record record_in(Status status) {
  Record record{.status = status,
                .token = held,
                .origin = Token{8},
                .attempt = 3,
                .created_at = now - 1h,
                .updated_at = now - 1min,
                .retention = 24h,
                .holder = testing::holder(5),
                .fingerprint = question,
                .last_history = 77};
  if (status == Status::in_progress) record.lease_until = now + 1min;
  if (is_finished(status)) record.expires_at = now + 1h;
  if (status == Status::completed) record.outcome = receipt.digest();
  if (status == Status::failed) record.outcome = Outcome::failure("no", "no").digest();
  return record;
}

struct State {
  const char* name;
  std::optional<Record> record;
  Liveness owner = Liveness::unknown;
};

Record with(Record record, auto change) {
  change(record);
  return record;
}

// All the states a key can be in.
std::vector<State> states() {
  const auto lapsed = [](Record& r) { r.lease_until = now; };
  const auto rerun = [](Record& r) { r.on_abandon = OnAbandon::rerun; };
  const auto both = [&](Record& r) {
    lapsed(r);
    rerun(r);
  };
  const auto expired = [](Record& r) { r.expires_at = now; };
  const Record running = record_in(Status::in_progress);
  return {
      {"absent", std::nullopt},
      {"completed, past retention", with(record_in(Status::completed), expired)},
      {"failed, past retention", with(record_in(Status::failed), expired)},
      {"released, past retention", with(record_in(Status::released), expired)},
      {"held, owner unknown", running},
      {"held, owner running", running, Liveness::running},
      {"lapsed, in_doubt", with(running, lapsed)},
      {"lapsed, in_doubt, owner running", with(running, lapsed), Liveness::running},
      {"owner dead, in_doubt", running, Liveness::dead},
      {"lapsed, rerun", with(running, both)},
      {"owner dead, rerun", with(running, rerun), Liveness::dead},
      {"completed", record_in(Status::completed)},
      {"failed", record_in(Status::failed)},
      {"in doubt", record_in(Status::in_doubt)},
      {"released", record_in(Status::released)},
  };
}

ledger::Moment at(const State& state) {
  return {.key = key,
          .record = state.record,
          .now = now,
          .fresh = fresh,
          .self = testing::holder(6),
          .owner = state.owner};
}

// A decision in a word: the error's name, or what was granted.
std::string word(const ledger::Decision<ledger::ReserveDecision>& decision) {
  if (!decision.answer) return std::string(to_string(decision.answer.error().code));
  if (std::holds_alternative<Provenance>(*decision.answer)) return "replay";
  return std::get<Reservation>(*decision.answer).taken_over ? "taken over" : "granted";
}

template <class T>
std::string done_word(const ledger::Decision<T>& decision) {
  if (decision.answer) return "done";
  return std::string(to_string(decision.answer.error().code));
}

bool in(const std::string& name, std::initializer_list<const char*> names) {
  for (const char* each : names) {
    if (name == each) return true;
  }
  return false;
}

bool is_running(const State& state) {
  return state.record && state.record->status == Status::in_progress;
}

}  // namespace

TEST_CASE("reserve, with the same question") {
  for (const State& state : states()) {
    CAPTURE(state.name);
    const auto decision = ledger::reserve(at(state), {.fingerprint = question});
    const std::string name = state.name;
    std::string expected = "granted";
    if (name.starts_with("held")) expected = "busy";
    if (name.starts_with("lapsed, in_doubt") || name == "owner dead, in_doubt") {
      expected = "in_doubt";
    }
    if (in(name, {"lapsed, rerun", "owner dead, rerun"})) expected = "taken over";
    if (in(name, {"completed", "failed"})) expected = "replay";
    if (name == "in doubt") expected = "in_doubt";
    CHECK(word(decision) == expected);
    // Only a grant, and the turning in doubt of what is abandoned, write anything.
    const bool turned = expected == "in_doubt" && name != "in doubt";
    const bool granted = expected == "granted" || expected == "taken over";
    CHECK(decision.change.empty() == !(granted || turned));
    if (turned) CHECK(decision.change.put->status == Status::in_doubt);
    if (turned) CHECK(decision.change.put->token == held);
  }
}

TEST_CASE("reserve, with another question: mismatch is told before busy, taking over and doubt") {
  for (const State& state : states()) {
    CAPTURE(state.name);
    const auto decision = ledger::reserve(at(state), {.fingerprint = Fingerprint::of("other")});
    const bool asked = is_running(state) || in(state.name, {"completed", "failed", "in doubt"});
    CHECK(word(decision) == (asked ? "mismatch" : "granted"));
    if (asked) CHECK(decision.change.empty());
  }
}

TEST_CASE("reserve without a fingerprint, or of a record without one, asks nothing") {
  const State state{"completed", record_in(Status::completed)};
  CHECK(word(ledger::reserve(at(state), {})) == "replay");
  const State bare{"completed",
                   with(record_in(Status::completed), [](Record& r) { r.fingerprint.reset(); })};
  CHECK(word(ledger::reserve(at(bare), {.fingerprint = question})) == "replay");
}

TEST_CASE("what a grant writes") {
  for (const State& state : states()) {
    const auto decision = ledger::reserve(
        at(state),
        {.lease = 5min, .retention = 2h, .fingerprint = question, .on_abandon = OnAbandon::rerun});
    if (!decision.answer || !std::holds_alternative<Reservation>(*decision.answer)) continue;
    CAPTURE(state.name);
    const Record& put = *decision.change.put;
    const bool goes_on = state.record && !is_expired(*state.record, now);
    CHECK(put.status == Status::in_progress);
    CHECK(put.token == fresh);
    CHECK(put.origin == (goes_on ? Token{8} : fresh));
    CHECK(put.attempt == (goes_on ? 4 : 1));
    CHECK(put.created_at == (goes_on ? now - 1h : now));
    CHECK(put.lease_until == now + 5min);
    CHECK(put.retention == 2h);
    CHECK(put.on_abandon == OnAbandon::rerun);
    CHECK(put.holder == testing::holder(6));
    CHECK_FALSE(put.outcome);
    // An outcome of an earlier life of the key does not stay behind.
    CHECK(decision.change.drop_outcome == (state.record && state.record->outcome.has_value()));
    const HistoryEntry& entry = *decision.change.history;
    CHECK(entry.what == (is_running(state) ? What::taken_over : What::reserved));
    CHECK(entry.token == fresh);
    CHECK(entry.previous == (state.record ? 77 : 0));
    CHECK(entry.deadline == now + 5min);
    CHECK(entry.holder == testing::holder(6));
  }
}

TEST_CASE("finish, renew, release, doubt and save_checkpoint, with the token and with another") {
  for (const State& state : states()) {
    CAPTURE(state.name);
    // The one who holds the token may go on, lapsed or not, as long as nobody took over.
    const std::string mine = is_running(state) ? "done" : "fenced";
    const Outcome outcome = Outcome::success("something else");
    CHECK(done_word(ledger::finish(at(state), held, outcome, {})) == mine);
    CHECK(done_word(ledger::renew(at(state), held, 1min)) == mine);
    CHECK(done_word(ledger::release(at(state), held, "why")) == mine);
    CHECK(done_word(ledger::doubt(at(state), held, "why")) == mine);
    const Checkpoint step{.name = "step", .data = "d", .token = {}};
    CHECK(done_word(ledger::save_checkpoint(at(state), held, step)) == mine);
    for (const Token token : {other, fresh, Token{}}) {
      const auto finish = ledger::finish(at(state), token, receipt, {});
      CHECK(done_word(finish) == "fenced");
      CHECK(finish.change.empty());
      CHECK(done_word(ledger::renew(at(state), token, 1min)) == "fenced");
      CHECK(done_word(ledger::release(at(state), token, "")) == "fenced");
      CHECK(done_word(ledger::doubt(at(state), token, "")) == "fenced");
      CHECK(done_word(ledger::save_checkpoint(at(state), token, step)) == "fenced");
    }
  }
}

TEST_CASE("the same completion sent twice is answered as done, and writes nothing") {
  const State state{"completed", record_in(Status::completed)};
  const auto again = ledger::finish(at(state), held, receipt, {});
  CHECK(done_word(again) == "done");
  CHECK(again.change.empty());
  CHECK(done_word(ledger::finish(at(state), other, receipt, {})) == "fenced");
}

TEST_CASE("what finishing writes") {
  const State state{"held", record_in(Status::in_progress)};
  const auto completed = ledger::finish(at(state), held, receipt, {});
  CHECK(completed.change.put->status == Status::completed);
  CHECK(completed.change.put->expires_at == now + 24h);  // as given when reserving
  CHECK(completed.change.put->outcome == receipt.digest());
  CHECK(completed.change.put->token == held);
  CHECK(completed.change.outcome == receipt);
  CHECK(completed.change.history->what == What::completed);
  const auto failed = ledger::finish(at(state), held, Outcome::failure("no", "not"), 5min);
  CHECK(failed.change.put->status == Status::failed);
  CHECK(failed.change.put->expires_at == now + 5min);
  CHECK(failed.change.history->what == What::failed);
  CHECK(ledger::finish(at(state), held, receipt, forever).change.put->expires_at == Time::max());
}

TEST_CASE("release keeps the attempts, doubt keeps the token, renew moves the deadline only") {
  const State state{"held", record_in(Status::in_progress)};
  const auto released = ledger::release(at(state), held, "why");
  CHECK(released.change.put->status == Status::released);
  CHECK(released.change.put->attempt == 3);
  CHECK(released.change.put->expires_at == now + 24h);
  CHECK(released.change.history->note == "why");
  const auto doubted = ledger::doubt(at(state), held, "why");
  CHECK(doubted.change.put->status == Status::in_doubt);
  CHECK(doubted.change.put->expires_at == Time{});
  const auto renewed = ledger::renew(at(state), held, 7min);
  CHECK(renewed.change.put->lease_until == now + 7min);
  CHECK_FALSE(renewed.change.history);
  CHECK(renewed.change.put->last_history == 77);
}

TEST_CASE("resolve moves what is in doubt or abandoned, and nothing else") {
  for (const State& state : states()) {
    CAPTURE(state.name);
    const std::string name = state.name;
    std::string expected = "done";
    if (name.starts_with("held")) expected = "busy";
    if (name == "absent" || name.ends_with("past retention")) expected = "not_found";
    if (in(name, {"completed", "failed", "released"})) expected = "conflict";
    for (const Verdict verdict : {Verdict::success, Verdict::failure, Verdict::rerun}) {
      const Outcome outcome = verdict == Verdict::failure ? Outcome::failure("no", "no") : receipt;
      const auto decision = ledger::resolve(at(state), verdict, outcome);
      CHECK(done_word(decision) == expected);
      if (expected != "done") {
        CHECK(decision.change.empty());
        continue;
      }
      const Status status = verdict == Verdict::success   ? Status::completed
                            : verdict == Verdict::failure ? Status::failed
                                                          : Status::released;
      CHECK(decision.change.put->status == status);
      CHECK(decision.change.put->token == fresh);  // the owner before is fenced
      CHECK(decision.change.put->expires_at == now + 24h);
      CHECK(decision.change.history->what == What::resolved);
      CHECK(decision.change.outcome.has_value() == (verdict != Verdict::rerun));
    }
  }
}

TEST_CASE("remove takes everything but what somebody is at work on") {
  for (const State& state : states()) {
    CAPTURE(state.name);
    const std::string name = state.name;
    const auto decision = ledger::remove(at(state));
    if (name.starts_with("held")) {
      CHECK(done_word(decision) == "busy");
    } else if (name == "absent" || name.ends_with("past retention")) {
      CHECK(decision.answer == false);
      CHECK(decision.change.empty());
    } else {
      CHECK(decision.answer == true);
      CHECK(decision.change.remove);
      CHECK_FALSE(decision.change.put);
      CHECK(decision.change.history->what == What::removed);
    }
  }
}

TEST_CASE("transact goes where reserve would be granted, and finishes in one step") {
  for (const State& state : states()) {
    CAPTURE(state.name);
    const ReserveOptions options{.retention = 3h, .fingerprint = question};
    const std::string reserve = word(ledger::reserve(at(state), options));
    const auto decision = ledger::transact(at(state), options, receipt, {});
    if (reserve == "granted" || reserve == "taken over") {
      REQUIRE(decision.answer);
      CHECK_FALSE(decision.answer->replayed);
      CHECK(decision.change.put->status == Status::completed);
      CHECK(decision.change.put->token == fresh);
      CHECK(decision.change.put->expires_at == now + 3h);
      CHECK(decision.change.apply_data);
      CHECK(decision.change.history->what == What::completed);
    } else if (reserve == "replay") {
      REQUIRE(decision.answer);
      CHECK(decision.answer->replayed);
      CHECK(decision.change.empty());
    } else {
      CHECK(done_word(decision) == reserve);
      CHECK_FALSE(decision.change.apply_data);
    }
  }
}

TEST_CASE("history names the record's holder for what the owner does, and who asked for the rest") {
  const Holder owner = testing::holder(7);
  const Holder asker = testing::holder(6);
  for (const State& state : states()) {
    CAPTURE(state.name);
    const auto reserved = ledger::reserve(at(state), {.fingerprint = question, .holder = owner});
    const bool granted = reserved.answer && std::holds_alternative<Reservation>(*reserved.answer);
    if (granted) {
      CHECK(reserved.change.put->holder == owner);
      CHECK(reserved.change.history->holder == owner);
    } else if (reserved.change.put) {  // turned in doubt
      CHECK(reserved.change.put->holder == testing::holder(5));
      CHECK(reserved.change.history->holder == asker);
    }
    const auto transacted = ledger::transact(at(state), {.holder = owner}, receipt, {});
    if (transacted.answer && !transacted.answer->replayed) {
      CHECK(transacted.change.put->holder == owner);
      CHECK(transacted.change.history->holder == owner);
    }
    const auto resolved = ledger::resolve(at(state), Verdict::rerun, receipt);
    if (resolved.answer) CHECK(resolved.change.history->holder == asker);
    const auto removed = ledger::remove(at(state));
    if (removed.change.history) CHECK(removed.change.history->holder == asker);
    if (!is_running(state)) continue;
    const Outcome failure = Outcome::failure("no", "no");
    for (const engine::Change& change : {ledger::finish(at(state), held, receipt, {}).change,
                                         ledger::finish(at(state), held, failure, {}).change,
                                         ledger::release(at(state), held, "why").change}) {
      CHECK(change.put->holder == testing::holder(5));
      CHECK(change.history->holder == testing::holder(5));
    }
    CHECK(ledger::doubt(at(state), held, "why").change.history->holder == asker);
  }
}

TEST_CASE("messages name the key and what to do") {
  for (const State& state : states()) {
    const auto decision = ledger::reserve(at(state), {.fingerprint = Fingerprint::of("x")});
    if (decision.answer) continue;
    CAPTURE(decision.answer.error().message);
    CHECK(decision.answer.error().message.find("acme/charge/42") != std::string::npos);
  }
}

TEST_CASE("times beyond all times are for ever, and do not overflow") {
  CHECK(after(now, forever) == Time::max());
  CHECK(after(Time::max() - 1ms, 2ms) == Time::max());
  CHECK(after(now, Duration(-5)) == now);
}
