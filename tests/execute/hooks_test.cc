// is_safe_to_retry, resolver, observers; and that whatever throws reaches the caller and leaves the
// store as it says.
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
const auto one = [] { return 1; };

KeyStatus status(Store& store, const Key& key) {
  return value_of(store.status(key));
}

}  // namespace

TEST_CASE("is_safe_to_retry is asked before a failed run is repeated, and may refuse") {
  Store store = Simulation().open();
  bool safe = false;
  int asked = 0;
  Executor executor(store, {.is_safe_to_retry = [&](const Key& key, const Found& found) {
                      ++asked;
                      CHECK(key == Key("k"));
                      CHECK(found.record.status == Status::released);
                      CHECK(found.record.attempt == 1);
                      return safe;
                    }});
  const auto fails = []() -> Result<int> { return std::unexpected(work_retryable("no")); };
  CHECK(error_of(executor.execute("k", fails)) == ErrorCode::work_retryable);
  CHECK(asked == 0);  // nothing was repeated yet
  const Record before = value_of(store.find("k"))->record;
  const auto refused = executor.execute("k", nobody_runs_this);
  CHECK(error_of(refused) == ErrorCode::retry_refused);
  CHECK(refused.error().message.find("key k ") != std::string::npos);
  CHECK(asked == 1);
  CHECK(value_of(store.find("k"))->record == before);
  safe = true;
  CHECK(value_of(executor.execute("k", one)).provenance().attempt == 2);
  CHECK(asked == 2);
  CHECK(value_of(executor.execute("k", nobody_runs_this)).replayed());
  CHECK(asked == 2);
}

TEST_CASE("is_safe_to_retry is asked before an abandoned run is taken over") {
  const Simulation simulation;
  Store store = simulation.open();
  const Reservation lost = reserved(
      store.reserve("k", {.lease = 1min, .on_abandon = OnAbandon::rerun, .holder = holder(7)}));
  simulation.processes->set(7, Liveness::dead);
  int asked = 0;
  Executor executor(store, {.is_safe_to_retry = [&](const Key&, const Found& found) {
                      ++asked;
                      CHECK(found.record.status == Status::in_progress);
                      CHECK(found.record.token == lost.token);
                      return asked > 1;
                    }});
  CHECK(error_of(executor.execute("k", nobody_runs_this)) == ErrorCode::retry_refused);
  CHECK(value_of(store.find("k"))->record.token == lost.token);
  CHECK(value_of(executor.execute("k", one)).value() == 1);
  CHECK(asked == 2);
}

TEST_CASE("is_safe_to_retry sees the failure that a refresh would repeat") {
  Store store = Simulation().open();
  bool safe = false;
  Executor executor(store, {.is_safe_to_retry = [&](const Key&, const Found& found) {
                      CHECK(found.record.status == Status::failed);
                      CHECK(found.outcome->code == "declined");
                      return safe;
                    }});
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("declined", "no")); };
  CHECK(error_of(executor.execute("k", fails)) == ErrorCode::work_failed);
  CHECK(error_of(executor.refresh("k", nobody_runs_this)) == ErrorCode::retry_refused);
  CHECK(error_of(executor.execute("k", nobody_runs_this)) == ErrorCode::work_failed);
  safe = true;
  CHECK(value_of(executor.refresh("k", one)).value() == 1);
}

