// Programs of pattern calls: the fixed one of the exhaustive passes, and any bytes as one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace once::testing::patterns {

// One line of a program. What `which` and `how` stand for is written where the call is made
// (executing.cc and its siblings); every value stands for something.
struct PatternCall {
  enum class Kind : std::uint8_t {
    execute,   // an effect in the world, around which an Executor stands
    enqueue,   // a transact() that publishes events
    deliver,   // a relay's pass over the outbox
    flow,      // a run of a workflow
    resume,    // all runs that were broken off go on
    transfer,  // a transaction over three places
    recover,   // all transactions that were broken off are finished
    refresh,   // an outcome is replaced by a newer one
    merge,     // a word is added to an outcome
    batch,     // many effects in the world with one call
    lock,      // something is done under a lock
    pipeline,  // effects in stages
    reserve,   // a reservation by hand, or taking one over
    late,      // whoever lost its reservation tries to write all the same
    pass_time,
    sweep,
    retry_dead,  // dead letters are to be delivered again
    check,       // what is there is what was acknowledged
  };

  Kind kind = Kind::check;
  std::uint8_t which = 0;
  std::uint8_t how = 0;

  [[nodiscard]] std::string describe() const;
};

[[nodiscard]] std::string_view to_string(PatternCall::Kind kind);

// Every pattern, with something that goes wrong in each, in some 60 calls.
[[nodiscard]] std::vector<PatternCall> fixed_patterns();

// Reads one call after another.
class PatternReader {
 public:
  explicit PatternReader(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] bool at_end() const { return bytes_.empty(); }
  // 0 at the end.
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  std::uint16_t word() {
    const std::uint8_t low = byte();
    return static_cast<std::uint16_t>(low | byte() << 8);
  }
  PatternCall call();

 private:
  std::string_view bytes_;
};

}  // namespace once::testing::patterns
