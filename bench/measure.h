// Measuring: runs an operation from some threads for a while and says how fast it was.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <expected>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "once/error.h"

namespace once::bench {

// One workload in one round.
struct Sample {
  std::uint64_t operations = 0;
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
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

inline double quantile(std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
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