TEST_CASE(
    "is_safe_to_retry is asked as long as the run is remembered, swept or not, and no longer") {
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("declined", "no")); };
  const auto tries = []() -> Result<int> { return std::unexpected(work_retryable("later")); };
  for (const bool swept : {false, true}) {
    CAPTURE(swept);
    const Simulation simulation;
    Store store = simulation.open();
    int asked = 0;
    Executor executor(store, {.defaults = {.retention = 1h, .failure_retention = 5min},
                              .is_safe_to_retry = [&](const Key&, const Found&) {
                                ++asked;
                                return false;
                              }});
    CHECK(error_of(executor.execute("kept", fails)) == ErrorCode::work_failed);
    CHECK(error_of(executor.execute("released", tries)) == ErrorCode::work_retryable);
    simulation.clock->advance(5min - 1ms);
    if (swept) value_of(store.sweep());
    CHECK(executor.execute("kept", nobody_runs_this).error().replayed);
    CHECK(error_of(executor.refresh("kept", nobody_runs_this)) == ErrorCode::retry_refused);
    CHECK(asked == 1);
    simulation.clock->advance(1ms);
    if (swept) value_of(store.sweep());
    CHECK(value_of(executor.execute("kept", one)).provenance().attempt == 1);
    CHECK(asked == 1);
    simulation.clock->advance(55min - 1ms);
    if (swept) value_of(store.sweep());
    CHECK(error_of(executor.execute("released", nobody_runs_this)) == ErrorCode::retry_refused);
    CHECK(asked == 2);
    simulation.clock->advance(1ms);
    if (swept) value_of(store.sweep());
    CHECK(value_of(executor.execute("released", one)).provenance().attempt == 1);
    CHECK(asked == 2);
  }
}

TEST_CASE("definite failures that are called retryable are asked about each time") {
  const Simulation simulation;
  Store store = simulation.open();
  std::vector<std::uint32_t> asked;
  Executor executor(
      store, {.failures = {.classify_error = [](const Error&) { return FailureClass::retryable; },
                           .retryable_retention = 24h * 365},
              .is_safe_to_retry = [&](const Key&, const Found& found) {
                asked.push_back(found.record.attempt);
                return found.record.attempt < 3;
              }});
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("declined", "no")); };
  for (int i = 0; i < 3; ++i) {
    CHECK(error_of(executor.execute("k", fails)) == ErrorCode::work_failed);
    simulation.clock->advance(24h);
  }
  CHECK(error_of(executor.execute("k", nobody_runs_this)) == ErrorCode::retry_refused);
  CHECK(asked == std::vector<std::uint32_t>{1, 2, 3});
}

TEST_CASE("an is_safe_to_retry that throws leaves the key as it was") {
  Store store = Simulation().open();
  Executor executor(store, {.is_safe_to_retry = [](const Key&, const Found&) -> bool {
                      throw std::runtime_error("hook");
                    }});
  value_of(store.release(reserved(store.reserve("k"))));
  const Record before = value_of(store.find("k"))->record;
  CHECK_THROWS_WITH(executor.execute("k", nobody_runs_this), "hook");
  CHECK(value_of(store.find("k"))->record == before);
}

TEST_CASE("a resolver decides what is in doubt") {
  Store store = Simulation().open();
  Resolution says = Resolution::unknown();
  int asked = 0;
  Executor executor(store, {.is_safe_to_retry = [](const Key&, const Found&) -> bool {
                              throw std::logic_error("the resolver has said it");
                            },
                            .resolver =
                                [&](const Key& key, const Record& record) {
                                  ++asked;
                                  CHECK(key == Key("k"));
                                  CHECK(record.status == Status::in_doubt);
                                  return says;
                                }});
  const auto doubt = [&] { value_of(store.doubt(reserved(store.reserve("k")))); };

  doubt();
  CHECK(error_of(executor.execute("k", nobody_runs_this)) == ErrorCode::in_doubt);
  CHECK(status(store, "k") == KeyStatus::in_doubt);
  CHECK(asked == 1);

  says = Resolution::success(5);
  const auto found_out = value_of(executor.execute("k", nobody_runs_this));
  CHECK(found_out.value() == 5);
  CHECK(found_out.replayed());
  CHECK(asked == 2);
  value_of(store.remove("k"));

  doubt();
  says = Resolution::failure("lost", "never arrived");
  const auto failed = executor.execute("k", nobody_runs_this);
  CHECK(error_of(failed) == ErrorCode::work_failed);
  CHECK(failed.error().failure_code == "lost");
  value_of(store.remove("k"));

  doubt();
  says = Resolution::rerun();
  const auto run = value_of(executor.execute("k", one));
  CHECK_FALSE(run.replayed());
  CHECK(run.provenance().attempt == 2);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("a resolver that throws leaves the key in doubt") {
  Store store = Simulation().open();
  Executor executor(store, {.resolver = [](const Key&, const Record&) -> Resolution {
                      throw std::runtime_error("resolver");
                    }});
  value_of(store.doubt(reserved(store.reserve("k"))));
  CHECK_THROWS_WITH(executor.execute("k", nobody_runs_this), "resolver");
  CHECK(status(store, "k") == KeyStatus::in_doubt);
  CHECK_THROWS_WITH(executor.execute("k", nobody_runs_this), "resolver");  // it is not locked
}

TEST_CASE("one caller at a time asks the resolver, and the others take what was decided") {
  Store store = value_of(Store::open("memory:"));
  std::atomic<int> asked = 0;
  std::atomic<int> inside = 0;
  std::atomic<int> callers = 0;
  Executor executor(store, {.resolver = [&](const Key&, const Record&) {
                      CHECK(++inside == 1);
                      ++asked;
                      while (callers < 4) std::this_thread::yield();
                      --inside;
                      return Resolution::success(9);
                    }});
  value_of(store.doubt(reserved(store.reserve("k"))));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ++callers;
      CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 9);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(asked == 1);
}

