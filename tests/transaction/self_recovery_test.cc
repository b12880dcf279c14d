// A coordinator that recovers by itself: before its first transaction, or on a thread of its own.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <limits>
#include <map>
#include <stdexcept>
#include <thread>

#include "../store/fixture.h"
#include "base/mutex.h"
#include "once/coordinator.h"
#include "once/execute.h"

using namespace once;
using namespace once::testing;

namespace {

using Calls = std::vector<std::string>;

// Two participants that note their calls as "commit tx-1 debit", and do as they are told.
class Stage {
 public:
  Simulation simulation{};
  Store store = simulation.open();

  // What a participant answers from now on; called without a lock.
  void answer(const std::string& call, std::function<Result<void>()> answer) {
    MutexLock lock(mutex_);
    answers_[call] = std::move(answer);
  }
  [[nodiscard]] Calls take_calls() {
    MutexLock lock(mutex_);
    return std::exchange(calls_, {});
  }
  // Until so many calls were made since the last take_calls(); ends the test after a minute.
  void wait_for_calls(std::size_t count) {
    const auto clock = system_clock();
    const Duration deadline = clock->since_boot() + 1min;
    MutexLock lock(mutex_);
    while (calls_.size() < count) {
      if (clock->since_boot() >= deadline) FAIL("nobody was called for a minute");
      changed_.wait_until(mutex_, *clock, deadline);
    }
  }
  std::vector<Participant> participants() { return {participant("debit"), participant("credit")}; }
  Coordinator with_participants(CoordinatorOptions options) {
    Coordinator made(store, std::move(options));
    for (Participant& each : participants()) value_of(made.add(std::move(each)));
    return made;
  }
  // Leaves `id` as a crash does right after the decision to commit.
  void crash(const std::string& id) {
    Coordinator dies = with_participants(
        {.self_recovery = SelfRecovery::none, .observer = [](const CoordinatorMoment& moment) {
           if (moment.what == "decision" && !moment.before) throw std::runtime_error("crash");
         }});
    CHECK_THROWS_AS((void)dies.run(Key(id), parts()), std::runtime_error);
    (void)take_calls();
  }
  [[nodiscard]] TransactionState state(const std::string& id) {
    return value_of(find_transaction(store, Key(id)))->state;
  }
  static std::vector<Part> parts() { return {{"debit", "a 1"}, {"credit", "b 1"}}; }

 private:
  Participant participant(const std::string& name) {
    const auto tell = [this](const ParticipantCall& call) { return called(call); };
    return {.name = name,
            .prepare = [this](const ParticipantCall& call) -> Result<Bytes> {
              if (auto done = called(call); !done) return std::unexpected(done.error());
              return "yes";
            },
            .commit = tell,
            .abort = tell};
  }
  Result<void> called(const ParticipantCall& call) {
    const std::string what = std::string(to_string(call.ask)) + " " + call.participant;
    std::function<Result<void>()> answer;
    {
      MutexLock lock(mutex_);
      calls_.push_back(std::string(to_string(call.ask)) + " " + call.transaction.id + " " +
                       call.participant);
      const auto at = answers_.find(what);
      if (at != answers_.end()) answer = at->second;
      changed_.notify_all();
    }
    return answer ? answer() : Result<void>{};
  }

  Mutex mutex_{};
  CondVar changed_{};
  std::map<std::string, std::function<Result<void>()>> answers_ ONCE_GUARDED_BY(mutex_){};
  Calls calls_ ONCE_GUARDED_BY(mutex_){};
};

Result<void> down() {
  return std::unexpected(work_retryable("down"));
}

// Told of what was recovered.
struct Told {
  std::vector<std::string> ids{};
  std::vector<ErrorCode> errors{};
  std::function<void(const Key&, const Result<TransactionReport>&)> hook() {
    return [this](const Key& key, const Result<TransactionReport>& done) {
      ids.push_back(key.id);
      if (!done) errors.push_back(done.error().code);
    };
  }
};

}  // namespace

TEST_CASE("what a crash left is recovered before the first transaction, once") {
  Stage stage;
  stage.crash("tx-1");
  Told told;
  Coordinator coordinator = stage.with_participants({.recovered = told.hook()});
  CHECK(stage.state("tx-1") == TransactionState::committing);  // not by adding participants
  CHECK(value_of(coordinator.run("tx-2", Stage::parts())).commits());
  CHECK(stage.take_calls() == Calls{"commit tx-1 debit", "commit tx-1 credit", "prepare tx-2 debit",
                                    "prepare tx-2 credit", "commit tx-2 debit",
                                    "commit tx-2 credit"});
  CHECK(stage.state("tx-1") == TransactionState::committed);
  CHECK(told.ids == Calls{"tx-1"});
  stage.crash("tx-3");
  CHECK(value_of(coordinator.run("tx-4", Stage::parts())).commits());
  CHECK(stage.state("tx-3") == TransactionState::committing);
  CHECK(told.ids.size() == 1);
  CHECK(problems_of(stage.store) == 0);
}

