// A store under a clock and processes that the test controls.
#pragma once

#include <memory>
#include <string>

#include "base/manual_clock.h"
#include "once/once.h"
#include "support/check_result.h"
#include "support/simulated_processes.h"
#include "support/temporary_directory.h"

namespace once::testing {

using namespace std::chrono_literals;

struct Simulation {
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::shared_ptr<SimulatedProcesses> processes = std::make_shared<SimulatedProcesses>();

  [[nodiscard]] Options options(Layout layout = Options{}.layout) const {
    Options options;
    options.layout = layout;
    options.clock = clock;
    options.processes = processes;
    options.open_timeout_ms = 0ms;
    return options;
  }
  [[nodiscard]] Store open(std::string_view where = "memory:",
                           Layout layout = Options{}.layout) const {
    return value_of(Store::open(where, options(layout)));
  }
};

// The same simulation as another process sees it.
inline Simulation as_process(const Simulation& simulation, std::uint32_t pid) {
  Simulation other = simulation;
  other.processes = std::make_shared<SimulatedProcesses>(pid);
  return other;
}

inline Reservation reserved(Result<ReserveAnswer> answer) {
  ReserveAnswer value = value_of(std::move(answer));
  if (!std::holds_alternative<Reservation>(value)) FAIL("this should have been granted");
  return std::get<Reservation>(value);
}

inline Replay replayed(Result<ReserveAnswer> answer) {
  ReserveAnswer value = value_of(std::move(answer));
  if (!std::holds_alternative<Replay>(value)) FAIL("this should have been a replay");
  return std::get<Replay>(value);
}

inline std::size_t problems_of(Store& store) {
  const VerifyReport report = value_of(store.verify());
  for (const std::string& problem : report.problems) MESSAGE(problem);
  return report.problem_count;
}

}  // namespace once::testing