TEST_CASE("a resolver's word does not count when somebody else has decided meanwhile") {
  Store store = Simulation().open();
  Executor executor(store, {.resolver = [&](const Key& key, const Record&) {
                      value_of(store.resolve(key, Verdict::success, Outcome::success("1")));
                      return Resolution::success(2);
                    }});
  value_of(store.doubt(reserved(store.reserve("k"))));
  CHECK(value_of(executor.execute("k", nobody_runs_this)).value() == 1);
}

TEST_CASE("observers see what happens, in order") {
  Store store = Simulation().open();
  std::vector<std::string> seen;
  const auto observer = [&](const std::string& name) {
    return Observer{
        .before =
            [&, name](const Reservation& mine) { seen.push_back(name + " before " + mine.key.id); },
        .after =
            [&, name](const Key&, const Outcome& outcome, const Provenance& provenance) {
              CHECK_FALSE(provenance.replayed);
              seen.push_back(name + " after " + *outcome.value);
            },
        .on_duplicate =
            [&, name](const Key&, const Outcome& outcome, const Provenance& provenance) {
              CHECK(provenance.replayed);
              seen.push_back(name + " duplicate " + outcome.value.value_or(outcome.code));
            },
        .on_failure =
            [&, name](const Reservation&, const Error& error, FailureClass failure) {
              seen.push_back(name + " failure " + error.failure_code + " " +
                             std::string(to_string(failure)));
            },
        .on_wait = [&, name](const Key& key,
                             const Error&) { seen.push_back(name + " wait " + key.id); }};
  };
  Executor executor(store, {.observers = {observer("a"), {}, observer("b")}});
  value_of(executor.execute("k", one));
  value_of(executor.execute("k", one));
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("no", "no")); };
  CHECK(error_of(executor.execute("f", fails)) == ErrorCode::work_failed);
  CHECK(error_of(executor.execute("f", fails)) == ErrorCode::work_failed);
  CHECK(seen == std::vector<std::string>{
                    "a before k", "b before k", "a after 1", "b after 1", "a duplicate 1",
                    "b duplicate 1", "a before f", "b before f", "a failure no definite",
                    "b failure no definite", "a duplicate no", "b duplicate no"});
}

TEST_CASE("observers hear of a wait once") {
  Store store = value_of(Store::open("memory:"));
  int waits = 0;
  Executor executor(store, {.observers = {{.on_wait = [&](const Key&, const Error& busy) {
                              ++waits;
                              CHECK(busy.code == ErrorCode::busy);
                            }}}});
  const Reservation mine = reserved(store.reserve("k"));
  CHECK(error_of(executor.execute("k", nobody_runs_this, {.wait = 0ms})) == ErrorCode::busy);
  CHECK(waits == 0);
  // Long enough to look several times.
  CHECK(error_of(executor.execute("k", nobody_runs_this, {.wait = 2s})) == ErrorCode::busy);
  CHECK(waits == 1);
}

