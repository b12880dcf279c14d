// verify() finds each kind of disagreement between the rows of a store.
#include <doctest/doctest.h>

#include <functional>

#include "model/checkpoint_codec.h"
#include "model/event_codec.h"
#include "model/history_codec.h"
#include "model/key_codec.h"
#include "model/meta.h"
#include "model/record_codec.h"
#include "model/result_codec.h"
#include "store/raw_store.h"
#include "store/sample_store.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

const Key done("tenant", "after", "done 0");
const Key working("tenant", "after", "working");
const Key doubtful("tenant", "after", "in doubt");
const Bytes done_row = model::encode_key(done);

struct Tampered {
  Tampered() { make_sample(path); }

  void change_record(const Key& key, const std::function<void(Record&)>& change) {
    RawStore raw(path);
    const Bytes row = model::encode_key(key);
    Record record = value_of(model::decode_record(raw.get(Table::keys, row)));
    change(record);
    raw.put(Table::keys, row, model::encode_record(record));
  }
  void change_result(const std::function<void(model::StoredResult&)>& change) {
    RawStore raw(path);
    auto result = value_of(model::decode_result(raw.get(Table::results, done_row)));
    change(result);
    raw.put(Table::results, done_row, model::encode_result(result));
  }
  // The newest history row of a key.
  [[nodiscard]] std::uint64_t newest_of(const Key& key) const {
    RawStore raw(path);
    return value_of(model::decode_record(raw.get(Table::keys, model::encode_key(key))))
        .last_history;
  }
  void change_history_at(std::uint64_t sequence, const std::function<void(HistoryEntry&)>& change) {
    RawStore raw(path);
    const Bytes row = model::encode_sequence(sequence);
    HistoryEntry entry = value_of(model::decode_history(sequence, raw.get(Table::history, row)));
    change(entry);
    raw.put(Table::history, row, model::encode_history(entry, Time(forever)));
  }
  // The newest history row of `done`.
  void change_history(const std::function<void(HistoryEntry&)>& change) {
    change_history_at(newest_of(done), change);
  }
  // The row before that, of the same key.
  [[nodiscard]] std::uint64_t reserved_row() {
    std::uint64_t previous = 0;
    change_history([&](HistoryEntry& entry) { previous = entry.previous; });
    REQUIRE(previous != 0);
    return previous;
  }
  // True if a problem is found, and one of them says `text`.
  [[nodiscard]] bool finds(const std::string& text) const {
    Store store = value_of(Store::open(path, {.read_only = true}));
    const VerifyReport report = value_of(store.verify());
    bool found = false;
    for (const std::string& problem : report.problems) {
      INFO(problem);
      found |= problem.find(text) != std::string::npos;
    }
    CHECK(report.problem_count == report.problems.size());
    if (!found && !report.problems.empty()) MESSAGE(report.problems.front());
    return found;
  }

  TemporaryDirectory directory{quick_place()};
  std::string path = directory.file("store");
};

}  // namespace

TEST_CASE_FIXTURE(Tampered, "a store nobody has tampered with is well, before and after") {
  {
    Store store = value_of(Store::open(path));
    const VerifyReport report = value_of(store.verify());
    CHECK(report.problems.empty());
    CHECK(report.rows > 100);
    CHECK(report.bytes > 1000);
  }
  {
    const RawStore raw(path);
  }
  CHECK_FALSE(finds(""));
}

TEST_CASE_FIXTURE(Tampered, "a record without its outcome") {
  RawStore(path).erase(Table::results, done_row);
  CHECK(finds(done.to_string()));
}

TEST_CASE_FIXTURE(Tampered, "an outcome without a record") {
  RawStore(path).put(Table::results, model::encode_key("nobody"),
                     model::encode_result({.token = {1}, .outcome = Outcome::success("value")}));
  CHECK(finds("nobody"));
}

TEST_CASE_FIXTURE(Tampered, "an outcome beside a record that should have none") {
  const Bytes row = model::encode_key(working);
  RawStore(path).put(Table::results, row,
                     model::encode_result({.token = {1}, .outcome = Outcome::success("value")}));
  CHECK(finds(working.to_string()));
}

TEST_CASE_FIXTURE(Tampered, "an outcome of an older token") {
  change_result([](model::StoredResult& result) { --result.token.value; });
  CHECK(finds(done.to_string()));
}

TEST_CASE_FIXTURE(Tampered, "record and outcome that end at different times") {
  change_result([](model::StoredResult& result) { result.expires_at += 1ms; });
  CHECK(finds("different retentions"));
}

