// execute_many(): one call of the work for many keys.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

using Reservations = std::span<const Reservation>;

std::vector<std::string> ids(Reservations reservations) {
  std::vector<std::string> ids;
  for (const Reservation& reservation : reservations) ids.push_back(reservation.key.id);
  return ids;
}

}  // namespace

TEST_CASE("one call of the work for the keys that are to be carried out, in their order") {
  Store store = Simulation().open();
  Executor executor(store);
  value_of(store.execute("b", [] { return Bytes("before"); }));
  const std::vector<Key> keys{"a", "b", "c", "a"};
  std::vector<std::vector<std::string>> calls;
  const auto work = [&](Reservations mine) {
    calls.push_back(ids(mine));
    std::vector<std::string> results;
    for (const Reservation& reservation : mine) results.push_back("did " + reservation.key.id);
    return results;
  };
  for (int i = 0; i < 2; ++i) {
    const auto answers = value_of(executor.execute_many(keys, work));
    REQUIRE(answers.size() == 4);
    CHECK(value_of(answers[0]).value() == "did a");
    CHECK(value_of(answers[1]).value() == "before");
    CHECK(value_of(answers[2]).value() == "did c");
    CHECK(value_of(answers[3]).value() == "did a");
    CHECK(value_of(answers[0]).replayed() == (i > 0));
    CHECK(value_of(answers[1]).replayed());
    CHECK(value_of(answers[3]).replayed());
  }
  CHECK(calls == std::vector<std::vector<std::string>>{{"a", "c"}});
  CHECK(problems_of(store) == 0);
}

TEST_CASE("each result leaves its own key as its class says") {
  Store store = Simulation().open();
  Executor executor(store);
  const std::vector<Key> keys{"good", "failed", "retry", "unknown"};
  const auto work = [](Reservations) {
    return std::vector<Result<int>>{1, std::unexpected(work_failed("no", "no")),
                                    std::unexpected(work_retryable("later")),
                                    std::unexpected(work_unknown("who knows"))};
  };
  const auto answers = value_of(executor.execute_many(keys, work));
  CHECK(value_of(answers[0]).value() == 1);
  CHECK(error_of(answers[1]) == ErrorCode::work_failed);
  CHECK(error_of(answers[2]) == ErrorCode::work_retryable);
  CHECK(error_of(answers[3]) == ErrorCode::work_unknown);
  CHECK(value_of(store.status("good")) == KeyStatus::completed);
  CHECK(value_of(store.status("failed")) == KeyStatus::failed);
  CHECK(value_of(store.status("retry")) == KeyStatus::released);
  CHECK(value_of(store.status("unknown")) == KeyStatus::in_doubt);
  // The second time the one that may be repeated is.
  std::vector<std::string> second;
  const auto again = value_of(executor.execute_many(keys, [&](Reservations mine) {
    second = ids(mine);
    return std::vector<int>{2};
  }));
  CHECK(second == std::vector<std::string>{"retry"});
  CHECK(value_of(again[2]).value() == 2);
  CHECK(error_of(again[3]) == ErrorCode::in_doubt);
}

TEST_CASE("an exception, and too few results, leave all of the keys as abandoned") {
  Store store = Simulation().open();
  Executor executor(store);
  const std::vector<Key> keys{"a", "b"};
  const auto throws = [](Reservations) -> std::vector<int> { throw std::runtime_error("mine"); };
  CHECK_THROWS_WITH(executor.execute_many(keys, throws), "mine");
  for (const Key& key : keys) CHECK(value_of(store.status(key)) == KeyStatus::in_doubt);
  const std::vector<Key> others{"c", "d"};
  const auto answers = value_of(executor.execute_many(
      others, [](Reservations) { return std::vector<int>{1}; }, {.on_abandon = OnAbandon::rerun}));
  for (const auto& answer : answers) CHECK(error_of(answer) == ErrorCode::invalid_argument);
  for (const Key& key : others) CHECK(value_of(store.status(key)) == KeyStatus::released);
}

TEST_CASE("hooks count in batches too") {
  Store store = Simulation().open();
  std::vector<std::string> seen;
  Executor executor(
      store,
      {.is_safe_to_retry = [](const Key& key, const Found&) { return key.id != "refused"; },
       .resolver = [](const Key&, const Record&) { return Resolution::success(7); },
       .observers =
           {{.before = [&](const Reservation& mine) { seen.push_back("before " + mine.key.id); },
             .after = [&](const Key& key, const Outcome&,
                          const Provenance&) { seen.push_back("after " + key.id); },
             .on_duplicate = [&](const Key& key, const Outcome&,
                                 const Provenance&) { seen.push_back("duplicate " + key.id); }}}});
  value_of(store.release(reserved(store.reserve("refused"))));
  value_of(store.release(reserved(store.reserve("again"))));
  value_of(store.doubt(reserved(store.reserve("doubt"))));
  const Record before = value_of(store.find("refused"))->record;
  const std::vector<Key> keys{"refused", "again", "doubt"};
  const auto answers = value_of(executor.execute_many(keys, [](Reservations mine) {
    CHECK(ids(mine) == std::vector<std::string>{"again"});
    return std::vector<int>{1};
  }));
  CHECK(error_of(answers[0]) == ErrorCode::retry_refused);
  CHECK(value_of(store.find("refused"))->record == before);
  CHECK(value_of(answers[1]).provenance().attempt == 2);
  CHECK(value_of(answers[2]).value() == 7);
  CHECK(seen == std::vector<std::string>{"before again", "after again", "duplicate doubt"});
}

TEST_CASE("keys that somebody else holds are waited for when the others are done") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store);
  const Reservation theirs = reserved(store.reserve("held"));
  const std::vector<Key> keys{"held", "free"};
  const auto work = [](Reservations mine) { return std::vector<std::string>(mine.size(), "mine"); };
  const auto busy = value_of(executor.execute_many(keys, work, {.wait = 0ms}));
  CHECK(error_of(busy[0]) == ErrorCode::busy);
  CHECK(value_of(busy[1]).value() == "mine");

  std::atomic<bool> done = false;
  std::thread caller([&] {
    const auto answers = value_of(executor.execute_many(keys, work, {.wait = 1h}));
    CHECK(value_of(answers[0]).value() == "theirs");
    done = true;
  });
  value_of(store.complete(theirs, Outcome::success("theirs")));
  caller.join();
  CHECK(done);
  CHECK(value_of(executor.execute_many(std::span<const Key>(), work)).empty());
  const std::vector<Key> bad{""};
  CHECK(error_of(executor.execute_many(bad, work)) == ErrorCode::invalid_argument);
}
