// Many threads on one store: what is asked for at the same time still happens once, who waits is
// woken, a lease is kept while work runs, and transactions are as if they ran one after the other.
// With the machine's own clock.
//
// Under a sanitizer everything is smaller; ONCE_TEST_SCALE=N divides the sizes by N.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <latch>
#include <numeric>
#include <random>
#include <thread>

#include "once/once.h"
#include "support/check_result.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using namespace std::chrono_literals;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ONCE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define ONCE_SANITIZED 1
#endif
#endif
#ifndef ONCE_SANITIZED
#define ONCE_SANITIZED 0
#endif

namespace {

using SteadyClock = std::chrono::steady_clock;

int scaled(int size) {
  const char* text = std::getenv("ONCE_TEST_SCALE");
  const int by = text != nullptr ? std::atoi(text) : (ONCE_SANITIZED != 0 ? 10 : 1);
  return std::max(size / std::max(by, 1), 4);
}

// Runs `body` in so many threads, which all begin at the same moment.
void in_threads(int count, const std::function<void(int)>& body) {
  std::latch ready(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      ready.arrive_and_wait();
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

std::int64_t number(const std::optional<Bytes>& value) {
  return value ? std::stoll(*value) : 0;
}

// Adds `amount` to a row.
Result<void> add(Transaction& tx, ByteView key, std::int64_t amount) {
  auto value = tx.get(key);
  if (!value) return std::unexpected(value.error());
  return tx.put(key, std::to_string(number(*value) + amount));
}

// What many threads were told.
struct Tally {
  std::atomic<int> first = 0;
  std::atomic<int> replayed = 0;
  std::atomic<int> wrong = 0;

  template <class T>
  void take(const Result<Executed<T>>& answer, const T& expected) {
    if (!answer || answer->value() != expected) {
      ++wrong;
    } else {
      ++(answer->replayed() ? replayed : first);
    }
  }
};

// Every thread asks for every key, each in an order of its own.
void ask_for_all(int threads, int keys, const std::function<void(const std::string& key)>& ask) {
  in_threads(threads, [&](int thread) {
    std::vector<int> order(static_cast<std::size_t>(keys));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(thread)));
    for (const int key : order) ask(std::to_string(key));
  });
}

void execute_all(Store& store, int threads, int keys) {
  Tally tally;
  std::vector<std::atomic<int>> runs(static_cast<std::size_t>(keys));
  ask_for_all(threads, keys, [&](const std::string& key) {
    const auto work = [&] {
      ++runs[std::stoul(key)];
      return "outcome of " + key;
    };
    tally.take<Bytes>(store.execute(key, work, {.durability = Durability::buffered}),
                      "outcome of " + key);
  });
  CHECK(tally.first == keys);
  CHECK(tally.replayed == keys * (threads - 1));
  CHECK(tally.wrong == 0);
  CHECK(std::ranges::count_if(runs, [](const auto& count) { return count == 1; }) == keys);
}

void transact_all(Store& store, int threads, int keys) {
  Tally tally;
  ask_for_all(threads, keys, [&](const std::string& key) {
    const auto work = [&](Transaction& tx) -> Result<Bytes> {
      if (auto added = add(tx, "runs/" + key, 1); !added) return std::unexpected(added.error());
      return "outcome of " + key;
    };
    tally.take<Bytes>(store.transact(key, work, {.durability = Durability::buffered}),
                      "outcome of " + key);
  });
  CHECK(tally.first == keys);
  CHECK(tally.replayed == keys * (threads - 1));
  CHECK(tally.wrong == 0);
  int once_only = 0;
  for (int key = 0; key < keys; ++key) {
    const auto runs = value_of(store.data("runs/" + std::to_string(key)));
    if (number(runs) == 1) ++once_only;
  }
  CHECK(once_only == keys);
}

void execute_one(Store& store) {
  Tally tally;
  std::atomic<int> runs = 0;
  in_threads(64, [&](int) {
    const auto work = [&] {
      ++runs;
      std::this_thread::yield();
      return Bytes("receipt");
    };
    tally.take<Bytes>(store.execute("charge", work), "receipt");
  });
  CHECK(runs == 1);
  CHECK(tally.first == 1);
  CHECK(tally.replayed == 63);
  CHECK(tally.wrong == 0);
}

void transact_one(Store& store) {
  Tally tally;
  in_threads(64, [&](int) {
    const auto work = [](Transaction& tx) -> Result<Bytes> {
      if (auto added = add(tx, "row", 1); !added) return std::unexpected(added.error());
      return "receipt";
    };
    tally.take<Bytes>(store.transact("transfer", work), "receipt");
  });
  CHECK(value_of(store.data("row")) == "1");
  CHECK(tally.first == 1);
  CHECK(tally.replayed == 63);
  CHECK(tally.wrong == 0);
}

void in_each_place(const std::function<void(Store&)>& test) {
  const TemporaryDirectory directory;
  SUBCASE("in memory") {
    Store store = value_of(Store::open("memory:"));
    test(store);
  }
  SUBCASE("in one file") {
    Store store = value_of(Store::open(directory.file("store"), {.layout = Layout::file}));
    test(store);
  }
  SUBCASE("in a directory") {
    Store store = value_of(Store::open(directory.file("store"), {.layout = Layout::directory}));
    test(store);
  }
}

}  // namespace

TEST_CASE("64 threads execute one key: one runs it, 63 get its answer") {
  in_each_place([](Store& store) { execute_one(store); });
}

