// Programs of store calls: the fixed one of the exhaustive passes, and any bytes as one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "recovery/session.h"

namespace once::testing {

// `length` bytes that do not compress, always the same ones for a seed.
[[nodiscard]] Bytes noise(std::uint64_t seed, std::size_t length);

// Some 200 calls that meet every row of the table of a record's life, with sweeps, flushes and
// reopenings between them.
[[nodiscard]] std::vector<Call> fixed_program();
// A few calls with a commit that is larger than what RocksDB hands to a log at once.
[[nodiscard]] std::vector<Call> large_program();
// Asks whatever was there before what it must still answer, and writes on.
[[nodiscard]] std::vector<Call> epilogue(const SessionState& state);

// Reads one call after another. Few keys and sizes, so that the calls meet each other.
class ProgramReader {
 public:
  // `owner` marks its keys, events and data, so that several programs do not meet.
  explicit ProgramReader(std::string_view bytes, std::string owner = "")
      : bytes_(bytes), owner_(std::move(owner)) {}

  [[nodiscard]] bool at_end() const { return bytes_.empty(); }
  // 0 at the end.
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  std::uint16_t word() { return static_cast<std::uint16_t>(byte() | byte() << 8); }
  // `ask` or `pass_time`.
  Call next();
  Call ask();

 private:
  Request request();
  Key key();

  std::string_view bytes_;
  const std::string owner_;
  std::uint64_t made_ = 0;
};

}  // namespace once::testing
