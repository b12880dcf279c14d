// What a program did to a store and to its device, kept at every moment, so that the power can be
// cut at each of them afterwards; and what must hold of what is found then.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "recovery/program.h"
#include "recovery/session.h"

namespace once::testing {

struct Recording {
  // After each call of the program; the first one before any, while the store is being made.
  struct Point {
    std::uint64_t calls = 0;  // of the device, until then
    SessionState state{};
    std::vector<StoreState> begun{};  // what the call committed
    std::string call{};
  };

  std::vector<Point> points{};
  std::vector<KeptMoment> moments{};
  std::shared_ptr<SimulatedDevice> device{};
  std::string problem{};  // what went wrong without any crash

  // The last point that had come by then.
  [[nodiscard]] std::size_t point_at(std::uint64_t calls) const;
  // What may be found after a power cut.
  [[nodiscard]] SessionState state_at(std::uint64_t calls) const;
  // Whether the store was still being made: it has no name before that is done, and what is left
  // of it counts for nothing.
  [[nodiscard]] bool nameless_at(std::uint64_t calls) const { return point_at(calls) == 0; }
  // For messages.
  [[nodiscard]] std::string describe(std::uint64_t calls) const;
};

// Runs `program` on a fresh store.
[[nodiscard]] Recording record(const std::vector<Call>& program);

// Opens what a power cut left: it shows one of the states that may be, every byte and every row
// checks out, it answers what it must, goes on, and opens again with the same. What is wrong, or
// nothing.
std::string problem_after(const std::shared_ptr<SimulatedDevice>& device,
                          const SessionState& state);

// Whether the problem is that there is no whole store.
[[nodiscard]] inline bool refuses_to_open(const std::string& problem) {
  return problem.find("opening: not_a_store") != std::string::npos ||
         problem.find("opening: damaged") != std::string::npos;
}

// Ways of losing what was not synced. `seed` chooses where there are too many to take all.
[[nodiscard]] std::vector<CrashPlan> plans_for(const Moment& moment, std::uint64_t seed);

// Calls `each` for 0 to `count`, in two threads, until a few problems were found; returns them.
std::vector<std::string> in_two_threads(std::size_t count,
                                        const std::function<std::string(std::size_t)>& each);

// The same bytes have the same number.
[[nodiscard]] std::uint64_t digest_of(const DiskImage& image);

}  // namespace once::testing
