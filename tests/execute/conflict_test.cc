// What a call does where there is an outcome, or somebody at work, already: previous, reject, wait,
// refresh, merge, bypass. And what the provenance of an answer tells.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

const auto nobody_runs_this = []() -> int { throw std::logic_error("this must not run"); };

}  // namespace

TEST_CASE("previous is the default, and reject is an error where there is an outcome") {
  Store store = Simulation().open();
  Executor executor(store);
  CHECK(value_of(executor.execute("k", [] { return 1; }, {.conflict = Conflict::reject})).value() ==
        1);
  CHECK(value_of(executor.execute("k", nobody_runs_this)).replayed());
  for (const bool by_store : {true, false}) {
    const ExecuteOptions reject{.conflict = Conflict::reject};
    const auto answer = by_store ? store.execute("k", nobody_runs_this, reject)
                                 : executor.execute("k", nobody_runs_this, reject);
    CHECK(error_of(answer) == ErrorCode::already_done);
    CHECK(answer.error().message.find("key k ") != std::string::npos);
  }
  const auto never = [](Transaction&) -> int { throw std::logic_error("this must not run"); };
  CHECK(error_of(store.transact("k", never, {.conflict = Conflict::reject})) ==
        ErrorCode::already_done);
  // A failure that is kept is an outcome too.
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("no", "no")); };
  CHECK(error_of(executor.execute("f", fails)) == ErrorCode::work_failed);
  CHECK(error_of(executor.execute("f", nobody_runs_this, {.conflict = Conflict::reject})) ==
        ErrorCode::already_done);
}

TEST_CASE("who waits gets the outcome, or busy when the time is over") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store);
  std::atomic<bool> go_on = false;
  std::atomic<bool> at_work = false;
  std::thread owner([&] {
    value_of(executor.execute("k", [&] {
      at_work = true;
      at_work.notify_all();
      go_on.wait(false);
      return 7;
    }));
  });
  at_work.wait(false);
  CHECK(error_of(executor.execute("k", nobody_runs_this, {.wait = 0ms})) == ErrorCode::busy);
  CHECK(error_of(executor.execute("k", nobody_runs_this, {.wait = 20ms})) == ErrorCode::busy);
  CHECK(value_of(store.status("k")) == KeyStatus::in_progress);
  std::thread waiter([&] {
    const auto answer = value_of(executor.execute("k", nobody_runs_this));
    CHECK(answer.value() == 7);
    CHECK(answer.replayed());
  });
  go_on = true;
  go_on.notify_all();
  owner.join();
  waiter.join();
}

TEST_CASE("refresh runs again, replaces what is kept, and hands out a greater token") {
  const Simulation simulation;
  const TemporaryDirectory directory;
  {
    Store store = simulation.open(directory.file("s"));
    Executor executor(store);
    const ExecuteOptions options{.retention = 1h};
    const auto first = value_of(executor.refresh("k", [] { return 1; }, options));
    CHECK(first.provenance().attempt == 1);
    CHECK_FALSE(first.replayed());
    simulation.clock->advance(30min);
    Token seen;
    const auto second = value_of(executor.refresh(
        "k",
        [&](const Reservation& mine) {
          seen = mine.token;
          CHECK(mine.attempt == 2);
          // What is kept answers until it is replaced.
          CHECK(value_of(store.execute("k", nobody_runs_this)).value() == 1);
          return 2;
        },
        options));
    CHECK(second.value() == 2);
    CHECK_FALSE(second.replayed());
    CHECK(seen > first.provenance().token);
    CHECK(second.provenance().token == seen);
    CHECK(second.provenance().created_at == first.provenance().created_at);
    CHECK(second.provenance().time_to_live == 1h);
    CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 2);
    CHECK(problems_of(store) == 0);
  }
  Store store = simulation.open(directory.file("s"));
  CHECK(value_of(store.execute("k", nobody_runs_this)).value() == 2);
}

TEST_CASE("a refresh that fails, or throws, leaves what is kept") {
  Store store = Simulation().open();
  Executor executor(store);
  value_of(executor.execute("k", [] { return 1; }));
  for (const Error& error : {work_failed("no", "no"), work_retryable("no"), work_unknown("no")}) {
    const auto failing = [&]() -> Result<int> { return std::unexpected(error); };
    CHECK(error_of(executor.refresh("k", failing)) == error.code);
    CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 1);
  }
  CHECK_THROWS_WITH(executor.refresh("k", []() -> int { throw std::runtime_error("mine"); }),
                    "mine");
  CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 1);
}

