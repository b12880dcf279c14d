// Any bytes as a program of file system calls: what fuzzing and random tests run.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "container/file_program.h"

namespace once::testing {

// Reads one call after another. Calls of few names and sizes, so that they meet each other.
class ProgramReader {
 public:
  explicit ProgramReader(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] bool at_end() const { return bytes_.empty(); }
  // 0 at the end.
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  std::optional<Op> next();

 private:
  std::string_view bytes_;
};

// `length` bytes by a seed.
[[nodiscard]] inline std::string random_bytes(std::uint64_t seed, std::size_t length) {
  std::mt19937_64 random(seed);
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(static_cast<std::uint8_t>(random()));
  return bytes;
}

}  // namespace once::testing