TEST_CASE_FIXTURE(Tampered, "an outcome that is not the one the record tells of") {
  change_result([](model::StoredResult& result) { result.outcome.value = "another"; });
  CHECK(finds("is not the one that its record tells of"));
}

TEST_CASE_FIXTURE(Tampered, "a record whose digest is not its outcome's") {
  change_record(done, [](Record& record) { record.outcome = Fingerprint::of("another"); });
  CHECK(finds("is not the one that its record tells of"));
}

TEST_CASE_FIXTURE(Tampered, "history that tells another status, token, attempt or key") {
  SUBCASE("status") {
    change_history([](HistoryEntry& entry) { entry.status = Status::failed; });
  }
  SUBCASE("token") {
    change_history([](HistoryEntry& entry) { --entry.token.value; });
  }
  SUBCASE("attempt") {
    change_history([](HistoryEntry& entry) { ++entry.attempt; });
  }
  SUBCASE("key") {
    change_history([](HistoryEntry& entry) { entry.key = "another"; });
  }
  CHECK(finds("history row"));
}

TEST_CASE_FIXTURE(Tampered, "a record that names an older history row than there is") {
  change_record(done, [](Record& record) { --record.last_history; });
  CHECK(finds("is newer"));
}

TEST_CASE_FIXTURE(Tampered, "history that came before itself") {
  change_history([](HistoryEntry& entry) { entry.previous = entry.sequence; });
  CHECK(finds("came before it"));
}

TEST_CASE_FIXTURE(
    Tampered, "history that says that something happened, and a status that it does not leave") {
  SUBCASE("reserved") {
    change_history([](HistoryEntry& entry) { entry.what = What::reserved; });
  }
  SUBCASE("released") {
    change_history([](HistoryEntry& entry) { entry.what = What::released; });
  }
  SUBCASE("in doubt") {
    change_history([](HistoryEntry& entry) { entry.what = What::in_doubt; });
  }
  SUBCASE("in a row that is not the newest") {
    change_history_at(reserved_row(), [](HistoryEntry& entry) { entry.status = Status::released; });
  }
  CHECK(finds("and that it is"));
}

TEST_CASE_FIXTURE(Tampered, "history that says that a key with a record was removed") {
  change_history([](HistoryEntry& entry) { entry.what = What::removed; });
  CHECK(finds("removed completed"));
}

TEST_CASE_FIXTURE(Tampered, "history that tells another end of the retention") {
  change_history([](HistoryEntry& entry) { entry.deadline += 1ms; });
  CHECK(finds("the retention of key " + done.to_string()));
}

TEST_CASE_FIXTURE(Tampered, "history that tells of two ends under one token") {
  const auto end_with = [this](What what, Status status) {
    change_history_at(reserved_row(), [&](HistoryEntry& entry) {
      entry.what = what;
      entry.status = status;
    });
  };
  SUBCASE("the same twice") {
    end_with(What::completed, Status::completed);
  }
  SUBCASE("released before") {
    end_with(What::released, Status::released);
  }
  SUBCASE("in doubt before") {
    end_with(What::in_doubt, Status::in_doubt);
  }
  CHECK(finds("twice under token"));
}

TEST_CASE_FIXTURE(Tampered, "history that names a row of another key as the one before") {
  const std::uint64_t other = newest_of(Key("tenant", "swept", "done 0"));
  change_history([&](HistoryEntry& entry) { entry.previous = other; });
  CHECK(finds("of key tenant/swept/done%200 came before"));
}

TEST_CASE_FIXTURE(Tampered, "history that names a row which is not there as the one before") {
  const std::uint64_t reserved = reserved_row();
  RawStore(path).erase(Table::history, model::encode_sequence(reserved));
  CHECK(finds("came before it, and there is none"));
}

TEST_CASE_FIXTURE(Tampered, "a record that names a history row which is not there") {
  const std::uint64_t newest = newest_of(done);
  RawStore(path).erase(Table::history, model::encode_sequence(newest));
  CHECK(finds("key " + done.to_string() + " names history row " + std::to_string(newest)));
}

TEST_CASE_FIXTURE(Tampered, "history in which time runs back") {
  change_history([](HistoryEntry& entry) { entry.time -= 1h; });
  CHECK(finds("which came before it, from"));
}

