// Tokens and sequences: numbers that grow and are never given twice.
//
// A number is (opening number, counter): 40 and 24 bits, the counter from 1. How often a store was
// opened to write is in it (model/meta.h), so a counter need not be stored.
#pragma once

#include <cstdint>

namespace once::model {

inline constexpr int counter_bits = 24;

[[nodiscard]] constexpr std::uint64_t opening_of(std::uint64_t number) {
  return number >> counter_bits;
}

// Before all that this opening gives.
[[nodiscard]] constexpr std::uint64_t number_before(std::uint64_t opening) {
  return opening << counter_bits;
}

[[nodiscard]] constexpr std::uint64_t counter_of(std::uint64_t number) {
  return number & (number_before(1) - 1);
}

}  // namespace once::model
