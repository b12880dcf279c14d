// Futures, and cancelling waits.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "once/execute.h"
#include "once/inbox.h"
#include "once/pipeline.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Keeps the only thread of an executor at work until it goes.
class Occupied {
 public:
  explicit Occupied(Executor& executor)
      : running_(executor.call_async("occupied", [this]() -> Result<int> {
          begun_ = true;
          begun_.notify_all();
          go_on_.wait(false);
          return 0;
        })) {
    begun_.wait(false);
  }
  Occupied(const Occupied&) = delete;
  Occupied& operator=(const Occupied&) = delete;
  ~Occupied() {
    go_on_ = true;
    go_on_.notify_all();
    running_.wait();
  }

 private:
  std::atomic<bool> begun_ = false;
  std::atomic<bool> go_on_ = false;
  std::future<Result<int>> running_;
};

class Doubling : public Pipeline<int, int, int> {
 public:
  using Pipeline::Pipeline;

 protected:
  Result<int> process(const int& input) override { return input; }
  Result<int> execute(const int& prepared, const Reservation&) override { return 2 * prepared; }
};

}  // namespace

TEST_CASE("the same calls by futures") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store);
  auto first = executor.execute_async("k", [] { return 1; });
  CHECK(value_of(first.get()).value() == 1);
  CHECK(value_of(executor.execute_async("k", [] { return 2; }).get()).replayed());
  auto fails = executor.execute_async(
      "f", []() -> Result<int> { return std::unexpected(work_failed("no", "no")); });
  CHECK(error_of(fails.get()) == ErrorCode::work_failed);
  auto throws = executor.execute_async("x", []() -> int { throw std::runtime_error("mine"); });
  CHECK_THROWS_WITH(throws.get(), "mine");
  // Work that can only be moved.
  auto moved = executor.execute_async(
      "m", [text = std::make_unique<std::string>("moved")] { return *text; });
  CHECK(value_of(moved.get()).value() == "moved");
}

TEST_CASE("many asynchronous calls on few threads run each key once") {
  Store store = value_of(Store::open("memory:"));
  std::atomic<int> runs = 0;
  std::atomic<int> at_once = 0;
  std::atomic<int> most = 0;
  std::vector<std::future<Result<Executed<int>>>> answers;
  {
    Executor executor(store, {.threads = 3});
    for (int i = 0; i < 60; ++i) {
      answers.push_back(executor.execute_async(Key(std::to_string(i % 20)), [&, i] {
        const int now = ++at_once;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        ++runs;
        --at_once;
        return i % 20;
      }));
    }
    for (std::size_t i = 0; i < answers.size(); ++i) {
      CHECK(value_of(answers[i].get()).value() == static_cast<int>(i % 20));
    }
  }
  CHECK(runs == 20);
  CHECK(most <= 3);
}

TEST_CASE("a full queue refuses, and an executor that goes cancels what has not begun") {
  Store store = value_of(Store::open("memory:"));
  std::atomic<bool> begun = false;
  std::atomic<bool> go_on = false;
  auto executor = std::make_unique<Executor>(store, ExecutorOptions{.threads = 1, .queue = 1});
  auto running = executor->execute_async("running", [&] {
    begun = true;
    begun.notify_all();
    go_on.wait(false);
    return 1;
  });
  begun.wait(false);
  auto waiting = executor->execute_async("waiting", [] { return 2; });
  auto refused = executor->execute_async("refused", [] { return 3; });
  CHECK(error_of(refused.get()) == ErrorCode::limit_exceeded);
  std::thread destroyer([&] { executor.reset(); });
  CHECK(error_of(waiting.get()) == ErrorCode::cancelled);
  go_on = true;
  go_on.notify_all();
  CHECK(value_of(running.get()).value() == 1);
  destroyer.join();
  CHECK(value_of(store.status("waiting")) == KeyStatus::none);
}

TEST_CASE("a stop wakes whoever waits for a key, and changes nothing") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store);
  const Reservation mine = reserved(store.reserve("k"));
  const auto cancelled = [&](const auto& call) {
    std::stop_source stop;
    std::atomic<bool> asking = false;
    std::thread waiter([&] {
      asking = true;
      asking.notify_all();
      CHECK(error_of(call(stop.get_token())) == ErrorCode::cancelled);
    });
    asking.wait(false);
    stop.request_stop();
    waiter.join();
  };
  const auto work = [] { return 1; };
  cancelled([&](std::stop_token stop) {
    return executor.execute("k", work, {.wait = 1h, .stop = stop});
  });
  cancelled(
      [&](std::stop_token stop) { return store.execute("k", work, {.wait = 1h, .stop = stop}); });
  cancelled([&](std::stop_token stop) { return store.reserve("k", {.wait = 1h, .stop = stop}); });
  cancelled([&](std::stop_token stop) {
    return store.transact("k", [](Transaction&) { return 1; }, {.wait = 1h, .stop = stop});
  });
  cancelled([&](std::stop_token stop) {
    return executor.refresh("k", work, {.wait = 1h, .stop = stop});
  });
  Inbox inbox(store, "billing");
  const Reservation event = reserved(store.reserve(inbox.key_of("e")));
  cancelled([&](std::stop_token stop) {
    return Inbox(store, "billing", {.wait = 1h, .stop = stop}).process("e", [](Transaction&) {
      return 1;
    });
  });
  CHECK(value_of(store.find(event.key))->record.token == event.token);
  CHECK(value_of(store.find("k"))->record.token == mine.token);
  value_of(store.complete(mine, Outcome::success("5")));
  // One that was stopped before still gets what there is without waiting.
  std::stop_source stopped;
  stopped.request_stop();
  CHECK(value_of(store.execute("k", work, {.stop = stopped.get_token()})).value() == 5);
  CHECK(error_of(executor.execute_async("k", work, {.stop = stopped.get_token()}).get()) ==
        ErrorCode::cancelled);
}

