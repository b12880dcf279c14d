#include "report/results.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/text.h"

namespace once::bench {
namespace {

template <class Value>
double of_an_operation(const Row& row, Value value) {
  return median_of(row, [&](const Sample& sample) {
    return sample.operations == 0 ? 0 : value(sample) / static_cast<double>(sample.operations);
  });
}

}  // namespace

const Row* Results::row(std::string_view id, std::string_view variant,
                        std::string_view rival) const {
  const auto found = std::ranges::find_if(rows, [&](const Row& row) {
    return row.id == id && row.variant == variant && row.rival == rival;
  });
  return found == rows.end() ? nullptr : &*found;
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return quantile(values, 0.5);
}

double rate(const Row& row) {
  return median_of(row, [](const Sample& sample) { return sample.per_second; });
}
double p50(const Row& row) {
  return median_of(row, [](const Sample& sample) { return sample.p50_us; });
}
double p99(const Row& row) {
  return median_of(row, [](const Sample& sample) { return sample.p99_us; });
}

std::optional<double> figure(const Row& row, const std::string& name) {
  std::vector<double> values;
  for (const Sample& sample : row.samples) {
    if (const auto at = sample.figures.find(name); at != sample.figures.end()) {
      values.push_back(at->second);
    }
  }
  if (values.empty()) return std::nullopt;
  return median_of(std::move(values));
}

double ratio(const Row& row, const Row& other) {
  std::vector<double> values;
  for (std::size_t i = 0; i < std::min(row.samples.size(), other.samples.size()); ++i) {
    if (other.samples[i].per_second > 0) {
      values.push_back(row.samples[i].per_second / other.samples[i].per_second);
    }
  }
  return median_of(std::move(values));
}

double cpu_us(const Row& row) {
  return of_an_operation(row, [](const Sample& sample) { return sample.used.cpu_seconds * 1e6; });
}
double syncs(const Row& row) {
  return of_an_operation(
      row, [](const Sample& sample) { return static_cast<double>(sample.used.syncs); });
}
double written(const Row& row) {
  return of_an_operation(
      row, [](const Sample& sample) { return static_cast<double>(sample.used.written_bytes); });
}
double memory_mib(const Row& row) {
  return median_of(row, [](const Sample& sample) {
    return static_cast<double>(sample.memory_bytes) / (1 << 20);
  });
}

std::string memory_text(const Row& row) {
  const double mib = memory_mib(row);
  return mib > 0 ? digits(mib) : "";
}

std::string figures_text(const Row& row) {
  std::string told;
  for (const auto& [name, value] : row.samples.front().figures) {
    told += fmt::format("{}{} {}", told.empty() ? "" : ", ", name,
                        digits(figure(row, name).value_or(value)));
  }
  return told;
}

}  // namespace once::bench
