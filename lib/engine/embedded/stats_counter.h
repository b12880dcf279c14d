// Counts rows for Engine::stats(), in all and by tenant and operation.
//
// Rows are to come table by table, each in key order, as engines keep them: then the rows of a
// label stand together, and only the labels themselves are kept, at most max_label_stats of them.
#pragma once

#include <cstddef>
#include <vector>

#include "once/report.h"
#include "once/row.h"

namespace once::engine {

class StatsCounter {
 public:
  explicit StatsCounter(Time now) : now_(now) {}

  // A row of a table, which takes `bytes` before compression.
  void add(const Row& row, bool expired, std::size_t bytes);
  // What was counted; no row may be added after this.
  [[nodiscard]] Stats take();

 private:
  // Of the finished records that expire. The times left may be centuries: a sum needs more bits.
  struct TimeLeft {
    double sum = 0;  // milliseconds
    std::uint64_t count = 0;
    [[nodiscard]] Duration average() const;
  };
  struct Label {
    LabelStats stats{};
    TimeLeft left{};
  };

  void add(const KeyRow& row, bool expired);
  void add(const Event& event, bool expired);
  Label& label_of(const Key& key);

  const Time now_;
  Stats stats_{};
  TimeLeft left_{};
  Time oldest_pending_ = Time::max();
  std::vector<Label> labels_;  // by tenant and operation
  Label others_{.stats = {.others = true}};
  std::size_t last_ = 0;  // the label of the row before
};

}  // namespace once::engine
