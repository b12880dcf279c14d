// B14: ten minutes at 70 % of what 16 threads can do, while what is old expires and is swept: does
// every second bring progress, and do file and memory stay level?
#include <algorithm>
#include <thread>

#include "content.h"
#include "once/once.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int threads = 16;
constexpr int lengths = 600;  // ten minutes with rounds of a second
constexpr double load = 0.7;
constexpr int sweeps = 40;       // in all that time
constexpr int trial_sweeps = 2;  // while it is found out what the threads can do

// The greatest of the second half to the greatest of the quarter before it: what a store grows to
// in its first quarter is no growth any more.
double levelled(const std::vector<double>& values) {
  const auto at = [&](std::size_t quarter) {
    return values.begin() + static_cast<std::ptrdiff_t>(values.size() * quarter / 4);
  };
  if (values.size() < 4) return 1;
  return *std::max_element(at(2), values.end()) / *std::max_element(at(1), at(2));
}

// Sweeps so many times, a pause apart, and calls look() after each. Ends early when `over` says so.
template <class Look>
void keep_up(Store& store, int times, Clock::duration pause, const std::atomic<bool>& over,
             Look&& look) {
  auto at = Clock::now();
  for (int i = 0; i < times && !over; ++i, at += pause) {
    std::this_thread::sleep_until(at);
    check(store.sweep());
    look();
  }
}

Sample last(Bench& bench, Length length) {
  if (store_of(bench.rival) == nullptr) throw Unable("only Once is run for so long");
  const Length whole = length * lengths;
  const auto pause = std::chrono::duration_cast<Clock::duration>(whole / sweeps);
  const auto kept = std::chrono::ceil<Duration>(whole / 20);
  const auto path = bench.folder / "lasting";
  auto store = check(Store::open(path.string(), {.history_retention = kept}));
  std::atomic<std::uint64_t> next = 0;
  const auto execute = [&](std::uint64_t number) {
    const auto done = check(store.execute(
        fresh_key("charge", number), [&] { return random_value(number); }, {.retention = kept}));
    check(!done.replayed() && done.value() == random_value(number), "an execution");
  };
  std::atomic<bool> failed = false;
  // What an empty store can do in its first seconds it cannot go on doing: sweeping and merging are
  // part of the work.
  Sample most;
  {
    const std::jthread sweeping([&] { keep_up(store, trial_sweeps, pause, failed, [] {}); });
    most = timed(threads, whole * trial_sweeps / sweeps, [&](int) {
      return [&](Stopwatch& watch) {
        watch.start();
        execute(next++);
        watch.stop();
      };
    });
  }

  // Every thread has its times to begin; who is late begins at once, and its lateness counts.
  const std::chrono::duration<double> between(threads / (most.per_second * load));
  const auto interval = std::chrono::duration_cast<Clock::duration>(between);
  std::vector<Histogram> times(threads);
  std::vector<std::atomic<std::uint64_t>> seconds(
      static_cast<std::size_t>(std::chrono::ceil<std::chrono::seconds>(whole).count()) + 1);
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const Usage before = usage_probe();
  const auto start = Clock::now();
  const auto end = start + whole;
  const auto work = [&](Histogram& mine, Clock::time_point at) {
    try {
      for (; at < end && !failed; at += interval) {
        std::this_thread::sleep_until(at);
        execute(next++);
        const auto now = Clock::now();
        mine.add(static_cast<std::uint64_t>(std::chrono::nanoseconds(now - at).count()));
        const auto second = static_cast<std::size_t>((now - start) / 1s);
        if (second < seconds.size()) ++seconds[second];
      }
    } catch (...) {
      failed = true;
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  std::vector<double> memory;
  std::vector<double> file;
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back(work, std::ref(times[static_cast<std::size_t>(i)]),
                           start + interval * i / threads);
    }
    keep_up(store, sweeps, pause, failed, [&] {
      memory.push_back(static_cast<double>(memory_now({})));
      file.push_back(static_cast<double>(disk_bytes(bench.folder)));
    });
  }
  if (failure) std::rethrow_exception(failure);
  Histogram all;
  for (const Histogram& mine : times) all.add(mine);
  const auto took = std::chrono::duration<double>(whole).count();
  Sample sample{.operations = all.count(),
                .per_second = static_cast<double>(all.count()) / took,
                .p50_us = all.quantile(0.5),
                .p99_us = all.quantile(0.99),
                .p999_us = all.quantile(0.999),
                .used = usage_probe() - before};
  check(store.close());
  std::filesystem::remove_all(path);
  const auto whole_seconds = static_cast<std::ptrdiff_t>(whole / 1s);
  sample.figures = {
      {"ops/s without a pause", most.per_second},
      {"seconds without progress",
       static_cast<double>(std::count_if(seconds.begin(), seconds.begin() + whole_seconds,
                                         [](const auto& count) { return count == 0; }))},
      {"p99.9 to p50", sample.p999_us / sample.p50_us},
      {"file, second half to before", levelled(file)},
      {"memory, second half to before", levelled(memory)}};
  return sample;
}

}  // namespace

void add_lasting(std::vector<Workload>& all) {
  all.push_back({.id = "B14",
                 .variant = "16 threads",
                 .what = "600 times a round's length at 70 % of what it can do",
                 .takes_long = true,
                 .rounds = 1,
                 .rivals = {"once"},
                 .run = last});
}

}  // namespace once::bench
