#include "recovery/recording.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <thread>

#include "base/mutex.h"

namespace once::testing {

std::size_t Recording::point_at(std::uint64_t calls) const {
  const auto after = std::ranges::upper_bound(points, calls, {}, &Point::calls);
  return after == points.begin() ? 0 : static_cast<std::size_t>(after - points.begin()) - 1;
}

SessionState Recording::state_at(std::uint64_t calls) const {
  const std::size_t at = point_at(calls);
  SessionState state = points[at].state;
  if (at + 1 < points.size()) state.model.may_also(points[at + 1].begun);
  return state;
}

std::string Recording::describe(std::uint64_t calls) const {
  const std::size_t at = point_at(calls);
  const std::string under_way = at + 1 < points.size() ? points[at + 1].call : "the end";
  return fmt::format("power cut after call {} of the device, in or before call {} ({})", calls, at,
                     under_way);
}

Recording record(const std::vector<Call>& program) {
  Recording recording{.device = std::make_shared<SimulatedDevice>()};
  SimulatedDevice& device = *recording.device;
  Session session(recording.device, {});
  recording.points.push_back({.calls = 0, .state = session.state(), .call = "nothing"});
  device.keep_moments();
  const auto keep = [&](std::string problem, const std::vector<StoreState>& begun,
                        const std::string& call) {
    if (problem.empty()) problem = session.compare_live();
    recording.problem = problem.empty() ? "" : fmt::format("{}: {}", call, problem);
    recording.points.push_back(
        {.calls = device.calls().total, .state = session.state(), .begun = begun, .call = call});
    return recording.problem.empty();
  };
  bool going = keep(session.open(Ending::power_cut), {}, "making the store");
  for (std::size_t i = 0; going && i < program.size(); ++i) {
    std::string problem = session.run(program[i]);
    going = keep(std::move(problem), session.expected().commits, program[i].describe());
  }
  if (going) {
    if (auto closed = session.close(); !closed) recording.problem = closed.error().message;
  }
  recording.moments = device.moments();
  return recording;
}

std::string problem_after(const std::shared_ptr<SimulatedDevice>& device,
                          const SessionState& state) {
  Session session(device, state);
  std::string problem = session.open(Ending::power_cut);
  if (problem.empty()) problem = session.verify();
  if (!problem.empty()) return problem;
  for (const Call& call : epilogue(session.state())) {
    problem = session.run(call);
    if (!problem.empty()) return "afterwards: " + problem;
  }
  problem = session.compare_live();
  if (!problem.empty()) return "afterwards: " + problem;
  if (auto closed = session.close(); !closed) return "closing: " + closed.error().message;
  problem = problem_with_container(device);
  if (problem.empty()) problem = session.open(Ending::process_ended);
  return problem.empty() ? "" : "opened again: " + problem;
}

std::vector<CrashPlan> plans_for(const Moment& moment, std::uint64_t seed) {
  using Kind = CrashPlan::Kind;
  std::vector<CrashPlan> plans{{.kind = Kind::none}};
  const std::size_t changes = moment.pending.size();
  if (changes == 0) return plans;
  plans.push_back({.kind = Kind::all});
  for (std::size_t i = 0; changes > 1 && i < changes; ++i) {
    plans.push_back({.kind = Kind::all_but, .index = i});
  }
  const std::uint64_t last = moment.last_write_bytes();
  for (const std::uint64_t torn :
       std::set<std::uint64_t>{last / 2, last - std::min<std::uint64_t>(last, 1)}) {
    if (torn < last) plans.push_back({.kind = Kind::last_torn, .index = torn});
  }
  if (changes > 1) plans.push_back({.kind = Kind::some, .seed = seed});
  return plans;
}

std::vector<std::string> in_two_threads(std::size_t count,
                                        const std::function<std::string(std::size_t)>& each) {
  constexpr std::size_t enough = 5;
  std::atomic<std::size_t> next = 0;
  Mutex mutex;
  std::vector<std::string> problems;
  std::atomic<std::size_t> found = 0;
  const auto work = [&] {
    while (found < enough) {
      const std::size_t i = next++;
      if (i >= count) return;
      std::string problem = each(i);
      if (problem.empty()) continue;
      ++found;
      MutexLock lock(mutex);
      problems.push_back(std::move(problem));
    }
  };
  std::thread other(work);
  work();
  other.join();
  return problems;
}

std::uint64_t digest_of(const DiskImage& image) {
  return std::hash<std::string_view>{}(image.bytes());
}

}  // namespace once::testing