TEST_CASE("64 threads transact one key: one counts, 63 get its answer") {
  in_each_place([](Store& store) { transact_one(store); });
}

TEST_CASE("64 threads on 10,000 keys in random order: 10,000 executions") {
  SUBCASE("in memory") {
    Store store = value_of(Store::open("memory:"));
    execute_all(store, 64, scaled(10'000));
  }
  SUBCASE("on disk") {
    const TemporaryDirectory directory;
    Store store = value_of(Store::open(directory.file("store")));
    execute_all(store, 64, scaled(10'000));
  }
}

TEST_CASE("64 threads on 10,000 keys in random order: 10,000 transactions") {
  SUBCASE("in memory") {
    Store store = value_of(Store::open("memory:"));
    transact_all(store, 64, scaled(10'000));
  }
  SUBCASE("on disk") {
    const TemporaryDirectory directory;
    Store store = value_of(Store::open(directory.file("store")));
    transact_all(store, 64, scaled(10'000));
  }
}

TEST_CASE("whoever waits is woken by the finish, long before the lease or the wait is over") {
  Store store = value_of(Store::open("memory:"));
  const auto answer = value_of(store.reserve("slow", {.lease = 5min}));
  const auto& reservation = std::get<Reservation>(answer);
  const int waiting = 8;
  std::latch asked(waiting);
  std::atomic<int> right = 0;
  std::vector<std::thread> waiters;
  for (int i = 0; i < waiting; ++i) {
    waiters.emplace_back([&] {
      asked.count_down();
      auto replay = store.reserve("slow", {.wait = 60s});
      const bool same = replay && std::holds_alternative<Replay>(*replay) &&
                        std::get<Replay>(*replay).outcome.value == Bytes("done");
      if (same) ++right;
    });
  }
  asked.wait();
  const auto finished = SteadyClock::now();
  value_of(store.complete(reservation, Outcome::success("done")));
  for (std::thread& waiter : waiters) waiter.join();
  CHECK(right == waiting);
  CHECK(SteadyClock::now() - finished < 10s);
}

TEST_CASE("work may take five times its lease: the heartbeat keeps others away") {
  Store store = value_of(Store::open("memory:"));
  std::atomic<int> runs = 0;
  std::latch started(1);
  const ExecuteOptions options{.lease = 300ms, .on_abandon = OnAbandon::rerun, .wait = 60s};
  const auto ask = [&] {
    return store.execute(
        "long",
        [&] {
          if (runs++ == 0) started.count_down();
          std::this_thread::sleep_for(1500ms);  // the work itself, which takes its time
          return Bytes("done");
        },
        options);
  };
  std::thread other([&] {
    started.wait();
    const auto second = ask();
    CHECK(second);
    CHECK(second->replayed());
    CHECK(second->value() == "done");
  });
  const auto first = ask();
  other.join();
  CHECK_FALSE(value_of(first).replayed());
  CHECK(runs == 1);
}

TEST_CASE("transfers between few accounts keep the sum, and all of them happen") {
  constexpr int accounts = 5;
  constexpr int threads = 8;
  const int each = scaled(200);
  Store store = value_of(Store::open("memory:"));
  std::atomic<int> done = 0;
  std::atomic<int> torn = 0;
  in_threads(threads, [&](int thread) {
    std::mt19937 random(static_cast<unsigned>(thread));
    for (int i = 0; i < each; ++i) {
      const auto from = random() % accounts;
      const auto to = (from + 1 + random() % (accounts - 1)) % accounts;
      const auto work = [&](Transaction& tx) -> Result<Bytes> {
        std::int64_t sum = 0;
        auto scanned = tx.scan("account/", "account0", [&](ByteView, ByteView value) {
          sum += number(Bytes(value));
          return true;
        });
        if (!scanned) return std::unexpected(scanned.error());
        if (sum != 0) ++torn;
        auto moved = add(tx, "account/" + std::to_string(from), -7);
        if (moved) moved = add(tx, "account/" + std::to_string(to), 7);
        if (moved) moved = tx.publish({.type = "moved"});
        if (!moved) return std::unexpected(moved.error());
        return "moved";
      };
      const Key key("", std::to_string(thread), std::to_string(i));
      const auto moved = store.transact(key, work, {.durability = Durability::buffered});
      if (moved && !moved->replayed()) ++done;
    }
  });
  CHECK(done == threads * each);
  CHECK(torn == 0);
  std::int64_t sum = 0;
  for (int i = 0; i < accounts; ++i) {
    sum += number(value_of(store.data("account/" + std::to_string(i))));
  }
  CHECK(sum == 0);
  int events = 0;
  value_of(store.events({}, [&](const Event&) { return ++events > 0; }));
  CHECK(events == threads * each);
  CHECK(value_of(store.verify()).problem_count == 0);
}

TEST_CASE("transactions that all want the same row all succeed, one after the other") {
  constexpr int threads = 16;
  const int each = scaled(50);
  Store store = value_of(Store::open("memory:"));
  std::atomic<int> failed = 0;
  in_threads(threads, [&](int thread) {
    for (int i = 0; i < each; ++i) {
      const Key key("", std::to_string(thread), std::to_string(i));
      const auto added = store.transact(key,
                                        [](Transaction& tx) {
                                          std::this_thread::yield();
                                          return add(tx, "row", 1);
                                        },
                                        {.durability = Durability::buffered});
      if (!added) ++failed;
    }
  });
  CHECK(failed == 0);
  CHECK(number(value_of(store.data("row"))) == threads * each);
}