TEST_CASE("open() recovers before it returns, and refuses what add() would") {
  Stage stage;
  stage.crash("tx-1");
  Coordinator coordinator = value_of(Coordinator::open(stage.store, stage.participants()));
  CHECK(stage.take_calls() == Calls{"commit tx-1 debit", "commit tx-1 credit"});
  stage.crash("tx-2");
  CHECK(value_of(coordinator.run("tx-3", Stage::parts())).commits());
  CHECK(stage.state("tx-2") == TransactionState::committing);

  auto twice = stage.participants();
  twice.push_back(twice.front());
  CHECK(error_of(Coordinator::open(stage.store, std::move(twice))) == ErrorCode::invalid_argument);
  for (const CoordinatorOptions& bad :
       {CoordinatorOptions{.self_recovery = static_cast<SelfRecovery>(0)},
        CoordinatorOptions{.self_recovery_prefix = "a%zz"},
        CoordinatorOptions{.recovery_interval = 0ms},
        CoordinatorOptions{.pause_factor = std::numeric_limits<double>::infinity()}}) {
    CHECK(error_of(Coordinator::open(stage.store, {}, bad)) == ErrorCode::invalid_argument);
    Coordinator made(stage.store, bad);
    CHECK(error_of(made.run("t", Stage::parts())) == ErrorCode::invalid_argument);
  }
  CHECK(stage.state("tx-2") == TransactionState::committing);
  value_of(stage.store.close());
  CHECK(error_of(Coordinator::open(stage.store, stage.participants())) == ErrorCode::closed);
}

TEST_CASE("by hand first, or with none, nothing is recovered by itself") {
  Stage stage;
  Coordinator by_hand = stage.with_participants({});
  CHECK(value_of(by_hand.recover_all()).finished.empty());
  stage.crash("tx-1");
  CHECK(value_of(by_hand.run("tx-2", Stage::parts())).commits());
  CHECK(stage.state("tx-1") == TransactionState::committing);
  Coordinator none = stage.with_participants({.self_recovery = SelfRecovery::none});
  CHECK(value_of(none.run("tx-3", Stage::parts())).commits());
  CHECK(stage.state("tx-1") == TransactionState::committing);
  // By hand, of others, does not take its place.
  Coordinator coordinator = stage.with_participants({});
  CHECK(value_of(coordinator.recover_all("acme/")).finished.empty());
  CHECK(value_of(coordinator.run("tx-4", Stage::parts())).commits());
  CHECK(stage.state("tx-1") == TransactionState::committed);
}

TEST_CASE("only what the prefix names is recovered by itself") {
  Stage stage;
  stage.crash("tx-1");
  Coordinator coordinator = stage.with_participants({.self_recovery_prefix = "acme/"});
  CHECK(value_of(coordinator.run("tx-2", Stage::parts())).commits());
  CHECK(stage.state("tx-1") == TransactionState::committing);
}

TEST_CASE("the transaction that is run is left to that, and is no replay") {
  Stage stage;
  stage.crash("tx-1");
  Told told;
  Coordinator coordinator = stage.with_participants({.recovered = told.hook()});
  const auto done = value_of(coordinator.run("tx-1", Stage::parts()));
  CHECK(done.commits());
  CHECK_FALSE(done.replayed);
  CHECK(told.ids.empty());
}

TEST_CASE("who is down, or throws, is called once and keeps no other transaction") {
  for (const bool throws : {false, true}) {
    CAPTURE(throws);
    Stage stage;
    stage.crash("tx-1");
    stage.crash("tx-2");
    stage.answer("commit debit", down);
    if (throws) {
      stage.answer("commit credit", []() -> Result<void> { throw std::runtime_error("thrown"); });
    }
    // Votes no, so that nobody has to acknowledge what is run.
    stage.answer("prepare debit",
                 [] { return Result<void>(std::unexpected(work_failed("no", "no"))); });
    Told told;
    // Under a clock that stands still: it would be tried again for ever.
    Coordinator coordinator =
        stage.with_participants({.settle_timeout = forever, .recovered = told.hook()});
    CHECK_FALSE(value_of(coordinator.run("tx-3", Stage::parts())).commits());
    CHECK(stage.take_calls() == Calls{"commit tx-1 debit", "commit tx-1 credit",
                                      "commit tx-2 debit", "commit tx-2 credit",
                                      "prepare tx-3 debit"});
    CHECK(told.ids == Calls{"tx-1", "tx-2"});
    CHECK(told.errors == std::vector<ErrorCode>(throws ? 2 : 0, ErrorCode::unknown));
    CHECK(stage.state("tx-1") == TransactionState::committing);
    stage.answer("commit debit", {});
    stage.answer("commit credit", {});
    CHECK(value_of(coordinator.recover_all()).finished.size() == 2);
  }
}

