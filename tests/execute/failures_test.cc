// The failure policy: classes, their retentions, and trying again within one call.
#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <stdexcept>
#include <thread>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

struct Declined : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Offline : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::optional<FailureClass> by_type(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Declined&) {
    return FailureClass::definite;
  } catch (const Offline&) {
    return FailureClass::retryable;
  } catch (...) {
    return std::nullopt;
  }
}

KeyStatus status(Store& store, const Key& key) {
  return value_of(store.status(key));
}

}  // namespace

TEST_CASE("the class of an error decides what is left, and for how long") {
  const Simulation simulation;
  Store store = simulation.open();
  FailureClass says = FailureClass::definite;
  Executor executor(store, {.failures = {.classify_error = [&](const Error&) { return says; },
                                         .definite_retention = 2min,
                                         .not_started_retention = 3min,
                                         .retryable_retention = 4min}});
  const auto failing = [&](const Key& key, FailureClass failure) {
    says = failure;
    const Error theirs{.code = ErrorCode::io, .message = "their own"};
    const auto answer =
        executor.execute(key, [&]() -> Result<int> { return std::unexpected(theirs); });
    CHECK(error_of(answer) == ErrorCode::io);
    CHECK(answer.error().message == "their own");
    return status(store, key);
  };
  const auto lives = [&](const Key& key) {
    const Record record = value_of(store.find(key))->record;
    return record.expires_at - record.updated_at;
  };
  CHECK(failing("definite", FailureClass::definite) == KeyStatus::failed);
  CHECK(lives("definite") == 2min);
  CHECK(value_of(store.find("definite"))->outcome->code == "io");
  CHECK(failing("not started", FailureClass::not_started) == KeyStatus::released);
  CHECK(lives("not started") == 3min);
  CHECK(failing("retryable", FailureClass::retryable) == KeyStatus::released);
  CHECK(lives("retryable") == 4min);
  CHECK(failing("unknown", FailureClass::unknown) == KeyStatus::in_doubt);
  CHECK(failing("abandoned", FailureClass::abandoned) == KeyStatus::in_doubt);
}

TEST_CASE("the class of an exception decides, and the exception reaches the caller") {
  Store store = Simulation().open();
  Executor executor(store, {.failures = {.classify_exception = by_type}});
  CHECK_THROWS_AS(executor.execute("d", []() -> int { throw Declined("no money"); }), Declined);
  const auto kept = executor.execute("d", []() -> int { throw std::logic_error("must not run"); });
  CHECK(error_of(kept) == ErrorCode::work_failed);
  CHECK(kept.error().failure_code == "exception");
  CHECK(kept.error().message == "no money");
  CHECK(kept.error().replayed);
  CHECK_THROWS_AS(executor.execute("o", []() -> int { throw Offline("cable"); }), Offline);
  CHECK(status(store, "o") == KeyStatus::released);
  CHECK_THROWS_AS(executor.execute("x", []() -> int { throw 5; }), int);
  CHECK(status(store, "x") == KeyStatus::in_doubt);
}

TEST_CASE("a classifier that throws: the failure counts as abandoned") {
  Store store = Simulation().open();
  const auto error_thrower = [](const Error&) -> std::optional<FailureClass> {
    throw std::runtime_error("classifier");
  };
  const auto exception_thrower = [](const std::exception_ptr&) -> std::optional<FailureClass> {
    throw std::runtime_error("classifier");
  };
  Executor executor(store, {.failures = {.classify_error = error_thrower,
                                         .classify_exception = exception_thrower}});
  const auto fails = []() -> Result<int> { return std::unexpected(work_failed("no", "no")); };
  CHECK_THROWS_WITH(executor.execute("e", fails), "classifier");
  CHECK(status(store, "e") == KeyStatus::in_doubt);
  CHECK_THROWS_WITH(executor.execute("e2", fails, {.on_abandon = OnAbandon::rerun}), "classifier");
  CHECK(status(store, "e2") == KeyStatus::released);
  CHECK_THROWS_WITH(executor.execute("x", []() -> int { throw std::runtime_error("work"); }),
                    "work");
  CHECK(status(store, "x") == KeyStatus::in_doubt);
}

