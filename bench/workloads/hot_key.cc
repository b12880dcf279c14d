// B6: many callers ask for the same key at once; one works for a millisecond, the others wait for
// its answer. Only Once: the rivals have nothing that wakes who waits.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "content.h"
#include "once/once.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

std::uint64_t nanoseconds(Clock::duration time) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::nanoseconds(time).count()));
}

// Like std::barrier, whose waiting threads take the processors from those that are measured.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  // The last one to come calls `then` before all go on.
  template <class Then>
  void arrive_and_wait(Then&& then) {
    std::unique_lock lock(mutex_);
    const std::uint64_t turn = turn_;
    if (++arrived_ == threads_) {
      then();
      arrived_ = 0;
      ++turn_;
      all_here_.notify_all();
    } else {
      all_here_.wait(lock, [&] { return turn_ != turn; });
    }
  }

 private:
  const int threads_;
  std::mutex mutex_;
  std::condition_variable all_here_;
  int arrived_ = 0;
  std::uint64_t turn_ = 0;
};

Sample hot(Bench& bench, int callers, Length length) {
  Store* store = store_of(bench.rival);
  if (store == nullptr) throw Unable("it wakes nobody who waits");
  Histogram late;  // of the answers of who waited, after the work was finished
  Histogram calls;
  std::atomic<std::uint64_t> executions = 0;
  std::atomic<bool> failed = false;
  std::uint64_t keys = 0;
  std::string key;
  std::string outcome;
  Clock::time_point finished;
  std::vector<Clock::time_point> answered(static_cast<std::size_t>(callers));
  std::vector<char> waited(static_cast<std::size_t>(callers));
  Clock::time_point asked;
  const auto next = [&] {
    const auto number = bench.others.load() + keys;
    key = fresh_key("hot", number);
    outcome = random_value(number);
    asked = Clock::now();
  };
  next();
  const auto end = Clock::now() + length;
  bool over = false;
  Barrier begin(callers);
  Barrier answers(callers);
  const auto all_answered = [&] {
    ++keys;
    for (std::size_t i = 0; i < answered.size(); ++i) {
      calls.add(nanoseconds(answered[i] - asked));
      if (waited[i] != 0) late.add(nanoseconds(answered[i] - finished));
    }
    over = failed || Clock::now() >= end;
    next();
  };
  const auto call = [&](std::size_t mine) {
    while (true) {
      begin.arrive_and_wait([] {});
      const auto done = store->execute(key, [&]() -> Bytes {
        ++executions;
        std::this_thread::sleep_for(1ms);
        finished = Clock::now();
        return outcome;
      });
      answered[mine] = Clock::now();
      waited[mine] = done && done->replayed() ? 1 : 0;
      if (!done || done->value() != outcome) failed = true;
      answers.arrive_and_wait(all_answered);
      if (over) return;
    }
  };
  const Usage before = usage_probe();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < answered.size(); ++i) threads.emplace_back(call, i);
  }
  bench.others += keys;
  check(!failed, "an answer to who waited");
  check(executions == keys, "a key was executed twice");
  Sample sample{.operations = calls.count(),
                .per_second = static_cast<double>(calls.count()) * 1e9 * callers /
                              static_cast<double>(calls.sum_nanoseconds()),
                .p50_us = calls.quantile(0.5),
                .p99_us = calls.quantile(0.99),
                .p999_us = calls.quantile(0.999),
                .used = usage_probe() - before};
  sample.figures["executions a key"] = static_cast<double>(executions) / static_cast<double>(keys);
  sample.figures["p50 us after the finish"] = late.quantile(0.5);
  sample.figures["p99 us after the finish"] = late.quantile(0.99);
  return sample;
}

}  // namespace

void add_hot_key(std::vector<Workload>& all) {
  for (const int callers : {2, 16, 64, 256}) {
    all.push_back(
        {.id = "B6",
         .variant = fmt::format("{} callers", callers),
         .what = "one hot key; the winner works for 1 ms, the others wait for its answer",
         .rivals = {"once"},
         .run = [callers](Bench& bench, Length length) { return hot(bench, callers, length); }});
  }
}

}  // namespace once::bench
