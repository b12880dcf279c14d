#include "patterns/random_life.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "patterns/site.h"

namespace once::testing::patterns {

namespace {

class Life {
 public:
  Life(std::string_view bytes, LifeCounts& counts, bool told)
      : reader_(bytes), counts_(counts), told_(told) {}

  std::string run();

 private:
  std::string step();
  std::string call(const PatternCall& call);
  // Breaks off in the middle of what `work` does, and goes on with what is left then.
  std::string break_off(const std::function<std::string()>& work);
  std::string restart(Cut cut, bool kill);
  std::string fault();
  std::string reopen();

  CrashPlan plan();
  void begin(Disks disks, World world);
  std::string open();
  void say(const std::string& text) {
    if (told_) std::fprintf(stderr, "%s\n", text.c_str());
  }

  PatternReader reader_;
  LifeCounts& counts_;
  const bool told_;
  Liveness earlier_ = Liveness::dead;
  bool disk_is_bad_ = false;
  std::unique_ptr<Site> site_;
};

CrashPlan Life::plan() {
  const std::uint8_t kind = reader_.byte();
  if (kind % 4 == 0) return {.kind = CrashPlan::Kind::none};
  if (kind % 4 == 1) return {.kind = CrashPlan::Kind::all};
  return {.kind = CrashPlan::Kind::some, .seed = reader_.word()};
}

void Life::begin(Disks disks, World world) {
  site_.reset();
  site_ = std::make_unique<Site>(std::move(disks), std::move(world),
                                 SiteOptions{.earlier = earlier_, .may_fail = disk_is_bad_});
}

std::string Life::open() {
  ++counts_.openings;
  return site_->open();
}

std::string Life::call(const PatternCall& call) {
  ++counts_.calls;
  std::string problem = site_->call(call);
  say(fmt::format("  {}: {}", call.describe(), site_->heard()));
  return problem;
}

std::string Life::break_off(const std::function<std::string()>& work) {
  const bool kill = reader_.byte() % 3 == 0;
  site_->timeline().record();
  if (std::string problem = work(); !problem.empty()) return problem;
  site_->timeline().stop();
  const std::size_t cuts = site_->timeline().size();
  const std::size_t at = reader_.word() % cuts;
  say(fmt::format("{} after {} of {} things that happen", kill ? "killed" : "power cut", at,
                  cuts - 1));
  return restart(site_->timeline().at(at), kill);
}

std::string Life::restart(Cut cut, bool kill) {
  ++(kill ? counts_.kills : counts_.power_cuts);
  Disks disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    Moment& moment = cut.disks[i];
    if (kill) {
      // What the kernel has goes on being there, and is not on the disk yet.
      const DiskImage shown = moment.crash({.kind = CrashPlan::Kind::all});
      disks[i] = std::make_shared<SimulatedDevice>(std::move(moment), shown);
    } else {
      const CrashPlan how = plan();
      say("  of what was not synced: " + how.describe());
      disks[i] = std::make_shared<SimulatedDevice>(moment.crash(how));
    }
  }
  if (!kill) cut.world.power_cut();
  site_->drop();
  begin(std::move(disks), std::move(cut.world));
  if (reader_.byte() % 4 != 1) return open();
  // It happens again while it recovers.
  return break_off([&] {
    std::string problem = open();
    if (problem.empty()) problem = call({.kind = PatternCall::Kind::resume});
    if (problem.empty()) problem = call({.kind = PatternCall::Kind::recover});
    if (problem.empty()) problem = call({.kind = PatternCall::Kind::deliver});
    return problem;
  });
}

std::string Life::fault() {
  using Effect = Fault::Effect;
  ++counts_.faults;
  const std::uint8_t how = reader_.byte();
  const std::uint8_t what = reader_.byte();
  Fault fault{.kind = static_cast<CallKind>(what / 2 % call_kinds),
              .nth = std::uint64_t{1} + reader_.byte() % 40,
              .for_ever = how % 2 == 0,
              .effect = how / 2 % 2 == 0 ? Effect::none_done : Effect::partly,
              .code = how / 4 % 2 == 0 ? ErrorCode::io : ErrorCode::no_space};
  if (how % 16 == 15) fault.kind.reset();
  say(fmt::format("from now on {} {} of disk {} fails{}",
                  fault.kind ? to_string(*fault.kind) : "call", fault.nth, what % 2,
                  fault.for_ever ? " and all after it" : ""));
  disk_is_bad_ = true;
  const Disks disks = site_->disks();
  World world = site_->timeline().world();
  site_->drop();
  begin(disks, std::move(world));
  if (std::string problem = open(); !problem.empty()) return problem;
  SimulatedDevice& bad = *disks[what % 2];
  bad.inject(fault);
  for (int i = 2 + how % 8; i > 0; --i) {
    if (std::string problem = call(reader_.call()); !problem.empty()) return problem;
  }
  say(fmt::format("it struck {} times", bad.struck().total));
  const bool cut_power = reader_.byte() % 2 == 0;
  Cut cut{.disks = {disks[0]->moment(), disks[1]->moment()}, .world = site_->timeline().world()};
  site_->drop();
  if (fault.for_ever && !cut_power) {
    // As long as the disk is bad it may open, or not.
    if (site_->try_open()) site_->drop();
    cut.world = site_->timeline().world();
  }
  bad.heal();
  disk_is_bad_ = false;
  if (cut_power) return restart(std::move(cut), false);
  // The same disk: what a failed sync has left is still shown, and not on it.
  begin(disks, std::move(cut.world));
  return open();
}

// Closed in good order, and opened.
std::string Life::reopen() {
  say("closed");
  if (auto closed = site_->close(); !closed) return "closing: " + closed.error().message;
  const Disks disks = site_->disks();
  begin(disks, site_->timeline().world());
  return open();
}

std::string Life::step() {
  const std::uint8_t what = reader_.byte();
  if (what >= 250) return fault();
  if (what >= 205) {
    const bool with_call = reader_.byte() % 8 != 0;
    return break_off([&] { return with_call ? call(reader_.call()) : std::string(); });
  }
  if (what >= 200) return reopen();
  return call(reader_.call());
}

std::string Life::run() {
  if (reader_.byte() / 2 % 4 == 0) earlier_ = Liveness::unknown;
  begin(fresh_disks(), {});
  std::string problem = open();
  while (problem.empty() && !reader_.at_end()) problem = step();
  say("all comes to its end");
  if (problem.empty()) problem = site_->settle();
  return problem.empty() ? reopen() : problem;
}

}  // namespace

std::string live(std::string_view bytes, LifeCounts& counts, bool told) {
  return Life(bytes, counts, told).run();
}

}  // namespace once::testing::patterns
