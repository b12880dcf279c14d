// Every single call to the device fails, once and for ever, while some 200 calls of a store are
// made: what fails half-way says so, nothing is acknowledged after a failed write or sync, and
// after opening again everything that was acknowledged is there.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <utility>

#include "recovery/recording.h"
#include "recovery/stopwatch.h"

using namespace once;
using namespace once::testing;
using Effect = Fault::Effect;

namespace {

// One life of the store, from opening to closing, and what was there before.
struct Life {
  DiskImage image{};
  SessionState state{};
  std::vector<Call> calls{};
  CallCounts made{};  // calls to the device until the last call of the store has been answered
};

// Runs the program without any fault and takes it apart.
std::vector<Life> lives_of(const std::vector<Call>& program, std::string* problem) {
  std::vector<Life> lives;
  auto device = std::make_shared<SimulatedDevice>();
  SessionState state;
  std::size_t at = 0;
  while (at < program.size() && problem->empty()) {
    Life life{.image = device->image(), .state = state};
    device = std::make_shared<SimulatedDevice>(life.image);
    Session session(device, state);
    *problem = session.open(Ending::power_cut);
    for (; at < program.size() && problem->empty(); ++at) {
      if (program[at].kind == Call::Kind::reopen) break;
      life.calls.push_back(program[at]);
      *problem = session.run(program[at]);
    }
    ++at;
    if (problem->empty()) *problem = session.compare_live();
    life.made = device->calls();
    (void)session.close();
    state = session.state();
    lives.push_back(std::move(life));
  }
  return lives;
}

struct Counts {
  std::atomic<std::uint64_t> runs = 0;
  std::atomic<std::uint64_t> struck = 0;
  std::atomic<std::uint64_t> unknown = 0;
  std::atomic<std::uint64_t> not_opened = 0;
};

// What holds of a store whose disk has failed, once the disk is well again. The process ends, and
// the machine stays up: what the kernel still has is there.
std::string problem_when_healed(const std::shared_ptr<SimulatedDevice>& device,
                                const SessionState& state, std::uint64_t seed) {
  device->heal();
  Session session(device, state);
  std::string problem = session.open(Ending::process_ended);
  if (problem.empty()) problem = session.verify();
  if (!problem.empty()) return "opened again: " + problem;
  for (const Call& call : epilogue(session.state())) {
    problem = session.run(call);
    if (!problem.empty()) return "opened again, and afterwards: " + problem;
  }
  // Now that it was shown it has to stay, whatever the failed sync has left out.
  const CrashPlan plan{.kind = seed % 2 == 0 ? CrashPlan::Kind::none : CrashPlan::Kind::some,
                       .seed = seed};
  problem = problem_after(std::make_shared<SimulatedDevice>(device->moment().crash(plan)),
                          session.state());
  if (!problem.empty()) {
    return fmt::format("opened again, and then the power cut, {}: {}", plan.describe(), problem);
  }
  session.drop();
  problem = problem_with_container(device);
  return problem.empty() ? "" : "opened again, and closed: " + problem;
}

std::string problem_with_fault(const Life& life, const Fault& fault, std::uint64_t seed,
                               Counts& counts) {
  ++counts.runs;
  auto device = std::make_shared<SimulatedDevice>(life.image);
  Session session(device, life.state, {.may_fail = true});
  device->inject(fault);
  const auto opened = session.try_open(Ending::power_cut);
  if (!opened) {
    ++counts.not_opened;
    if (device->struck().total == 0) return "opening: " + opened.error().message;
  } else {
    // A read that failed is told as that, and never as rows that are not there.
    const auto excused = [&](const std::string& problem) {
      return problem.empty() || (device->struck().total > 0 && problem.starts_with("reading: io:"));
    };
    std::string problem = session.compare(Ending::power_cut);
    if (!excused(problem)) return problem;
    int more = 3;
    for (const Call& call : life.calls) {
      if (device->struck().total > 0 && more-- == 0) break;
      problem = session.run(call);
      if (!problem.empty()) return problem;
      if (session.heard().error == ErrorCode::unknown) ++counts.unknown;
    }
    // Reading goes on where the device reads.
    problem = session.compare_live();
    const bool device_reads = fault.kind != CallKind::read;
    if (device_reads ? !problem.empty() : !excused(problem)) {
      return "read after the failure: " + problem;
    }
  }
  counts.struck += device->struck().total > 0 ? 1 : 0;
  const SessionState state = session.state();
  const auto cut = std::make_shared<SimulatedDevice>(
      device->moment().crash({.kind = CrashPlan::Kind::some, .seed = seed}));
  (void)session.close();
  if (fault.for_ever && session.try_open(Ending::process_ended)) {
    // It may open where the call that fails is not needed.
    session.drop();
  }
  std::string problem = problem_when_healed(device, state, seed);
  if (problem.empty()) {
    problem = problem_after(cut, state);
    if (!problem.empty()) problem = "power cut: " + problem;
  }
  // A store that was not made to the end has no name yet, and may be anything.
  const bool nameless = !opened && life.image.size() == 0;
  return nameless && refuses_to_open(problem) ? "" : problem;
}

// All ways in which the nth call of a kind fails, once and for ever.
std::vector<Fault> faults_for(CallKind kind, std::uint64_t nth) {
  using K = CallKind;
  std::vector<Effect> effects{Effect::none_done};
  std::vector<ErrorCode> codes{ErrorCode::io};
  const bool can_be_full = kind == K::write || kind == K::resize || kind == K::allocate;
  if (kind == K::read || can_be_full) effects.push_back(Effect::partly);
  if (can_be_full) codes.push_back(ErrorCode::no_space);
  std::vector<Fault> faults;
  for (const bool for_ever : {false, true}) {
    for (const Effect effect : effects) {
      for (const ErrorCode code : codes) {
        faults.push_back(
            {.kind = kind, .nth = nth, .for_ever = for_ever, .effect = effect, .code = code});
      }
    }
  }
  return faults;
}

std::string describe(const Fault& fault) {
  return fmt::format("{} {}{} fails{} ({})", to_string(*fault.kind), fault.nth,
                     fault.for_ever ? " and all after it" : "",
                     fault.effect == Effect::partly ? " in part" : "", to_string(fault.code));
}

// Makes every single call fail in every life of the program.
void check_every_fault(const std::vector<Call>& program) {
  const Stopwatch stopwatch;
  std::string problem;
  const std::vector<Life> lives = lives_of(program, &problem);
  REQUIRE(problem == "");
  std::vector<std::pair<const Life*, Fault>> cases;
  for (const Life& life : lives) {
    for (std::size_t kind = 0; kind < call_kinds; ++kind) {
      for (std::uint64_t nth = 1; nth <= life.made.by_kind[kind]; ++nth) {
        for (const Fault& fault : faults_for(static_cast<CallKind>(kind), nth)) {
          cases.emplace_back(&life, fault);
        }
      }
    }
  }
  Counts counts;
  const auto problems = in_two_threads(cases.size(), [&](std::size_t at) {
    const auto& [life, fault] = cases[at];
    std::string found = problem_with_fault(*life, fault, at, counts);
    if (found.empty()) return found;
    return fmt::format("life {}: {}: {}", life - lives.data(), describe(fault), found);
  });
  for (const std::string& found : problems) FAIL_CHECK(found);
  for (const Life& life : lives) {
    MESSAGE("a life of " << life.calls.size() << " calls of the store, " << life.made.total
                         << " of the device");
  }
  MESSAGE(counts.runs.load() << " runs, " << counts.struck.load() << " faults struck, "
                             << counts.unknown.load() << " calls answered unknown, "
                             << counts.not_opened.load() << " openings failed, in "
                             << stopwatch.seconds() << " s");
}

}  // namespace

TEST_CASE("every call to the device fails in every way there is: nothing acknowledged is lost") {
  check_every_fault(fixed_program());
}
