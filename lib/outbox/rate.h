// Counts what happened in the last minute, by the second.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>

namespace once::outbox {

// Not thread-safe. Seconds may not run back.
class Rate {
 public:
  static constexpr std::int64_t seconds = 60;

  void add(std::int64_t second, std::uint64_t count) {
    for (std::int64_t at = std::max(last_ + 1, second - seconds + 1); at <= second; ++at) {
      counts_[static_cast<std::size_t>(at % seconds)] = 0;
    }
    last_ = std::max(last_, second);
    counts_[static_cast<std::size_t>(last_ % seconds)] += count;
  }
  // As of `second`: over the minute that ends with it.
  [[nodiscard]] double per_second(std::int64_t second) const {
    Rate now = *this;
    now.add(second, 0);
    return static_cast<double>(
               std::accumulate(now.counts_.begin(), now.counts_.end(), std::uint64_t{0})) /
           static_cast<double>(seconds);
  }

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(seconds)> counts_{};
  std::int64_t last_ = 0;
};

}  // namespace once::outbox
