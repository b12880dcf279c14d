// What Once has to reach in each workload, compared with whom.
#include "report/results.h"

namespace once::bench {
namespace {

// Operations of one row in the time of one of the other.
struct RatioBar {
  const char* id;
  const char* variant;  // null: of each variant
  const char* once;
  const char* other_id;  // null: the same
  const char* other_variant;
  const char* rival;
  double least;
};

constexpr RatioBar ratio_bars[] = {
    {"B1", nullptr, "once", "F", "", "floor", 0.45},
    {"B1", nullptr, "once", nullptr, nullptr, "sqlite", 1.0},
    {"B1", nullptr, "once", nullptr, nullptr, "lmdb", 2.0},
    {"B1", nullptr, "once", nullptr, nullptr, "postgres", 1.2},
    {"B1", nullptr, "once", nullptr, nullptr, "redis", 1.5},
    {"B2", nullptr, "once", nullptr, nullptr, "rocksdb", 0.9},
    {"B2", nullptr, "once", nullptr, nullptr, "sqlite", 5.0},
    {"B2", nullptr, "once", nullptr, nullptr, "lmdb", 5.0},
    {"B2", nullptr, "once", nullptr, nullptr, "postgres", 2.0},
    {"B2", nullptr, "once", nullptr, nullptr, "redis", 1.2},
    {"B3", nullptr, "once", "F", "", "floor", 0.9},
    {"B3", nullptr, "once", "B1", "1 thread", "once", 1.8},
    {"B4", nullptr, "once-cached", nullptr, nullptr, "lmdb", 1.0},
    {"B4", nullptr, "once-cached", nullptr, nullptr, "sqlite", 3.0},
    {"B4", nullptr, "once-cached", nullptr, nullptr, "redis", 50.0},
    {"B4", nullptr, "once-uncached", nullptr, nullptr, "rocksdb", 0.9},
    {"B5", nullptr, "once", nullptr, nullptr, "lmdb", 1.0},
    {"B5", nullptr, "once", nullptr, nullptr, "sqlite", 4.0},
    {"B7", nullptr, "once", nullptr, nullptr, "rocksdb", 1 / 1.3},
    {"B7", nullptr, "once", nullptr, nullptr, "lmdb", 2.0},
    {"B7", nullptr, "once", nullptr, nullptr, "sqlite", 3.0},
    {"B8", nullptr, "once", nullptr, nullptr, "sqlite", 20.0},
    {"B8", nullptr, "once", nullptr, nullptr, "lmdb", 20.0},
    {"B9", "enqueue, 16 threads", "once", "B2", "16 threads", "once", 0.9},
    {"B10", "save 1 KiB", "once", nullptr, nullptr, "plain file", 0.8},
    {"B10", "save 64 KiB", "once", nullptr, nullptr, "plain file", 0.8},
    {"B10", "save 1 MiB", "once", nullptr, nullptr, "plain file", 0.8},
    {"B11", "after kill -9", "once", nullptr, nullptr, "rocksdb", 1 / 1.1},
};

// A figure of a row of Once itself.
struct FigureBar {
  const char* id;
  const char* variant;  // null: of each variant
  const char* name;     // of the figure; "ops/s", "p50 us" and "p99 us" are there always
  double least;
  double most;
};

constexpr FigureBar figure_bars[] = {
    {"B6", nullptr, "executions a key", 1, 1},
    {"B8", nullptr, "p99 of the load, times", 0, 2},
    {"B8", nullptr, "file to live data", 0, 1.3},
    {"B9", "deliver", "ops/s", 50'000, 0},
    {"B10", "resume 100000", "us a checkpoint, to 1000", 0, 2},
    {"B11", "clean", "p50 us", 0, 30'000},
    {"B12", "after opening", "MiB", 0, 32 + 32},
    {"B12", "after replays", "MiB", 0, 32 + 32},
    {"B13", nullptr, "B1 time, to the smallest", 0, 1.1},
    {"B13", nullptr, "B4 time, to the smallest", 0, 2},
    {"B13", nullptr, "B5 time, to the smallest", 0, 2},
    {"B14", nullptr, "seconds without progress", 0, 0.5},
    {"B14", nullptr, "p99.9 to p50", 0, 20},
    {"B14", nullptr, "file, second half to before", 0, 1.1},
    {"B14", nullptr, "memory, second half to before", 0, 1.1},
    {"B15", nullptr, "ms on top", 0, 15},
};

std::optional<double> named(const Row& row, const std::string& name) {
  if (name == "ops/s") return rate(row);
  if (name == "p50 us") return p50(row);
  if (name == "p99 us") return p99(row);
  return figure(row, name);
}

}  // namespace

std::vector<Bar> bars(const Results& results) {
  std::vector<Bar> all;
  for (const Row& row : results.rows) {
    const auto of_row = [&](const auto& bar) {
      return row.id == bar.id && (bar.variant == nullptr || row.variant == bar.variant);
    };
    for (const RatioBar& bar : ratio_bars) {
      if (!of_row(bar) || row.rival != bar.once) continue;
      const bool same = bar.other_id == nullptr;
      const Row* other = results.row(same ? row.id : bar.other_id,
                                     same ? row.variant : bar.other_variant, bar.rival);
      if (other == nullptr || other->samples.empty()) continue;
      std::string of = std::string(bar.once) + " to " + bar.rival;
      if (!same && other->id != "F") of += " in " + other->id;
      all.push_back({row.id, row.variant, of, bar.least, 0, ratio(row, *other)});
    }
    const Row* floor = results.row("F", "", "floor");
    const auto late = figure(row, "p99 us after the finish");
    if (row.id == "B6" && floor != nullptr && late) {
      all.push_back({row.id, row.variant, "p99 us after the finish: a sync + 200", 0,
                     p99(*floor) + 200, *late});
    }
    for (const FigureBar& bar : figure_bars) {
      if (!of_row(bar) || row.rival != "once") continue;
      const auto measured = named(row, bar.name);
      if (measured) all.push_back({row.id, row.variant, bar.name, bar.least, bar.most, *measured});
    }
  }
  return all;
}

}  // namespace once::bench
