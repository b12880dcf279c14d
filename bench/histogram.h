// Histogram: how long each of very many operations took, in a few kilobytes whatever their number,
// so that measuring does not grow the memory it measures. Like HdrHistogram (G. Tene): buckets of
// one 64th of their power of two, so a quantile is at most 1.6 % off.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace once::bench {

class Histogram {
 public:
  void add(std::uint64_t nanoseconds) {
    ++(*buckets_)[bucket_of(nanoseconds)];
    ++count_;
    sum_ += nanoseconds;
  }
  void add(const Histogram& other) {
    for (std::size_t i = 0; i < buckets_->size(); ++i) (*buckets_)[i] += (*other.buckets_)[i];
    count_ += other.count_;
    sum_ += other.sum_;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t sum_nanoseconds() const { return sum_; }
  // In microseconds; 0 when nothing was added.
  [[nodiscard]] double quantile(double q) const {
    if (count_ == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_ - 1));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_->size(); ++i) {
      seen += (*buckets_)[i];
      if (seen > rank) return value_of(i) / 1000;
    }
    return 0;
  }

 private:
  static constexpr unsigned sub_bits = 6;
  static constexpr std::uint64_t sub = 1U << sub_bits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < sub) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - sub_bits - 1;
    return ((shift + 1) << sub_bits) + ((value >> shift) - sub);
  }
  static double value_of(std::size_t bucket) {
    if (bucket < sub) return static_cast<double>(bucket);
    const auto shift = (bucket >> sub_bits) - 1;
    const auto start = ((bucket & (sub - 1)) + sub) << shift;
    return static_cast<double>(start) + static_cast<double>(std::uint64_t{1} << shift) / 2;
  }

  using Buckets = std::array<std::uint64_t, (65 - sub_bits) * sub>;
  std::unique_ptr<Buckets> buckets_ = std::make_unique<Buckets>();
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
};

}  // namespace once::bench
