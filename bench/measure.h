// Measuring: runs an operation from some threads for a while and says how fast it was.
//
//   const Sample sample = timed(16, 1s, [&](int thread) {
//     return [session = rival.session()](Stopwatch& watch) {
//       const auto key = fresh_key(...);
//       watch.start();
//       session->execute(key, value);
//       watch.stop();
//       check(...);
//     };
//   });
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <expected>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "histogram.h"
#include "once/error.h"
#include "usage/usage.h"

namespace once::bench {

// One workload in one round.
struct Sample {
  std::uint64_t operations = 0;
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  Usage used{};  // for all operations together
  std::uint64_t memory_bytes = 0;
  std::map<std::string, double> figures{};  // what only this workload has to tell
};

// A benchmark that computes the wrong thing fast is worth nothing: every answer goes through here.
inline void check(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("wrong answer: " + what);
}
template <class T>
T check(std::expected<T, Error> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// std::ranges::contains(), which the library of g++ 12 does not have.
template <class List, class Value>
bool contains(const List& list, const Value& value) {
  return std::ranges::find(list, value) != std::ranges::end(list);
}

inline double quantile(std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

// What is timed of an operation: from start() to stop(), once each.
class Stopwatch {
 public:
  using Clock = std::chrono::steady_clock;
  void start() { started_ = Clock::now(); }
  void stop() {
    stopped_ = Clock::now();
    times_.add(static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(stopped_ - started_).count()));
  }
  [[nodiscard]] Clock::time_point stopped() const { return stopped_; }
  [[nodiscard]] const Histogram& times() const { return times_; }

 private:
  Clock::time_point started_;
  Clock::time_point stopped_ = Clock::now();
  Histogram times_;
};

// Runs threads that each do `make(thread)(watch)` until `length` is over, at least once. Operations
// a second are what the threads did in the time that they were at it: making keys and checking
// answers between stop() and start() does not count. What is thrown is thrown here after all
// threads have ended.
template <class Make>
Sample timed(int threads, std::chrono::nanoseconds length, Make make) {
  using Operation = decltype(make(0));
  std::vector<std::unique_ptr<Operation>> operations;
  for (int i = 0; i < threads; ++i) operations.push_back(std::make_unique<Operation>(make(i)));
  std::vector<Stopwatch> watches(static_cast<std::size_t>(threads));
  const Usage before = usage_probe();
  std::latch ready(threads);
  std::atomic<bool> failed = false;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto run = [&](Operation& operation, Stopwatch& watch) {
    ready.arrive_and_wait();
    const auto end = Stopwatch::Clock::now() + length;
    try {
      do operation(watch);
      while (watch.stopped() < end && !failed);
    } catch (...) {
      failed = true;
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> running;
    for (std::size_t i = 1; i < operations.size(); ++i) {
      running.emplace_back([&, i] { run(*operations[i], watches[i]); });
    }
    run(*operations[0], watches[0]);
  }
  if (failure) std::rethrow_exception(failure);

  Sample sample;
  sample.used = usage_probe() - before;
  sample.memory_bytes = memory_probe();  // while the sessions are there
  Histogram all;
  for (const Stopwatch& watch : watches) {
    const Histogram& times = watch.times();
    if (times.count() == 0) continue;
    all.add(times);
    sample.per_second +=
        static_cast<double>(times.count()) * 1e9 / static_cast<double>(times.sum_nanoseconds());
  }
  sample.operations = all.count();
  sample.p50_us = all.quantile(0.5);
  sample.p99_us = all.quantile(0.99);
  sample.p999_us = all.quantile(0.999);
  return sample;
}

// Calls `operation()` from `threads` threads at once until `length` is over, at least once each.
// What an operation throws is thrown here after all threads have ended.
template <class Operation>
Sample measure(int threads, std::chrono::nanoseconds length, Operation operation) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::vector<double>> times(static_cast<std::size_t>(threads));
  std::latch ready(threads + 1);
  std::atomic<bool> failed = false;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto run = [&](std::vector<double>& mine) {
    mine.reserve(1 << 16);
    ready.arrive_and_wait();
    const auto end = Clock::now() + length;
    try {
      for (auto before = Clock::now(); !failed;) {
        operation();
        const auto after = Clock::now();
        mine.push_back(std::chrono::duration<double, std::micro>(after - before).count());
        if (after >= end) break;
        before = after;
      }
    } catch (...) {
      failed = true;
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::jthread> running;
  for (auto& mine : times) running.emplace_back([&run, &mine] { run(mine); });
  ready.arrive_and_wait();
  const auto start = Clock::now();
  running.clear();  // joins
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (failure) std::rethrow_exception(failure);

  std::vector<double> all;
  for (const auto& mine : times) all.insert(all.end(), mine.begin(), mine.end());
  std::ranges::sort(all);
  return {.operations = all.size(),
          .per_second = static_cast<double>(all.size()) / seconds,
          .p50_us = quantile(all, 0.5),
          .p99_us = quantile(all, 0.99)};
}

}  // namespace once::bench
