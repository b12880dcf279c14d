// Counters by label: what is counted is found again, from many threads, with a bounded number of
// labels.
#include "metrics/meters.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using namespace once;
using namespace once::metrics;
using namespace std::chrono_literals;

TEST_CASE("what is counted is found under its label and in the total") {
  Meters meters(true);
  const Key charge("acme", "charge", "1");
  const Key other_id("acme", "charge", "2");
  const Key refund("acme", "refund", "1");
  meters.count(charge, Counted::executions);
  meters.count(other_id, Counted::replays);
  meters.count(refund, Counted::busy);
  meters.count(refund, Counted::mismatches);
  meters.count(refund, Counted::in_doubt);
  meters.count("plain", Counted::fenced);
  const auto labels = meters.labels();
  REQUIRE(labels.size() == 3);
  CHECK(labels[0].tenant.empty());
  CHECK(labels[0].counts.fenced == 1);
  CHECK(labels[1].operation == "charge");
  CHECK(labels[1].counts.executions == 1);
  CHECK(labels[1].counts.replays == 1);
  CHECK(labels[1].counts.hit_rate() == 0.5);
  CHECK(labels[2].operation == "refund");
  CHECK(labels[2].counts.mismatches == 1);
  CHECK(labels[2].counts.duplicates_avoided() == 2);
  CHECK(labels[2].counts.hit_rate() == 0);
  const Counts total = meters.total();
  CHECK(total.executions == 1);
  CHECK(total.replays == 1);
  CHECK(total.busy == 1);
  CHECK(total.mismatches == 1);
  CHECK(total.in_doubt == 1);
  CHECK(total.fenced == 1);
}

TEST_CASE("parts are not joined: (ab, c) is another label than (a, bc)") {
  Meters meters(true);
  meters.count(Key("ab", "c", "1"), Counted::executions);
  meters.count(Key("a", "bc", "1"), Counted::executions);
  meters.count(Key("", "abc", "1"), Counted::executions);
  meters.count(Key("abc", "", "1"), Counted::executions);
  CHECK(meters.labels().size() == 4);
}

TEST_CASE("there are at most so many labels; the others are counted together") {
  Meters meters(true);
  for (int i = 0; i < 1000; ++i) {
    meters.count(Key("t" + std::to_string(i), "", "1"), Counted::executions);
    meters.time(Key("t" + std::to_string(i), "", "1"), Timed::commit, 1us);
  }
  const auto labels = meters.labels();
  REQUIRE(labels.size() == max_figure_labels + 1);
  CHECK(labels.back().others);
  CHECK(labels.back().counts.executions == 1000 - max_figure_labels);
  CHECK(labels.back().counts.commit.count() == 1000 - max_figure_labels);
  CHECK_FALSE(labels.front().others);
  CHECK(meters.total().executions == 1000);
  // Those that were first keep their own.
  meters.count(Key("t0", "", "2"), Counted::executions);
  CHECK(meters.labels().front().counts.executions == 2);
}

TEST_CASE("without details only totals are counted") {
  Meters meters(false);
  meters.count(Key("a", "b", "1"), Counted::executions);
  meters.time(Key("a", "b", "1"), Timed::execute, 1s);
  CHECK(meters.labels().empty());
  CHECK(meters.total().executions == 1);
  CHECK(meters.total().execute.count() == 0);
}

TEST_CASE("latencies tell how many took how long") {
  Meters meters(true);
  for (int i = 0; i < 90; ++i) meters.time("k", Timed::execute, 3us);
  for (int i = 0; i < 10; ++i) meters.time("k", Timed::execute, 900us);
  meters.time("k", Timed::commit, 1h);
  meters.time("k", Timed::commit, -1ns);
  const Counts total = meters.total();
  CHECK(total.execute.count() == 100);
  CHECK(total.execute.within(0.5) == 4us);
  CHECK(total.execute.within(0.9) == 4us);
  CHECK(total.execute.within(0.91) == 1024us);
  CHECK(total.execute.within(1) == 1024us);
  CHECK(total.execute.mean() == std::chrono::nanoseconds(90 * 3us + 10 * 900us) / 100);
  CHECK(total.commit.count() == 2);
  CHECK(total.commit.within(0.5) == 1us);
  CHECK(total.commit.within(1) == std::chrono::microseconds::max());
  CHECK(Latencies().within(0.5) == 0us);
  CHECK(Latencies().mean() == 0ns);
}

TEST_CASE("threads that count at once lose nothing, whatever labels they are the first to use") {
  Meters meters(true);
  constexpr int threads = 8;
  constexpr int rounds = 2000;
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&meters] {
      for (int i = 0; i < rounds; ++i) {
        const Key key(std::to_string(i % 300), "op", "1");
        meters.count(key, Counted::executions);
        meters.time(key, Timed::commit, 2us);
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  CHECK(meters.total().executions == threads * rounds);
  CHECK(meters.total().commit.count() == threads * rounds);
  const auto labels = meters.labels();
  CHECK(labels.size() <= max_figure_labels + 1);
  CHECK(labels.size() > max_figure_labels - threads);
  std::uint64_t sum = 0;
  for (const LabelFigures& label : labels) sum += label.counts.executions;
  CHECK(sum == threads * rounds);
}
