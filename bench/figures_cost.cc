// What counting by tenant and operation costs: the same work with Options::figures on and off, in
// turns, in memory, where nothing else takes long.
//
//   build/bench/figures-cost [ROUNDS]
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "measure.h"
#include "metrics/meters.h"
#include "once/store.h"

namespace {

using namespace once;
using namespace once::bench;
using namespace std::chrono_literals;

constexpr auto length = 300ms;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return quantile(values, 0.5);
}

Store open(bool figures) {
  Options options;
  options.figures = figures;
  return check(Store::open("memory:", options));
}

// How long one replay, or one new transaction, takes at the median; microseconds.
double replay(bool figures, int threads) {
  Store store = open(figures);
  const Key key("acme", "charge", "order-42");
  check(store.execute(key, [] { return 1; }));
  return 1e6 * threads /
         measure(threads, length, [&] {
           bench::check(check(store.execute(key, [] { return 2; })).replayed(), "not a replay");
         }).per_second;
}

double transaction(bool figures, int threads) {
  Store store = open(figures);
  std::atomic<int> next = 0;
  return 1e6 * threads /
         measure(threads, length, [&] {
           const Key key("acme", "charge", std::to_string(next++));
           check(store.transact(key, [](Transaction& tx) { return tx.put("row", "value"); }));
         }).per_second;
}

double counter(int threads) {
  metrics::Meters meters(true);
  const Key key("acme", "charge", "order-42");
  constexpr int batch = 1000;
  return 1e9 * threads / batch / measure(threads, length, [&] {
                                   for (int i = 0; i < batch; ++i)
                                     meters.count(key, metrics::Counted::executions);
                                 }).per_second;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  using Run = double (*)(bool, int);
  for (const auto& [name, run] : {std::pair<const char*, Run>{"replay", replay},
                                  std::pair<const char*, Run>{"transaction", transaction}}) {
    for (const int threads : {1, 4}) {
      std::vector<double> on;
      std::vector<double> off;
      std::vector<double> ratios;
      for (int round = 0; round < rounds; ++round) {
        on.push_back(run(true, threads));
        off.push_back(run(false, threads));
        ratios.push_back(on.back() / off.back());
      }
      fmt::print("{:<12} {} thread{}  on {:8.2f} us  off {:8.2f} us  ratio {:.3f}\n", name, threads,
                 threads == 1 ? " " : "s", median(on), median(off), median(ratios));
    }
  }
  for (const int threads : {1, 4}) {
    fmt::print("one count    {} thread{}  {:.1f} ns\n", threads, threads == 1 ? " " : "s",
               counter(threads));
  }
}