TEST_CASE("a refresh is fenced when the key was carried out anew meanwhile") {
  const Simulation simulation;
  Store store = simulation.open();
  Executor executor(store);
  value_of(executor.execute("k", [] { return 1; }));
  const auto answer = executor.refresh("k", [&] {
    CHECK(value_of(store.remove("k")));
    value_of(store.execute("k", [] { return 2; }));
    return 3;
  });
  CHECK(error_of(answer) == ErrorCode::fenced);
  CHECK(value_of(store.execute("k", nobody_runs_this)).value() == 2);
  // Removed, and nobody has come: there is nothing that it could be fenced by.
  value_of(executor.refresh("k", [&] {
    CHECK(value_of(store.remove("k")));
    return 4;
  }));
  CHECK(value_of(store.execute("k", nobody_runs_this)).value() == 4);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("a refresh of another question is a mismatch, and one of an unfinished key waits") {
  Store store = Simulation().open();
  Executor executor(store);
  value_of(executor.execute("k", [] { return 1; }, {.fingerprint = Fingerprint::of("a")}));
  CHECK(error_of(executor.refresh("k", nobody_runs_this, {.fingerprint = Fingerprint::of("b")})) ==
        ErrorCode::mismatch);
  const Reservation mine = reserved(store.reserve("held"));
  CHECK(error_of(executor.refresh("held", nobody_runs_this, {.wait = 0ms})) == ErrorCode::busy);
  value_of(store.complete(mine, Outcome::success("5")));
  CHECK(value_of(executor.refresh("held", [] { return 6; }, {.wait = 0ms})).value() == 6);
}

TEST_CASE("merge replaces the outcome by one made of both") {
  Store store = Simulation().open();
  Executor executor(store);
  const auto add = [](int previous, int current) { return previous + current; };
  CHECK(value_of(executor.merge("k", [] { return 1; }, add)).value() == 1);
  const auto merged = value_of(executor.merge("k", [] { return 10; }, add));
  CHECK(merged.value() == 11);
  CHECK_FALSE(merged.replayed());
  CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 11);

  const auto refuses = [](int, int) -> Result<int> {
    return std::unexpected(work_failed("no", "they do not go together"));
  };
  CHECK(error_of(executor.merge("k", [] { return 1; }, refuses)) == ErrorCode::work_failed);
  CHECK_THROWS_WITH(
      executor.merge(
          "k", [] { return 1; }, [](int, int) -> int { throw std::runtime_error("merging"); }),
      "merging");
  CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 11);

  value_of(store.execute("text", [] { return Bytes("no number"); }));
  const auto wrong = executor.merge("text", [] { return 1; }, add);
  CHECK(error_of(wrong) == ErrorCode::wrong_type);
  CHECK(wrong.error().message.find("key text") != std::string::npos);
  // A failure is replaced.
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("no", "no")); };
  CHECK(error_of(executor.execute("f", fails)) == ErrorCode::work_failed);
  CHECK(value_of(executor.merge("f", [] { return 3; }, add)).value() == 3);
}

TEST_CASE("what many threads merge is all there") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store);
  const auto add = [](int previous, int current) { return previous + current; };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 25; ++n) value_of(executor.merge("k", [] { return 1; }, add));
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 100);
}

TEST_CASE("a merge whose previous outcome changes meanwhile merges with the newer one") {
  Store store = Simulation().open();
  Executor executor(store);
  value_of(executor.execute("k", [] { return 1; }));
  int runs = 0;
  const auto work = [&] {
    ++runs;
    CHECK(value_of(store.remove("k")));
    value_of(store.execute("k", [] { return 100; }));
    return 10;
  };
  const auto merged =
      value_of(executor.merge("k", work, [](int before, int now) { return before + now; }));
  CHECK(merged.value() == 110);
  CHECK(runs == 1);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("bypass runs the work and leaves the store alone") {
  Store store = Simulation().open();
  Executor executor(store);
  value_of(executor.execute("k", [] { return 1; }));
  const auto answer = value_of(executor.bypass("k", [] { return 2; }));
  CHECK(answer.value() == 2);
  CHECK_FALSE(answer.replayed());
  CHECK(answer.provenance().token == Token{});
  CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 1);
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("no", "no")); };
  CHECK(error_of(executor.bypass("other", fails)) == ErrorCode::work_failed);
  CHECK(value_of(store.status("other")) == KeyStatus::none);
}

