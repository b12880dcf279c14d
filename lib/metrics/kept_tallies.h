// What was counted since the store was made: what earlier processes kept, and what this one has
// counted since.
//
// Invariants:
//   1. A label that is kept, or that has been told of once, keeps its own place; when there are
//      max_figure_labels of these, all others are told of together.
//   2. What is told of a label never becomes less.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "base/mutex.h"
#include "metrics/meters.h"
#include "once/error.h"
#include "once/report.h"

namespace once::metrics {

// Thread-safe. Calls `load` with its mutex held.
class KeptTallies {
 public:
  // What was kept when the store was opened; asked for once, when it is needed first.
  using Load = std::function<Result<std::vector<LabelTally>>()>;

  KeptTallies(const Meters& meters, Load load) : meters_(meters), load_(std::move(load)) {}

  // Errors: those of `load`.
  [[nodiscard]] Result<std::vector<LabelTally>> all();
  // Only those of which this process has counted something.
  [[nodiscard]] Result<std::vector<LabelTally>> changed();

 private:
  using Name = std::tuple<bool, Bytes, Bytes>;  // whether it is that of all others, first
  using Tallies = std::map<Name, Tally>;

  Result<void> load() ONCE_REQUIRES(mutex_);
  // What this process has counted, under the names that it is kept by.
  Tallies counted() ONCE_REQUIRES(mutex_);
  [[nodiscard]] static std::vector<LabelTally> list(const Tallies& tallies);

  const Meters& meters_;
  const Load load_;
  Mutex mutex_;
  std::optional<Tallies> before_ ONCE_GUARDED_BY(mutex_);
  std::set<Name> own_ ONCE_GUARDED_BY(mutex_);  // with a place of their own
};

}  // namespace once::metrics
