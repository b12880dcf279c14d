// What is common to all benchmarks: how long they run, where, and how rounds become one figure.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "measure.h"

namespace once::bench {

struct Settings {
  std::filesystem::path folder = ".";
  int rounds = 5;
  double seconds = 1;
  std::uint64_t finished = 0;  // 0: what goes with the rest
  bool json = false;
  std::vector<std::string> only{};    // workloads: B1, B4, ... Empty: all
  std::vector<std::string> rivals{};  // by name. Empty: all
  bool long_ones = false;             // the workloads that take minutes each, too
  std::filesystem::path report{};     // where the page goes. Empty: none
  std::filesystem::path tool{};       // the command-line tool, for B15
};

// A folder of its own, removed at the end whatever happens.
class Scratch {
 public:
  explicit Scratch(const std::filesystem::path& in) {
    std::string name = (std::filesystem::absolute(in) / "once-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "making a folder in " + in.string());
    }
    path_ = name;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

template <class Value>
double median(const std::vector<Sample>& samples, Value value) {
  std::vector<double> values;
  for (const auto& sample : samples) values.push_back(value(sample));
  std::ranges::sort(values);
  return quantile(values, 0.5);
}

// The median of each round's own ratio: both were measured within the same seconds.
inline double median_ratio(const std::vector<Sample>& samples, const std::vector<Sample>& floor) {
  std::vector<double> values;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    values.push_back(samples[i].per_second / floor[i].per_second);
  }
  std::ranges::sort(values);
  return quantile(values, 0.5);
}

}  // namespace once::bench