TEST_CASE("provenance: execution id, created, time to live, accesses") {
  const Simulation simulation;
  const TemporaryDirectory directory;
  std::string id;
  {
    Store store = simulation.open(directory.file("s"));
    const auto first = value_of(store.execute("k", [] { return 1; }, {.retention = 1h}));
    id = first.provenance().execution_id();
    CHECK(id.starts_with("exec-"));
    CHECK(id.size() == 21);
    CHECK(first.provenance().time_to_live == 1h);
    CHECK(first.provenance().access_count == 0);
    simulation.clock->advance(20min);
    for (std::uint64_t n = 1; n <= 3; ++n) {
      const auto again = value_of(store.execute("k", nobody_runs_this)).provenance();
      CHECK(again.execution_id() == id);
      CHECK(again.created_at == first.provenance().created_at);
      CHECK(again.time_to_live == 40min);
      CHECK(again.access_count == n);
    }
    // Looking is no access.
    CHECK(value_of(store.find("k")));
    CHECK(value_of(store.execute("k", nobody_runs_this)).provenance().access_count == 4);
    const auto other = value_of(store.execute("k2", [] { return 1; }, {.retention = forever}));
    CHECK(other.provenance().execution_id() != id);
    CHECK(other.provenance().time_to_live == forever);
  }
  Store store = simulation.open(directory.file("s"));
  const auto again = value_of(store.execute("k", nobody_runs_this)).provenance();
  CHECK(again.execution_id() == id);
  CHECK(again.access_count == 1);
}

TEST_CASE("the status of a key") {
  const Simulation simulation;
  Store store = simulation.open();
  CHECK(value_of(store.status("k")) == KeyStatus::none);
  const Reservation mine = reserved(store.reserve("k", {.retention = 1h}));
  CHECK(value_of(store.status("k")) == KeyStatus::in_progress);
  value_of(store.complete(mine, Outcome::success()));
  CHECK(value_of(store.status("k")) == KeyStatus::completed);
  simulation.clock->advance(1h);
  CHECK(value_of(store.status("k")) == KeyStatus::expired);
  value_of(store.sweep());
  CHECK(value_of(store.status("k")) == KeyStatus::none);
  value_of(store.fail(reserved(store.reserve("f")), "no", "no"));
  CHECK(value_of(store.status("f")) == KeyStatus::failed);
  value_of(store.doubt(reserved(store.reserve("d"))));
  CHECK(value_of(store.status("d")) == KeyStatus::in_doubt);
  value_of(store.release(reserved(store.reserve("r"))));
  CHECK(value_of(store.status("r")) == KeyStatus::released);
  CHECK(error_of(store.status("")) == ErrorCode::invalid_argument);
  CHECK(to_string(KeyStatus::expired) == "expired");
  CHECK(to_string(KeyStatus::in_progress) == "in_progress");
}

TEST_CASE("timeouts and killings are outcomes of their own, and are replayed as what they are") {
  Store store = Simulation().open();
  Executor executor(store);
  struct Case {
    Error error;
    OutcomeKind kind;
  };
  for (const Case& each : {Case{work_timed_out("too slow"), OutcomeKind::timeout},
                           Case{work_killed("by the operator"), OutcomeKind::killed}}) {
    const Key key(to_string(each.kind));
    const auto work = [&]() -> Result<int> { return std::unexpected(each.error); };
    CHECK(error_of(executor.execute(key, work)) == each.error.code);
    CHECK(value_of(store.find(key))->outcome->kind == each.kind);
    const auto again = store.execute(key, nobody_runs_this);
    CHECK(error_of(again) == each.error.code);
    CHECK(again.error().message == each.error.message);
    CHECK(again.error().replayed);
  }
  // Said whole, by the work itself.
  const Outcome said{
      .kind = OutcomeKind::timeout, .value = "partial", .content_type = "text/plain"};
  CHECK(value_of(store.execute("whole", [&] { return said; })).value() == said);
  const auto again = value_of(
      store.execute("whole", []() -> Result<Outcome> { throw std::logic_error("must not run"); }));
  CHECK(again.value() == said);
  CHECK(again.replayed());
}
