// The keys and values of the benchmark. A value follows from its number, so that every answer can
// be checked without keeping what was written; its bytes are random, so that no store makes it
// smaller than it is.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace once::bench {

inline constexpr std::size_t value_bytes = 256;

// SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
inline std::uint64_t mix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

inline std::string random_value(std::uint64_t number, std::size_t bytes = value_bytes) {
  std::string value(bytes, '\0');
  std::uint64_t state = number * 0xd1342543de82ef95ULL + 1;
  std::size_t at = 0;
  for (; at + 8 <= bytes; at += 8) {
    const auto word = mix(state);
    std::memcpy(value.data() + at, &word, 8);
  }
  for (; at < bytes; ++at) value[at] = static_cast<char>(mix(state));
  return value;
}

// Keys that are finished before anything is measured.
inline std::string filled_key(std::uint64_t number) {
  return fmt::format("filled-{:010}", number);
}
// Keys that a workload makes while it is measured. Scattered, as identifiers of orders are: the low
// bits go first.
inline std::string fresh_key(std::string_view what, std::uint64_t number) {
  std::uint64_t state = number;
  return fmt::format("{}-{:08x}-{}", what, static_cast<std::uint32_t>(mix(state)), number);
}
// Keys that have expired: anywhere between those that stay, since what expires is old, and not of
// one name.
inline std::string expired_key(std::uint64_t number, std::uint64_t filled) {
  std::uint64_t state = number;
  return fmt::format("{}-{}", filled_key(mix(state) % filled), number);
}
inline std::string absent_key(std::uint64_t number) {
  return fmt::format("filled-{:010}x", number);  // between those that are there
}

}  // namespace once::bench