TEST_CASE("what fails without effect is tried again, with pauses, as often as the policy says") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(
      store,
      {.failures = {
           .classify_exception = by_type, .attempts = 3, .initial_pause = 2ms, .jitter = 0.0}});
  int runs = 0;
  std::vector<std::uint64_t> tokens;
  const auto answer = value_of(executor.execute("k", [&](const Reservation& mine) -> Result<int> {
    tokens.push_back(mine.token.value);
    if (++runs == 1) return std::unexpected(work_retryable("not yet"));
    if (runs == 2) throw Offline("cable");
    return 42;
  }));
  CHECK(answer.value() == 42);
  CHECK(answer.provenance().attempt == 3);
  REQUIRE(tokens.size() == 3);
  CHECK(tokens[0] < tokens[1]);
  CHECK(tokens[1] < tokens[2]);

  runs = 0;
  const auto always = [&]() -> Result<int> {
    ++runs;
    return std::unexpected(work_not_started("no"));
  };
  CHECK(error_of(executor.execute("never", always)) == ErrorCode::work_not_started);
  CHECK(runs == 3);
  CHECK(value_of(store.find("never"))->record.attempt == 3);
  CHECK_THROWS_AS(executor.execute("throws", [&]() -> int { throw Offline("cable"); }), Offline);

  runs = 0;
  const auto definite = [&]() -> Result<int> {
    ++runs;
    return std::unexpected(work_failed("no", "no"));
  };
  CHECK(error_of(executor.execute("definite", definite)) == ErrorCode::work_failed);
  CHECK(runs == 1);
}

TEST_CASE("the pause before a repetition goes by the clock of the store") {
  const Simulation simulation;
  Store store = simulation.open();
  Executor executor(
      store,
      {.failures = {.attempts = 2, .initial_pause = 1min, .longest_pause = 1min, .jitter = 0.0}});
  std::atomic<int> runs = 0;
  std::atomic<bool> done = false;
  std::thread caller([&] {
    const auto failing = [&]() -> Result<int> {
      ++runs;
      return std::unexpected(work_retryable("not yet"));
    };
    CHECK(error_of(executor.execute("k", failing)) == ErrorCode::work_retryable);
    done = true;
  });
  while (runs == 0) std::this_thread::yield();
  const Duration failed_first = simulation.clock->since_boot();
  while (!done) {
    simulation.clock->advance(1s);
    std::this_thread::yield();
  }
  caller.join();
  CHECK(runs == 2);
  CHECK(simulation.clock->since_boot() - failed_first >= 1min);
}

namespace {

// Time that passes only, and at once, when the test's own thread waits for it.
class SkippingClock final : public Clock {
 public:
  Time wall() const override { return time_.wall(); }
  Duration since_boot() const override { return time_.since_boot(); }
  BootId boot() const override { return time_.boot(); }
  void wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  Duration deadline) const override {
    if (std::this_thread::get_id() != test_) return time_.wait_until(lock, condition, deadline);
    const Duration pause = deadline - since_boot();
    pauses_.push_back(pause);
    time_.advance(pause);
  }
  // What the test's thread has waited for.
  [[nodiscard]] const std::vector<Duration>& pauses() const { return pauses_; }

 private:
  mutable ManualClock time_;
  mutable std::vector<Duration> pauses_;
  const std::thread::id test_ = std::this_thread::get_id();
};

std::vector<Duration> pauses_of(const FailurePolicy& policy) {
  const auto clock = std::make_shared<SkippingClock>();
  Store store = value_of(Store::open("memory:", {.clock = clock}));
  Executor executor(store, {.failures = policy});
  const auto failing = []() -> Result<int> { return std::unexpected(work_retryable("not yet")); };
  CHECK(error_of(executor.execute("k", failing)) == ErrorCode::work_retryable);
  return clock->pauses();
}

}  // namespace

TEST_CASE("pauses grow by the multiplier up to the longest, and jitter takes a part of each") {
  const std::vector<Duration> expected{1s, 3s, 9s, 10s, 10s};
  FailurePolicy policy{
      .attempts = 6, .initial_pause = 1s, .multiplier = 3.0, .longest_pause = 10s, .jitter = 0.0};
  CHECK(pauses_of(policy) == expected);
  policy.jitter = 0.5;
  const std::vector<Duration> jittered = pauses_of(policy);
  REQUIRE(jittered.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(jittered[i] >= expected[i] / 2);
    CHECK(jittered[i] <= expected[i]);
  }
  CHECK(jittered != expected);
}