TEST_CASE_FIXTURE(Tampered, "history that names another holder than the record") {
  SUBCASE("nobody") {
    change_history([](HistoryEntry& entry) { entry.holder = {}; });
  }
  SUBCASE("another process") {
    change_history([](HistoryEntry& entry) { ++entry.holder.pid; });
  }
  SUBCASE("one of another boot") {
    change_history([](HistoryEntry& entry) { ++entry.holder.boot[0]; });
  }
  SUBCASE("one that was there long before") {
    change_history([](HistoryEntry& entry) {
      --entry.holder.pid;
      entry.holder.start_time -= 200;
    });
  }
  CHECK(finds("has the holder"));
}

TEST_CASE_FIXTURE(Tampered,
                  "`once run` of version 0.1.0, which did not name the guardian, is no problem") {
  change_history([](HistoryEntry& entry) {
    --entry.holder.pid;
    entry.holder.start_time -= 5;
  });
  CHECK_FALSE(finds(""));
}

TEST_CASE_FIXTURE(Tampered, "a record that is gone, and history that knows it as live") {
  for (const Key& key : {working, doubtful}) {
    RawStore(path).erase(Table::keys, model::encode_key(key));
    CHECK(finds(key.to_string() + " has no record"));
  }
}

TEST_CASE_FIXTURE(Tampered, "numbers beyond the openings of the store") {
  const std::uint64_t beyond = std::uint64_t{1000} << 24;
  SUBCASE("a token") {
    change_record(working, [&](Record& record) { record.token = record.origin = {beyond}; });
  }
  SUBCASE("an event") {
    RawStore(path).put(Table::outbox, model::encode_sequence(beyond), model::encode_event({}));
  }
  SUBCASE("a history row") {
    RawStore(path).put(Table::history, model::encode_sequence(beyond),
                       model::encode_history({.key = "key", .what = What::removed}, Time(forever)));
  }
  SUBCASE("a checkpoint") {
    RawStore(path).put(Table::checkpoints, model::encode_checkpoint_key(working, "step"),
                       model::encode_checkpoint({.name = "step", .data = "", .sequence = beyond}));
  }
  CHECK(finds("times only"));
}

TEST_CASE_FIXTURE(Tampered, "a checkpoint with a token that its record never had") {
  std::uint64_t token = 0;
  {
    Store store = value_of(Store::open(path, {.read_only = true}));
    token = value_of(store.find(working))->record.token.value;
  }
  RawStore(path).put(Table::checkpoints, model::encode_checkpoint_key(working, "step"),
                     model::encode_checkpoint({.name = "step", .data = "", .token = {token + 1}}));
  CHECK(finds("and the record only"));
}

TEST_CASE_FIXTURE(Tampered, "a record whose status and fields disagree") {
  SUBCASE("finished without an outcome's digest") {
    change_record(done, [](Record& record) { record.outcome.reset(); });
    CHECK(finds("lacks an outcome's digest"));
  }
  SUBCASE("in progress with one") {
    change_record(working, [](Record& record) { record.outcome = Fingerprint::of("x"); });
    CHECK(finds("has an outcome's digest"));
  }
  SUBCASE("finished without an end of retention") {
    change_record(done, [](Record& record) { record.expires_at = Time{}; });
    CHECK(finds("retention"));
  }
  SUBCASE("a token before its first one") {
    change_record(working, [](Record& record) { ++record.origin.value; });
    CHECK(finds("began with"));
  }
}

TEST_CASE_FIXTURE(Tampered, "an event that the outbox's cursor hides") {
  const std::uint64_t beyond = std::uint64_t{2} << 24;  // the sample was opened twice
  RawStore(path).put(Table::all, Bytes(model::outbox_from_row), model::encode_u64(beyond));
  CHECK(finds("no relay would find it"));
  const std::uint64_t never = std::uint64_t{77} << 24;
  RawStore(path).put(Table::all, Bytes(model::outbox_from_row), model::encode_u64(never));
  CHECK(finds("the outbox's cursor"));
}

TEST_CASE_FIXTURE(Tampered, "rows that do not decode, in every table, named and told apart") {
  const std::pair<Table, Bytes> rows[] = {
      {Table::keys, done_row},
      {Table::results, done_row},
      {Table::checkpoints, model::encode_checkpoint_key(working, "first step")},
      {Table::outbox, model::encode_sequence(1)},
      {Table::history, model::encode_sequence(1)}};
  for (const auto& [table, key] : rows) {
    CAPTURE(to_string(table));
    RawStore(path).put(table, key, "no row");
    CHECK(finds("reading table " + std::string(to_string(table))));
  }
  RawStore(path).put(Table::keys, "no key", "no row");
  CHECK(finds("no%20key"));
}
