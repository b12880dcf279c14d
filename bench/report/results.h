// Results: what a run of the benchmark found out, for the table, JSON, the chart and the page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "measure.h"

namespace once::bench {

// One rival in one workload: a sample a round.
struct Row {
  std::string id;       // of the workload
  std::string variant;  // of the workload
  std::string what;
  std::string rival;
  std::vector<Sample> samples;
};

struct LeftOut {
  std::string rival;
  std::string workload;  // empty: all
  std::string why;
};

struct Results {
  std::string machine;
  std::string disk;
  std::string date;
  int rounds = 0;
  double seconds = 0;
  std::uint64_t keys = 0;
  std::size_t floor_bytes = 0;
  std::vector<Row> rows{};
  std::vector<LeftOut> left_out{};

  [[nodiscard]] const Row* row(std::string_view id, std::string_view variant,
                               std::string_view rival) const;
};

// The median of the rounds, so that one round that was disturbed does not count.
[[nodiscard]] double median_of(std::vector<double> values);
template <class Value>
[[nodiscard]] double median_of(const Row& row, Value value) {
  std::vector<double> values;
  for (const Sample& sample : row.samples) values.push_back(value(sample));
  return median_of(std::move(values));
}
[[nodiscard]] double rate(const Row& row);
[[nodiscard]] double p50(const Row& row);
[[nodiscard]] double p99(const Row& row);
// A figure that only this workload tells; nullopt when it does not.
[[nodiscard]] std::optional<double> figure(const Row& row, const std::string& name);
// How many operations `row` does in the time of one of `other`: the median of each round's own
// ratio, since both were measured within the same seconds.
[[nodiscard]] double ratio(const Row& row, const Row& other);
// Of an operation, by its rounds: processor microseconds, syncs, bytes.
[[nodiscard]] double cpu_us(const Row& row);
[[nodiscard]] double syncs(const Row& row);
[[nodiscard]] double written(const Row& row);
[[nodiscard]] double memory_mib(const Row& row);
// In words: memory, or nothing where it was not looked at; and the row's own figures.
[[nodiscard]] std::string memory_text(const Row& row);
[[nodiscard]] std::string figures_text(const Row& row);

// What a workload has to reach, and whether it does.
struct Bar {
  std::string id;
  std::string variant;
  std::string of;    // what is compared: "ops to sqlite"
  double least = 0;  // or `most`
  double most = 0;   // 0: there is none
  double measured = 0;
  [[nodiscard]] bool reached() const { return most > 0 ? measured <= most : measured >= least; }
};
// Those that this run can tell.
[[nodiscard]] std::vector<Bar> bars(const Results& results);

[[nodiscard]] std::string table(const Results& results);
[[nodiscard]] std::string json(const Results& results);
[[nodiscard]] std::string chart_svg(const Results& results);
[[nodiscard]] std::string page_html(const Results& results);

}  // namespace once::bench