TEST_CASE("a transaction with a participant that is not registered is left as it is") {
  Stage stage;
  stage.crash("tx-1");
  Told told;
  auto one = stage.participants();
  one.pop_back();
  Coordinator coordinator =
      value_of(Coordinator::open(stage.store, std::move(one), {.recovered = told.hook()}));
  CHECK(stage.take_calls().empty());
  CHECK(told.ids == Calls{"tx-1"});
  CHECK(told.errors == std::vector<ErrorCode>{ErrorCode::invalid_argument});
}

TEST_CASE("in the background: at once, and again as long as something is pending") {
  Stage stage;
  stage.crash("tx-1");
  stage.answer("commit credit", down);
  Coordinator coordinator = value_of(Coordinator::open(stage.store, stage.participants(),
                                                       {.settle_timeout = 0ms,
                                                        .self_recovery = SelfRecovery::background,
                                                        .recovery_interval = 1min}));
  stage.wait_for_calls(2);
  CHECK(stage.take_calls() == Calls{"commit tx-1 debit", "commit tx-1 credit"});
  // What run() leaves is gone on with, too.
  CHECK(value_of(coordinator.run("tx-2", Stage::parts())).pending() == Calls{"credit"});
  CHECK(stage.take_calls().size() == 4);
  stage.answer("commit credit", {});
  const auto finished = [&] {
    return stage.state("tx-1") == TransactionState::committed &&
           stage.state("tx-2") == TransactionState::committed;
  };
  CHECK_FALSE(finished());
  // The thread may be about to look at the clock for its next time.
  const Duration deadline = system_clock()->since_boot() + 1min;
  while (!finished()) {
    if (system_clock()->since_boot() >= deadline) FAIL("nothing was recovered for a minute");
    stage.simulation.clock->advance(1s);
    std::this_thread::yield();
  }
  const auto calls = stage.take_calls();
  CHECK(std::ranges::count(calls, "commit tx-1 credit") == 1);
  CHECK(std::ranges::count(calls, "commit tx-2 credit") == 1);
}

TEST_CASE("in the background of one that was not opened: from the first transaction on") {
  Stage stage;
  stage.crash("tx-1");
  {
    Coordinator coordinator = stage.with_participants({.self_recovery = SelfRecovery::background});
    CHECK(value_of(coordinator.run("tx-2", Stage::parts())).commits());
    stage.wait_for_calls(6);
  }
  // Whoever ends it waits for the transaction that it is at.
  CHECK(stage.state("tx-1") == TransactionState::committed);
}

TEST_CASE("a stop, closing the store and the end of the coordinator end its thread") {
  for (const int how : {0, 1, 2}) {
    CAPTURE(how);
    Stage stage;
    stage.crash("tx-1");
    stage.answer("commit credit", down);
    std::stop_source stop;
    {
      Coordinator coordinator = value_of(
          Coordinator::open(stage.store, stage.participants(),
                            {.stop = stop.get_token(), .self_recovery = SelfRecovery::background}));
      stage.wait_for_calls(2);
      if (how == 0) stop.request_stop();
      if (how == 1) value_of(stage.store.close());
      Coordinator moved = std::move(coordinator);
    }
    CHECK(stage.take_calls().size() == 2);
  }
}

TEST_CASE("transactions by futures, on the threads of an executor") {
  Stage stage;
  std::stop_source stop;
  Coordinator coordinator =
      value_of(Coordinator::open(stage.store, stage.participants(), {.stop = stop.get_token()}));
  Executor executor(stage.store, {.threads = 1});
  CHECK(value_of(coordinator.run_async(executor, "tx-1", Stage::parts()).get()).commits());
  CHECK(value_of(coordinator.run_async(executor, "tx-1", Stage::parts()).get()).replayed);
  CHECK(error_of(coordinator.run_async(executor, "tx-2", {}).get()) == ErrorCode::invalid_argument);
  std::promise<void> go_on;
  auto occupied = executor.call_async("occupied", [&]() -> Result<void> {
    go_on.get_future().wait();
    return {};
  });
  auto cancelled = coordinator.run_async(executor, "tx-3", Stage::parts());
  stop.request_stop();
  CHECK(error_of(cancelled.get()) == ErrorCode::cancelled);
  go_on.set_value();
  value_of(occupied.get());
  CHECK_FALSE(value_of(find_transaction(stage.store, Key("tx-3"))));
}