TEST_CASE("an observer that throws: the store is left as its function says") {
  Store store = Simulation().open();
  const auto throws = [](auto&&...) { throw std::runtime_error("observer"); };
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("no", "no")); };

  Executor before(store, {.observers = {{.before = throws}}});
  CHECK_THROWS_WITH(before.execute("before", nobody_runs_this), "observer");
  CHECK(status(store, "before") == KeyStatus::released);

  Executor after(store, {.observers = {{.after = throws}}});
  CHECK_THROWS_WITH(after.execute("after", one), "observer");
  CHECK(value_of(store.execute("after", nobody_runs_this)).value() == 1);

  Executor duplicate(store, {.observers = {{.on_duplicate = throws}}});
  CHECK_THROWS_WITH(duplicate.execute("after", nobody_runs_this), "observer");
  CHECK(value_of(store.execute("after", nobody_runs_this)).value() == 1);

  Executor failure(store, {.observers = {{.on_failure = throws}}});
  CHECK_THROWS_WITH(failure.execute("failure", fails), "observer");
  CHECK(status(store, "failure") == KeyStatus::failed);
  CHECK_THROWS_WITH(failure.execute("both", []() -> int { throw std::runtime_error("work"); }),
                    "work");
  CHECK(status(store, "both") == KeyStatus::in_doubt);

  Executor wait(store, {.observers = {{.on_wait = throws}}});
  const Reservation mine = reserved(store.reserve("held"));
  CHECK_THROWS_WITH(wait.execute("held", nobody_runs_this), "observer");
  value_of(store.complete(mine, Outcome::success("1")));
}

namespace {

struct Unwritable {};
struct Unreadable {};

}  // namespace

template <>
struct once::Codec<Unwritable> {
  static std::optional<Bytes> encode(const Unwritable&) { throw std::runtime_error("encode"); }
  static Result<Unwritable> decode(const std::optional<Bytes>&) { return Unwritable(); }
};
template <>
struct once::Codec<Unreadable> {
  static std::optional<Bytes> encode(const Unreadable&) { return "x"; }
  static Result<Unreadable> decode(const std::optional<Bytes>&) {
    throw std::runtime_error("decode");
  }
};

TEST_CASE(
    "a codec that throws while it writes counts as the work's, and while it reads changes "
    "nothing") {
  Store store = Simulation().open();
  Executor executor(store);
  CHECK_THROWS_WITH(executor.execute("w", [] { return Unwritable(); }), "encode");
  CHECK(status(store, "w") == KeyStatus::in_doubt);
  CHECK_THROWS_WITH(
      executor.execute("w2", [] { return Unwritable(); }, {.on_abandon = OnAbandon::rerun}),
      "encode");
  CHECK(status(store, "w2") == KeyStatus::released);
  CHECK_THROWS_WITH(executor.execute("r", [] { return Unreadable(); }), "decode");
  CHECK(status(store, "r") == KeyStatus::completed);
  CHECK_THROWS_WITH(executor.execute("r", [] { return Unreadable(); }), "decode");
  CHECK(value_of(store.execute("r", [] { return Bytes(); })).value() == "x");
}

TEST_CASE("an outcome of another type is an error that names the key") {
  Store store = Simulation().open();
  Executor executor(store);
  value_of(executor.execute("greeting", [] { return Bytes("hello"); }));
  const auto answer = executor.execute("greeting", one);
  CHECK(error_of(answer) == ErrorCode::wrong_type);
  CHECK(answer.error().message.find("key greeting") != std::string::npos);
  CHECK(answer.error().message.find("hello") != std::string::npos);
}
