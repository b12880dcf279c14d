// Random lives of a store with one thread; see random_case.h.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "recovery/random_case.h"
#include "recovery/recording.h"

namespace once::testing {

namespace {

class Story {
 public:
  Story(std::string_view bytes, CaseCounts& counts, bool told)
      : reader_(bytes), counts_(counts), told_(told) {}

  std::string run();

 private:
  // What may happen between two calls.
  std::string step();
  std::string call(const Call& call);
  std::string power_cut();
  std::string end_process();
  std::string fault();
  std::string full_disk();
  std::string check();

  // Goes on with another device, as after a power cut.
  std::string restart(const DiskImage& image, const SessionState& state);
  CrashPlan plan();
  std::string say(const std::string& text) {
    if (told_) std::fprintf(stderr, "%s\n", text.c_str());
    return "";
  }
  SessionOptions options() {
    return {.memory_budget = memory_budget_, .may_fail = disk_is_bad_, .earlier = earlier_};
  }
  void begin(std::shared_ptr<SimulatedDevice> device, SessionState state) {
    session_.reset();
    device_ = std::move(device);
    device_->set_capacity(capacity_);
    session_ = std::make_unique<Session>(device_, std::move(state), options());
  }

  ProgramReader reader_;
  CaseCounts& counts_;
  const bool told_;
  std::size_t memory_budget_ = std::size_t{1} << 20;
  Liveness earlier_ = Liveness::dead;
  bool disk_is_bad_ = false;
  std::uint64_t capacity_ = SimulatedDevice::default_capacity;
  std::shared_ptr<SimulatedDevice> device_;
  std::unique_ptr<Session> session_;
};

CrashPlan Story::plan() {
  const std::uint8_t kind = reader_.byte();
  if (kind % 4 == 0) return {.kind = CrashPlan::Kind::none};
  if (kind % 4 == 1) return {.kind = CrashPlan::Kind::all};
  return {.kind = CrashPlan::Kind::some, .seed = reader_.word()};
}

std::string Story::call(const Call& call) {
  ++counts_.calls;
  const std::string problem = session_->run(call);
  if (told_ && call.kind == Call::Kind::ask) {
    say(fmt::format("  {}: {}", call.describe(), session_->heard().describe()));
  } else if (told_) {
    say("  " + call.describe());
  }
  return problem;
}

std::string Story::restart(const DiskImage& image, const SessionState& state) {
  if (reader_.byte() % 4 == 0) {
    // The power goes again while it recovers.
    auto device = std::make_shared<SimulatedDevice>(image);
    device->set_capacity(capacity_);
    Session recovering(device, state, options());
    device->keep_moments();
    std::string problem = recovering.open(Ending::power_cut);
    ++counts_.openings;
    const SessionState after = recovering.state();
    const std::uint64_t opened = device->calls().total;
    if (!problem.empty()) return "recovering: " + problem;
    recovering.drop();
    const auto moments = device->moments();
    const KeptMoment& again = moments[reader_.word() % moments.size()];
    ++counts_.power_cuts;
    const CrashPlan second = plan();
    say(fmt::format("power cut after call {} of the recovery, {}", again.calls, second.describe()));
    begin(std::make_shared<SimulatedDevice>(again.moment.crash(second)),
          again.calls >= opened ? after : state);
  } else {
    begin(std::make_shared<SimulatedDevice>(image), state);
  }
  ++counts_.openings;
  return session_->open(Ending::power_cut);
}

// During a call that is made now, or between two.
std::string Story::power_cut() {
  ++counts_.power_cuts;
  SessionState state = session_->state();
  device_->keep_moments();
  std::uint64_t answered = 0;
  if (reader_.byte() % 4 != 0) {
    if (std::string problem = call(reader_.ask()); !problem.empty()) return problem;
    answered = device_->calls().total;
  }
  const auto moments = device_->moments();
  const KeptMoment& kept = moments[reader_.word() % moments.size()];
  if (answered != 0 && kept.calls >= answered) {
    state = session_->state();
  } else if (answered != 0) {
    state.model.may_also(session_->expected().commits);
  }
  const CrashPlan how = plan();
  say(fmt::format("power cut after call {} of the device, {}", kept.calls, how.describe()));
  const DiskImage image = kept.moment.crash(how);
  session_->drop();
  return restart(image, state);
}

// Killed, or closed in good order; the machine stays up.
std::string Story::end_process() {
  const bool kill = reader_.byte() % 2 == 0;
  say(kill ? "killed" : "closed");
  if (kill) {
    // What the kernel has of the file goes on being there, and is not on the disk yet.
    auto next = std::make_shared<SimulatedDevice>(device_->moment(), device_->image());
    const SessionState state = session_->state();
    session_->drop();
    begin(std::move(next), state);
    ++counts_.openings;
    return session_->open(Ending::process_ended);
  }
  if (auto closed = session_->close(); !closed) return "closing: " + closed.error().message;
  ++counts_.openings;
  return session_->open(Ending::process_ended);
}

std::string Story::fault() {
  using Effect = Fault::Effect;
  ++counts_.faults;
  const std::uint8_t how = reader_.byte();
  Fault fault{.kind = static_cast<CallKind>(reader_.byte() % call_kinds),
              .nth = std::uint64_t{1} + reader_.byte() % 40,
              .for_ever = how % 2 == 0,
              .effect = how / 2 % 2 == 0 ? Effect::none_done : Effect::partly,
              .code = how / 4 % 2 == 0 ? ErrorCode::io : ErrorCode::no_space};
  if (how % 16 == 15) fault.kind.reset();
  say(fmt::format("from now on {} {} fails{}", fault.kind ? to_string(*fault.kind) : "call",
                  fault.nth, fault.for_ever ? " and all after it" : ""));
  disk_is_bad_ = true;
  SessionState state = session_->state();
  if (auto closed = session_->close(); !closed) return "closing: " + closed.error().message;
  begin(device_, state);
  ++counts_.openings;
  if (std::string problem = session_->open(Ending::process_ended); !problem.empty()) {
    return problem;
  }
  device_->inject(fault);
  for (int i = 2 + how % 8; i > 0; --i) {
    if (std::string problem = call(reader_.next()); !problem.empty()) return problem;
  }
  if (told_) say(fmt::format("it struck {} times", device_->struck().total));
  state = session_->state();
  const bool cut = reader_.byte() % 2 == 0;
  const CrashPlan how_cut = plan();
  const DiskImage image = device_->moment().crash(how_cut);
  session_->drop();
  if (fault.for_ever && !cut) {
    // As long as the disk is bad it may open, or not.
    if (session_->try_open(Ending::process_ended)) session_->drop();
  }
  device_->heal();
  disk_is_bad_ = false;
  say(cut ? "power cut" : "the process ends, and the disk is well");
  if (cut) return restart(image, state);
  // The same device: what a failed sync has left is still shown, and not on the disk.
  begin(device_, state);
  ++counts_.openings;
  return session_->open(Ending::process_ended);
}

std::string Story::check() {
  say("check");
  std::string problem = session_->compare_live();
  if (problem.empty()) problem = session_->verify();
  return problem;
}

std::string Story::full_disk() {
  ++counts_.full_disks;
  const SessionState before = session_->state();
  session_->drop();
  disk_is_bad_ = true;
  capacity_ = device_->image().space() + reader_.word() % 4096 * std::uint64_t{16};
  say(fmt::format("the disk has {} bytes", capacity_));
  begin(device_, before);
  ++counts_.openings;
  if (auto opened = session_->try_open(Ending::process_ended); opened) {
    std::string problem = session_->compare(Ending::process_ended);
    for (int i = 4 + reader_.byte() % 16; i > 0 && problem.empty(); --i) {
      problem = call(reader_.next());
    }
    if (problem.empty()) problem = session_->compare_live();
    if (!problem.empty()) return "on a full disk: " + problem;
  } else if (opened.error().code != ErrorCode::no_space) {
    return "opening on a full disk: " + opened.error().message;
  }
  capacity_ = SimulatedDevice::default_capacity;
  device_->set_capacity(capacity_);
  say("there is space again");
  if (session_->is_open() && !session_->state().model.poisoned()) {
    // Nothing was written in part, so it goes on.
    disk_is_bad_ = false;
    const SessionState state = session_->state();
    Call next{.request = {.kind = Request::Kind::publish, .key = "full", .name = "full"}};
    if (std::string problem = call(next); !problem.empty()) return "space again: " + problem;
    if (session_->heard().error) return "space again: " + session_->heard().describe();
  }
  disk_is_bad_ = false;
  const SessionState state = session_->state();
  session_->drop();
  begin(device_, state);
  ++counts_.openings;
  return session_->open(Ending::process_ended);
}

std::string Story::step() {
  const std::uint8_t what = reader_.byte();
  if (what >= 250) return fault();
  if (what >= 246) return full_disk();
  if (what >= 230) return power_cut();
  if (what >= 224) return end_process();
  if (what >= 220) return check();
  return call(reader_.next());
}

std::string Story::run() {
  const std::uint8_t setup = reader_.byte();
  if (setup % 2 == 0) memory_budget_ = std::size_t{512} << 10;
  if (setup / 2 % 4 == 0) earlier_ = Liveness::unknown;
  begin(std::make_shared<SimulatedDevice>(), {});
  ++counts_.openings;
  std::string problem = session_->open(Ending::power_cut);
  while (problem.empty() && !reader_.at_end()) problem = step();
  if (problem.empty()) problem = check();
  if (!problem.empty()) return problem;
  for (const Call& last : epilogue(session_->state())) {
    problem = call(last);
    if (!problem.empty()) return problem;
  }
  if (auto closed = session_->close(); !closed) return "closing: " + closed.error().message;
  problem = problem_with_container(device_);
  if (problem.empty()) problem = session_->open(Ending::process_ended);
  return problem;
}

}  // namespace

std::string run_calls(std::string_view bytes, CaseCounts& counts, bool told) {
  return Story(bytes, counts, told).run();
}

std::string run_case(std::string_view bytes, CaseCounts& counts, bool told) {
  if (bytes.empty()) return "";
  const bool threads = static_cast<std::uint8_t>(bytes.front()) % 4 == 0;
  bytes.remove_prefix(1);
  return threads ? run_threads(bytes, counts, told) : run_calls(bytes, counts, told);
}

}  // namespace once::testing
