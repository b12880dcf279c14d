// Futures, and cancelling waits.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

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
  CHECK(value_of(store.find("k"))->record.token == mine.token);
  value_of(store.complete(mine, Outcome::success("5")));
  // One that was stopped before still gets what there is without waiting.
  std::stop_source stopped;
  stopped.request_stop();
  CHECK(value_of(store.execute("k", work, {.stop = stopped.get_token()})).value() == 5);
  CHECK(error_of(executor.execute_async("k", work, {.stop = stopped.get_token()}).get()) ==
        ErrorCode::cancelled);
}