TEST_CASE("batches, pipelines, inboxes and any call by futures, on the same threads") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store, {.threads = 1});
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id there{};
  auto any = executor.call_async("any", [&]() -> Result<std::string> {
    there = std::this_thread::get_id();
    return "any";
  });
  CHECK(value_of(any.get()) == "any");
  CHECK(there != here);

  const auto both = [&](std::span<const Reservation> mine) {
    CHECK(std::this_thread::get_id() == there);
    std::vector<int> lengths;
    for (const Reservation& reservation : mine) {
      lengths.push_back(static_cast<int>(reservation.key.id.size()));
    }
    return lengths;
  };
  auto many = value_of(executor.execute_many_async({Key("a"), Key("bb")}, both).get());
  REQUIRE(many.size() == 2);
  CHECK(value_of(std::move(many[1])).value() == 2);
  CHECK(value_of(executor.execute_many_async({}, both).get()).empty());

  Doubling doubling(executor);
  CHECK(value_of(doubling.run_async("p", 21).get()).value() == 42);
  CHECK(value_of(doubling.run_async("p", 21).get()).replayed());

  const auto work = [&](Transaction& tx) -> Result<int> {
    CHECK(std::this_thread::get_id() == there);
    value_of(tx.put("row", "1"));
    return 7;
  };
  // The inbox itself need not last.
  auto processed = Inbox(store, "billing").process_async(executor, "e", work);
  CHECK(value_of(processed.get()).value() == 7);
  Inbox inbox(store, "billing");
  CHECK(value_of(inbox.process_async(executor, "e", work).get()).replayed());
  value_of(inbox.process_async(executor, "f", "payload", work).get());
  CHECK(error_of(inbox.process_async(executor, "f", "another", work).get()) == ErrorCode::mismatch);
  const auto asked = [](int amount) {
    return value_of(question_of(Fields().add("amount", amount).add("to", "bob")));
  };
  value_of(inbox.process_async(executor, "g", asked(1), work).get());
  const auto differs = inbox.process_async(executor, "g", asked(2), work).get();
  CHECK(error_of(differs) == ErrorCode::mismatch);
  CHECK(differs.error().differing_fields == std::vector<std::string>{"amount"});
  auto throws = inbox.process_async(executor, "t",
                                    [](Transaction&) -> int { throw std::runtime_error("mine"); });
  CHECK_THROWS_WITH(throws.get(), "mine");
}

TEST_CASE("a call that is cancelled before it has begun does not run, whatever it is") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store, {.threads = 1});
  Doubling doubling(executor);
  std::stop_source stop;
  const ExecuteOptions stoppable{.stop = stop.get_token()};
  Inbox inbox(store, "billing", {.stop = stop.get_token()});
  std::atomic<int> runs = 0;
  const auto work = [&] { return ++runs; };
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> alive = held;
  {
    const Occupied occupied(executor);
    auto one = executor.execute_async("k", work, stoppable);
    auto many = executor.execute_many_async(
        {Key("a")},
        [&](std::span<const Reservation> mine) { return std::vector<int>(mine.size(), ++runs); },
        stoppable);
    auto staged = doubling.run_async("p", 1, stoppable);
    auto event = inbox.process_async(executor, "e", [&runs, held](Transaction&) { return ++runs; });
    auto any =
        executor.call_async("any", [&]() -> Result<int> { return ++runs; }, stop.get_token());
    held.reset();
    CHECK_FALSE(alive.expired());
    stop.request_stop();
    // At once: the only thread is still at something else. The work is gone too.
    CHECK(alive.expired());
    CHECK(error_of(one.get()) == ErrorCode::cancelled);
    const auto told = many.get();
    CHECK(error_of(told) == ErrorCode::cancelled);
    CHECK(told.error().message.find("the call for a and others was cancelled") == 0);
    CHECK(error_of(staged.get()) == ErrorCode::cancelled);
    CHECK(error_of(event.get()) == ErrorCode::cancelled);
    CHECK(error_of(any.get()) == ErrorCode::cancelled);
  }
  CHECK(runs == 0);
  CHECK(value_of(store.status("k")) == KeyStatus::none);
  CHECK_FALSE(value_of(inbox.processed("e")));
}