TEST_CASE("a stop ends the pause, and the call with the last failure") {
  const Simulation simulation;
  Store store = simulation.open();
  Executor executor(store, {.failures = {.attempts = 2, .initial_pause = 1h, .jitter = 0.0}});
  std::atomic<int> runs = 0;
  std::stop_source stop;
  std::thread caller([&] {
    const auto failing = [&]() -> Result<int> {
      ++runs;
      return std::unexpected(work_retryable("not yet"));
    };
    CHECK(error_of(executor.execute("k", failing, {.stop = stop.get_token()})) ==
          ErrorCode::work_retryable);
  });
  while (runs == 0) std::this_thread::yield();
  stop.request_stop();
  caller.join();
  CHECK(runs == 1);
  CHECK(status(store, "k") == KeyStatus::released);
}

TEST_CASE("options that cannot be are refused by every call, before anything is changed") {
  const auto not_a_number = std::numeric_limits<double>::quiet_NaN();
  const auto infinite = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<ExecutorOptions, std::string>> bad = {
      {{.failures = {.definite_retention = -1ms}}, "a retention of -1 ms"},
      {{.failures = {.not_started_retention = -1ms}}, "a retention of -1 ms"},
      {{.failures = {.retryable_retention = -1ms}}, "a retention of -1 ms"},
      {{.failures = {.attempts = 0}}, "attempts is 0"},
      {{.failures = {.initial_pause = -1ms}}, "a pause is less than none"},
      {{.failures = {.longest_pause = -1ms}}, "a pause is less than none"},
      {{.failures = {.multiplier = 0.99}}, "the multiplier is less than 1"},
      {{.failures = {.multiplier = not_a_number}}, "the multiplier is less than 1"},
      {{.failures = {.multiplier = infinite}}, "has no end"},
      {{.failures = {.jitter = 1.01}}, "the jitter is not from 0 to 1"},
      {{.failures = {.jitter = -0.01}}, "the jitter is not from 0 to 1"},
      {{.failures = {.jitter = not_a_number}}, "the jitter is not from 0 to 1"},
      {{.threads = 0}, "an executor of 0 threads"},
      {{.threads = 1'000'000}, "give 1 to 1024"},
  };
  Store store = Simulation().open();
  value_of(store.execute("done", [] { return 1; }));
  const auto history = [&] {
    int rows = 0;
    value_of(store.history({}, [&](const HistoryEntry&) { return ++rows > 0; }));
    return rows;
  };
  const int before = history();
  const auto work = []() -> int { throw std::logic_error("this must not run"); };
  const std::vector<Key> keys{Key("k")};
  const auto works = [](std::span<const Reservation>) -> std::vector<int> {
    throw std::logic_error("this must not run");
  };
  const auto refused = [](const auto& answer, const std::string& why) {
    CAPTURE(why);
    CHECK(error_of(answer) == ErrorCode::invalid_argument);
    CHECK(answer.error().message.find(why) != std::string::npos);
  };
  for (const auto& [options, why] : bad) {
    Executor executor(store, options);
    refused(executor.execute("k", work), why);
    refused(executor.execute("done", work), why);
    refused(executor.refresh("done", work), why);
    refused(executor.merge("done", work, [](int, int now) { return now; }), why);
    refused(executor.execute_many(keys, works), why);
    refused(executor.execute_async("k", work).get(), why);
  }
  // Of one call, too.
  Executor executor(store);
  const ExecuteOptions wrong{.failure_retention = -1ms};
  refused(store.execute("k", work, wrong), "a retention of -1 ms");
  refused(executor.execute("k", work, wrong), "a retention of -1 ms");
  refused(executor.refresh("done", work, wrong), "a retention of -1 ms");
  refused(executor.refresh("done", work, {.lease = 0ms}), "a lease of 0 ms");
  refused(executor.execute_many(keys, works, wrong), "a retention of -1 ms");
  CHECK(history() == before);
}

TEST_CASE("pauses of nothing and the greatest ones there are do no harm") {
  const Simulation simulation;
  Store store = simulation.open();
  int runs = 0;
  const auto fails = [&]() -> Result<int> {
    ++runs;
    return std::unexpected(work_retryable("no"));
  };
  Executor quick(store, {.failures = {.attempts = 2000,
                                      .initial_pause = 0ms,
                                      .multiplier = 1e300,
                                      .longest_pause = 24h,
                                      .jitter = 1}});
  CHECK(error_of(quick.execute("quick", fails)) == ErrorCode::work_retryable);
  CHECK(runs == 2000);
}
