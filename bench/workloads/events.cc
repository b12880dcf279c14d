// B9: a commit with an event, and delivering what was committed to a receiver that does nothing.
#include <algorithm>
#include <cstring>

#include "content.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

constexpr int enqueuers = 16;
constexpr std::uint64_t worth_delivering = 20'000;

Sample enqueue(Bench& bench, Length length) {
  return timed(enqueuers, length, [&](int) {
    return [&bench, session = bench.rival.session()](Stopwatch& watch) {
      const auto number = bench.published.fetch_add(1);
      const auto key = fresh_key("order", number);
      const auto value = random_value(number);
      watch.start();
      session->publish(key, value, value);
      watch.stop();
    };
  });
}

std::uint64_t first_word(std::string_view payload) {
  check(payload.size() == value_bytes, "the length of an event");
  std::uint64_t word = 0;
  std::memcpy(&word, payload.data(), sizeof(word));
  return word;
}

// All that is pending, which the workload before has left; more of it when that was little.
Sample deliver(Bench& bench, Length length) {
  if (bench.published - bench.delivered < worth_delivering) enqueue(bench, length);
  const auto session = bench.rival.session();
  const std::uint64_t pending = bench.published - bench.delivered;
  std::uint64_t taken = 0;
  const Usage before = usage_probe();
  const auto start = std::chrono::steady_clock::now();
  const auto delivered =
      session->deliver([&](std::string_view payload) { taken += first_word(payload); });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const Usage used = usage_probe() - before;
  check(delivered == pending, "how many events were delivered");
  for (; bench.delivered < bench.published; ++bench.delivered) {
    taken -= first_word(random_value(bench.delivered));
  }
  check(taken == 0, "what was delivered");
  const double us = took.count() * 1e6 / static_cast<double>(delivered);
  return {.operations = delivered,
          .per_second = static_cast<double>(delivered) / took.count(),
          .p50_us = us,
          .p99_us = us,
          .used = used};
}

}  // namespace

void add_events(std::vector<Workload>& all) {
  all.push_back({.id = "B9",
                 .variant = fmt::format("enqueue, {} threads", enqueuers),
                 .what = "outcome and event in one commit",
                 .run = enqueue});
  all.push_back({.id = "B9",
                 .variant = "deliver",
                 .what = "delivering events to nowhere, in order",
                 .run = deliver});
}

}  // namespace once::bench
