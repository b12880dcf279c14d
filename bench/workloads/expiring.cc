// B8: removing half of all keys, which have expired, while others go on to execute.
#include <algorithm>
#include <exception>
#include <thread>

#include "content.h"
#include "once/once.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

using namespace std::chrono_literals;

constexpr int load_threads = 4;
// What a key takes at least: its name, 40 bytes of record, its value.
constexpr double live_bytes_of_a_key = 17 + 40 + value_bytes;
// A row of Once's history, which is live data too: two for each key.
constexpr double live_bytes_of_history = 48;

Sample load(Bench& bench, Length length) {
  return timed(load_threads, length, [&](int) {
    return [&bench, session = bench.rival.session()](Stopwatch& watch) {
      const auto number = bench.executed.fetch_add(1);
      const auto key = fresh_key("charge", number);
      const auto outcome = random_value(number);
      watch.start();
      session->execute(key, outcome);
      watch.stop();
    };
  });
}

double live_bytes(Bench& bench) {
  double bytes = static_cast<double>(bench.rival.finished()) * live_bytes_of_a_key;
  if (Store* store = store_of(bench.rival); store != nullptr) {
    bytes += static_cast<double>(check(store->stats()).history) * live_bytes_of_history;
  }
  return bytes;
}

Sample expire(Bench& bench, Length length) {
  if (!bench.rival.expires()) throw Unable("it removes what has expired in its own time");
  // As many as stay, which expire only when all of them are there.
  const auto expires_at =
      now_ms() + 2000 + static_cast<std::int64_t>(bench.filled / 25);  // 40 us each
  const auto expired = [&](std::uint64_t i) { return expired_key(i, bench.filled); };
  fill(bench.rival, expired, 0, bench.filled, expires_at);
  const Sample before = load(bench, length);
  while (now_ms() <= expires_at) std::this_thread::sleep_for(10ms);

  std::atomic<bool> over = false;
  std::exception_ptr failure;
  std::chrono::duration<double> took{};
  const Usage at_start = usage_probe();
  std::jthread expiring([&, session = bench.rival.session()] {
    const auto start = std::chrono::steady_clock::now();
    try {
      session->expire();
    } catch (...) {
      failure = std::current_exception();
    }
    took = std::chrono::steady_clock::now() - start;
    over = true;
  });
  std::vector<double> p99s;
  do p99s.push_back(load(bench, std::min<Length>(length, 500ms)).p99_us);
  while (!over);
  expiring.join();
  if (failure) std::rethrow_exception(failure);

  const auto session = bench.rival.session();
  for (std::uint64_t i = 0; i < bench.filled; i += bench.filled / 100 + 1) {
    check(!session->seen(expired(i)), "an expired key is still there");
  }
  const double us = took.count() * 1e6 / static_cast<double>(bench.filled);
  Sample sample{.operations = bench.filled,
                .per_second = static_cast<double>(bench.filled) / took.count(),
                .p50_us = us,
                .p99_us = us,
                .used = usage_probe() - at_start};
  std::ranges::sort(p99s);
  sample.figures["seconds"] = took.count();
  sample.figures["p99 of the load, times"] = quantile(p99s, 0.5) / before.p99_us;
  sample.figures["file to live data"] =
      static_cast<double>(disk_bytes(bench.folder)) / live_bytes(bench);
  return sample;
}

}  // namespace

void add_expiring(std::vector<Workload>& all) {
  all.push_back({.id = "B8",
                 .variant = "half of all",
                 .what = "removing expired keys under load",
                 .takes_long = true,
                 .rounds = 1,
                 .run = expire});
}

}  // namespace once::bench
