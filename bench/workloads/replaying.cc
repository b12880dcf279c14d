// B4, B5: asking for what is finished, and for what was never seen.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "content.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

constexpr double zipf_exponent = 0.99;
constexpr std::size_t zipf_draws = std::size_t{1} << 18;

// Numbers below `of` with Zipf's distribution, in the order in which they are to be asked for. The
// frequent ones are scattered over the keys. Drawn by inverting the integral of x^-0.99, which is
// off by little from the sum and needs no table of all keys.
std::vector<std::uint64_t> draw_zipf(std::uint64_t of) {
  std::vector<std::uint64_t> draws(zipf_draws);
  const double rest = 1 - zipf_exponent;
  const double all = (std::pow(static_cast<double>(of) + 1, rest) - 1) / rest;
  std::uint64_t state = of;
  for (auto& draw : draws) {
    const double part = static_cast<double>(mix(state) >> 11) * 0x1p-53;
    const double rank = std::pow(part * all * rest + 1, 1 / rest) - 1;
    std::uint64_t scatter = std::min(static_cast<std::uint64_t>(rank), of - 1);
    draw = mix(scatter) % of;
  }
  return draws;
}

const std::vector<std::uint64_t>& zipf(std::uint64_t of) {
  static std::uint64_t drawn_of = 0;
  static std::vector<std::uint64_t> draws;
  if (drawn_of != of) {
    draws = draw_zipf(of);
    drawn_of = of;
  }
  return draws;
}

// Each key once before the first round, so that what fits into a cache is there. Servers have all
// keys in memory since they were filled.
void warm(Bench& bench) {
  if (!bench.rival.servers().empty() || !bench.notes.emplace("warm", 1).second) return;
  const auto session = bench.rival.session();
  for (std::uint64_t i = 0; i < bench.filled; ++i) {
    check(session->replay(filled_key(i)) == random_value(i), "a replay");
  }
}

Sample replay(Bench& bench, bool uniform, int threads, Length length) {
  warm(bench);
  const auto& draws = zipf(bench.filled);
  return timed(threads, length, [&](int) {
    const std::uint64_t start = bench.turn.fetch_add(1);
    std::uint64_t random = start;
    return [&bench, &draws, uniform, random, at = mix(random),
            session = bench.rival.session()](Stopwatch& watch) mutable {
      const auto number = uniform ? mix(random) % bench.filled : draws[at++ % draws.size()];
      const auto key = filled_key(number);
      watch.start();
      const auto outcome = session->replay(key);
      watch.stop();
      check(outcome == random_value(number), "a replay");
    };
  });
}

Sample absent(Bench& bench, Length length) {
  return timed(1, length, [&](int) {
    std::uint64_t random = bench.turn.fetch_add(1);
    return [&bench, random, session = bench.rival.session()](Stopwatch& watch) mutable {
      const auto key = absent_key(mix(random) % bench.filled);
      watch.start();
      const bool seen = session->seen(key);
      watch.stop();
      check(!seen, "a key that nobody used was found");
    };
  });
}

}  // namespace

void add_replaying(std::vector<Workload>& all) {
  std::vector<std::string> rivals;
  for (const auto& rival : all_rivals()) rivals.push_back(rival.name);
  for (const bool uniform : {true, false}) {
    for (const int threads : {1, 2}) {
      all.push_back({.id = "B4",
                     .variant = fmt::format("{}, {} thread{}", uniform ? "uniform" : "Zipf 0.99",
                                            threads, threads > 1 ? "s" : ""),
                     .what = "replay of finished keys",
                     .rivals = rivals,
                     .run = [uniform, threads](Bench& bench, Length length) {
                       return replay(bench, uniform, threads, length);
                     }});
    }
  }
  all.push_back(
      {.id = "B5", .variant = "1 thread", .what = "a key that was never seen", .run = absent});
}

}  // namespace once::bench
