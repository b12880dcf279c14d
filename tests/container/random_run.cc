#include "container/random_run.h"

#include "container/checked_run.h"
#include "container/random_program.h"

namespace once::testing {

namespace {

// What a byte before a call asks for; most ask for nothing.
constexpr std::uint8_t first_event = 236;

CrashPlan plan_from(ProgramReader& bytes) {
  CrashPlan plan;
  plan.kind = static_cast<CrashPlan::Kind>(bytes.byte() % crash_kinds);
  plan.index = bytes.byte();
  plan.seed = plan.index;
  return plan;
}

Fault fault_from(ProgramReader& bytes) {
  const std::uint8_t what = bytes.byte();
  Fault fault;
  fault.kind = static_cast<CallKind>(what % call_kinds);
  fault.for_ever = (what & 64) != 0;
  fault.code = (what & 128) != 0 ? ErrorCode::no_space : ErrorCode::io;
  const std::uint8_t when = bytes.byte();
  fault.nth = 1 + when % 32;
  fault.effect = when % 2 == 0 ? Fault::Effect::none_done : Fault::Effect::partly;
  return fault;
}

class RandomRun {
 public:
  RandomRun(std::string_view bytes, RandomRunCounts* counts, bool traced)
      : bytes_(bytes), counts_(counts) {
    if (traced) run_.keep_trace();
  }

  std::string run() {
    // A directory to begin with: otherwise most programs do nothing.
    std::string problem = run_.step({.kind = Op::Kind::make_directory, .path = "/db"});
    while (problem.empty() && !bytes_.at_end()) {
      problem = event(bytes_.byte());
      if (!problem.empty()) break;
      // One that could not be opened, or that writes no more, is given up after a while.
      if (!run_.is_open() || (run_.poisoned() && ++poisoned_steps_ > 8)) {
        problem = end_process();
        if (!problem.empty()) break;
      }
      const auto op = bytes_.next();
      if (!op) break;
      problem = run_.step(*op);
      ++counts_->calls;
    }
    if (problem.empty()) problem = end_process();
    if (problem.empty()) problem = run_.cut_power({.kind = CrashPlan::Kind::none});
    if (problem.empty()) problem = run_.step({.kind = Op::Kind::restart});
    return problem.empty() ? run_.look() : problem;
  }

  [[nodiscard]] const std::string& trace() const { return run_.trace(); }

 private:
  std::string event(std::uint8_t what) {
    if (what < first_event) return "";
    switch ((what - first_event) % 5) {
      case 0:
      case 1:
        ++counts_->power_cuts;
        return run_.cut_power(plan_from(bytes_));
      case 2:
        return end_process();
      case 3: {
        const std::uint64_t used = run_.device().image().space();
        const std::uint64_t more = std::uint64_t{bytes_.byte()} << 12;
        run_.device().set_capacity(more > 200 << 12 ? SimulatedDevice::default_capacity
                                                    : used + more);
        return "";
      }
      default:
        ++counts_->faults;
        run_.device().inject(fault_from(bytes_));
        return "";
    }
  }
  std::string end_process() {
    poisoned_steps_ = 0;
    ++counts_->processes;
    return run_.end_process();
  }

  ProgramReader bytes_;
  RandomRunCounts* const counts_;
  CheckedRun run_;
  int poisoned_steps_ = 0;
};

}  // namespace

std::string random_run(std::string_view bytes, RandomRunCounts* counts) {
  std::string problem = RandomRun(bytes, counts, false).run();
  if (problem.empty()) return problem;
  // Once more, with everything written down.
  RandomRunCounts ignored;
  RandomRun again(bytes, &ignored, true);
  (void)again.run();
  return problem + "\n" + again.trace();
}

}  // namespace once::testing
