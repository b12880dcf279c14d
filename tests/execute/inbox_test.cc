// Inboxes: processed once, in the same commit as the effect. And that transact() is whole.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "once/inbox.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Counts in the application's own data, and tells of it in an event.
Result<int> count_up(Transaction& tx) {
  auto before = tx.get("count");
  if (!before) return std::unexpected(before.error());
  const int now = *before ? std::stoi(**before) + 1 : 1;
  if (auto put = tx.put("count", std::to_string(now)); !put) return std::unexpected(put.error());
  if (auto told = tx.publish({.type = "counted"}); !told) return std::unexpected(told.error());
  return now;
}

int counted(Store& store) {
  const auto count = value_of(store.data("count"));
  return count ? std::stoi(*count) : 0;
}

int events(Store& store) {
  int count = 0;
  value_of(store.events({}, [&](const Event&) { return ++count > 0; }));
  return count;
}

}  // namespace

TEST_CASE("an event is processed once, and duplicates are given the first answer") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  for (int opening = 0; opening < 2; ++opening) {
    Store store = simulation.open(directory.file("s"));
    Inbox inbox(store, "billing");
    for (int i = 0; i < 2; ++i) {
      const auto done = value_of(inbox.process("e-1", count_up));
      CHECK(done.value() == 1);
      CHECK(done.replayed() == (opening + i > 0));
    }
    CHECK(counted(store) == 1);
    CHECK(events(store) == 1);
    CHECK(value_of(inbox.processed("e-1")));
    CHECK_FALSE(value_of(inbox.processed("e-2")));
  }
}

TEST_CASE("consumers know nothing of each other") {
  Store store = Simulation().open();
  Inbox billing(store, "billing");
  Inbox shipping(store, "shipping");
  value_of(billing.process("e", count_up));
  CHECK_FALSE(value_of(shipping.process("e", count_up)).replayed());
  CHECK(counted(store) == 2);
  CHECK(billing.key_of("e").to_string() == "once.inbox/billing/e");
  Inbox nameless(store, std::string(256, 'x'));
  CHECK(error_of(nameless.process("e", count_up)) == ErrorCode::limit_exceeded);
  CHECK(error_of(billing.process("", count_up)) == ErrorCode::invalid_argument);
}

TEST_CASE("work that fails or throws leaves the event unprocessed, and nothing else") {
  Store store = Simulation().open();
  Inbox inbox(store, "billing");
  const auto failing = [](Transaction& tx) -> Result<int> {
    value_of(count_up(tx));
    return std::unexpected(work_retryable("not now"));
  };
  CHECK(error_of(inbox.process("e", failing)) == ErrorCode::work_retryable);
  const auto throwing = [](Transaction& tx) -> Result<int> {
    value_of(count_up(tx));
    throw std::runtime_error("not now");
  };
  CHECK_THROWS_WITH(inbox.process("e", throwing), "not now");
  CHECK(counted(store) == 0);
  CHECK(events(store) == 0);
  CHECK_FALSE(value_of(inbox.processed("e")));
  CHECK_FALSE(value_of(inbox.process("e", count_up)).replayed());
  CHECK(counted(store) == 1);

  // For good: marked as processed, without its writes.
  const auto refused = [](Transaction& tx) -> Result<int> {
    value_of(count_up(tx));
    return std::unexpected(work_failed("unknown_customer", "no such customer"));
  };
  CHECK(error_of(inbox.process("bad", refused)) == ErrorCode::work_failed);
  CHECK(error_of(inbox.process("bad", count_up)) == ErrorCode::work_failed);
  CHECK(counted(store) == 1);
  CHECK(value_of(inbox.processed("bad")));
}

TEST_CASE("an event is remembered for as long as the retention says") {
  const Simulation simulation;
  Store store = simulation.open();
  Inbox inbox(store, "billing", {.retention = 48h});
  value_of(inbox.process("e", count_up));
  simulation.clock->advance(47h);
  CHECK(value_of(inbox.process("e", count_up)).replayed());
  simulation.clock->advance(1h);
  CHECK_FALSE(value_of(inbox.processed("e")));
  CHECK_FALSE(value_of(inbox.process("e", count_up)).replayed());
  CHECK(counted(store) == 2);
}

TEST_CASE("another payload under the same event id is a mismatch") {
  Store store = Simulation().open();
  Inbox inbox(store, "billing");
  value_of(inbox.process("e", "payload", count_up));
  CHECK(value_of(inbox.process("e", "payload", count_up)).replayed());
  CHECK(error_of(inbox.process("e", "another", count_up)) == ErrorCode::mismatch);
}

TEST_CASE("another question under the same event id names the fields that differ") {
  Store store = Simulation().open();
  Inbox inbox(store, "billing");
  const auto asked = [](const char* json) { return value_of(question_of(json)); };
  value_of(inbox.process("e", asked(R"({"amount": 5, "to": "bob"})"), count_up));
  // Another spelling, the same question.
  CHECK(value_of(inbox.process("e", asked(R"({"to":"bob","amount":5.0})"), count_up)).replayed());
  const auto differs = inbox.process("e", asked(R"({"amount": 6, "of": 1})"), count_up);
  CHECK(error_of(differs) == ErrorCode::mismatch);
  CHECK(differs.error().differing_fields == std::vector<std::string>{"amount", "of", "to"});
  CHECK(differs.error().message.find("'amount' differs, 'of' was added, 'to' is missing") !=
        std::string::npos);
  // Who asks nothing gets the answer.
  CHECK(value_of(inbox.process("e", count_up)).replayed());
  CHECK(counted(store) == 1);
}

TEST_CASE("the same events on many threads: each is processed once") {
  Store store = value_of(Store::open("memory:"));
  Inbox inbox(store, "billing");
  std::atomic<int> first = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        if (!value_of(inbox.process("e" + std::to_string(n), count_up)).replayed()) ++first;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(first == 50);
  CHECK(counted(store) == 50);
  CHECK(events(store) == 50);
}

TEST_CASE("a transaction is whole: data, event, checkpoint and outcome are there, or none is") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  {
    Store store = simulation.open(directory.file("s"));
    const auto all = [](Transaction& tx) -> Result<int> {
      value_of(tx.save_checkpoint("step", "done"));
      return count_up(tx);
    };
    CHECK(value_of(store.transact("k", all)).value() == 1);
    const auto none = [&](Transaction& tx) -> Result<int> {
      value_of(all(tx));
      return std::unexpected(work_unknown("stop"));
    };
    CHECK(error_of(store.transact("none", none)) == ErrorCode::work_unknown);
  }
  Store store = simulation.open(directory.file("s"));
  CHECK(value_of(store.status("k")) == KeyStatus::completed);
  CHECK(value_of(store.load_checkpoints("k")).size() == 1);
  CHECK(counted(store) == 1);
  CHECK(events(store) == 1);
  CHECK(value_of(store.status("none")) == KeyStatus::none);
  CHECK(value_of(store.load_checkpoints("none")).empty());
  CHECK(problems_of(store) == 0);
}
