// Figures: what a store has done since it was opened, and what there is in it, by tenant and
// operation.
//
//   const once::Figures figures = store.figures().value();
//   show("hit rate", figures.total.hit_rate());
//   for (const once::LabelFigures& of : figures.labels) show(of.operation, of.counts.executions);
//
// What was done is counted as it happens, in this process: a counter is one relaxed addition to a
// place that few threads share, so that counting can be left on (Options::figures;
// bench/figures_cost.cc measures it). What was done by all processes together is Stats::ever
// (once/report.h). What there is in the store, Figures::stats, is found by reading its rows, which
// costs in proportion to them, and can be left out.
//
// The labels, pairs of tenant and operation, are as many as there are, up to max_figure_labels:
// those that come later are counted together, as `others`. So a tenant a user does not make the
// figures grow without end.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "once/bytes.h"
#include "once/report.h"

namespace once {

inline constexpr std::size_t max_figure_labels = 256;

// How long things took: a histogram whose buckets double.
struct Latencies {
  static constexpr std::size_t buckets = 28;

  // [0]: less than 1 microsecond; [i]: less than 2^i; the last: everything that took longer.
  std::array<std::uint64_t, buckets> counts{};
  std::chrono::nanoseconds sum{};

  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const std::uint64_t bucket : counts) all += bucket;
    return all;
  }
  [[nodiscard]] std::chrono::nanoseconds mean() const noexcept {
    const std::uint64_t all = count();
    return all == 0 ? std::chrono::nanoseconds{} : sum / static_cast<std::int64_t>(all);
  }
  // What `share` (0 to 1) of them took at most, rounded up to the end of a bucket, and so at most
  // twice too much. 0 when there are none; the greatest duration when it is in the last bucket.
  [[nodiscard]] std::chrono::microseconds within(double share) const noexcept {
    const std::uint64_t all = count();
    if (all == 0) return {};
    const double wanted = std::clamp(share, 0.0, 1.0) * static_cast<double>(all);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i + 1 < buckets; ++i) {
      seen += counts[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) {
        return std::chrono::microseconds(std::int64_t{1} << i);
      }
    }
    return std::chrono::microseconds::max();
  }
  Latencies& operator+=(const Latencies& other) noexcept {
    for (std::size_t i = 0; i < buckets; ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
};

// What was done since the store was opened.
struct Counts : Tally {
  Latencies execute{};  // from winning the key to having kept the outcome, the work included
  Latencies commit{};   // from asking to having it on disk, waiting for others included

  Counts& operator+=(const Counts& other) noexcept {
    Tally::operator+=(other);
    execute += other.execute;
    commit += other.commit;
    return *this;
  }
};

struct LabelFigures {
  Bytes tenant{};
  Bytes operation{};
  bool others = false;  // of all labels that came when there were max_figure_labels already
  Counts counts{};
};

struct Figures {
  Counts total{};
  std::vector<LabelFigures> labels{};  // by tenant and operation, `others` last
  std::uint64_t commits = 0;           // of any kind, since the store was opened
  std::uint64_t syncs = 0;             // of the log: fewer than commits when they share one
  // By relays of this Store (once/outbox.h), as they are noted in it.
  std::uint64_t events_delivered = 0;
  std::uint64_t delivery_failures = 0;  // attempts that failed, those that made dead letters too
  std::uint64_t dead_letters = 0;       // events given up on
  Stats stats{};                        // what there is; empty if not asked for
};

struct FiguresOptions {
  bool stats = true;  // read the rows too
};

}  // namespace once
