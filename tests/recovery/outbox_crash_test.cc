// A power cut after every single call to the device while events are published, delivered, given up
// on, retried, dropped and swept: what was acknowledged stays, each event is as it was before or
// after the call under way, the cursor hides nothing, and a relay delivers exactly what is left, in
// order.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/manual_clock.h"
#include "engine/embedded/embedded_engine.h"
#include "once/outbox.h"
#include "recovery/quick_place.h"
#include "recovery/recording.h"
#include "recovery/stopwatch.h"
#include "store/open_on.h"
#include "support/check_result.h"
#include "support/simulated_device.h"
#include "support/simulated_processes.h"

using namespace once;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

// What is known of an event: all that may change.
using Standing = std::tuple<EventStatus, std::uint32_t, Time, std::string>;
using Standings = std::map<std::string, Standing>;

constexpr std::uint32_t pid = 100;

// A store on a simulated disk with a relay whose receiver says what `down` and `refused` say.
class World {
 public:
  World(std::shared_ptr<SimulatedDevice> device, Time now, std::uint32_t process)
      : device_(std::move(device)), process_(process) {
    clock_->set_wall(now);
  }

  Result<void> open() {
    relay_.reset();
    store_.reset();
    auto processes = std::make_shared<SimulatedProcesses>(process_);
    for (std::uint32_t earlier = pid; earlier < process_; ++earlier) {
      processes->set(earlier, Liveness::dead);
    }
    Options options;
    options.memory_budget = 1 << 20;
    options.clock = clock_;
    options.processes = processes;
    options.open_timeout_ms = 0ms;
    auto engine = engine::EmbeddedEngine::open(
        make_quick(
            engine::make_file_place("simulated.once", {.options = options, .device = device_})),
        options);
    if (!engine) return pass(engine);
    store_.emplace(open_on(std::move(*engine), options));
    RelayOptions relay;
    relay.batch = 40;
    relay.backoff = {.initial = 1s, .max = 1s, .multiplier = 1, .jitter = 0};
    relay.max_retries = 1;
    relay.retention = 1h;
    relay.heartbeat = false;
    auto made = Relay::create(
        *store_, callback_publisher([this](const Event& event) { return take(event); }), relay);
    if (!made) return pass(made);
    relay_ = std::move(*made);
    return {};
  }

  Result<void> take(const Event& event) {
    if (down.contains(event.aggregate_id)) return fail(ErrorCode::io, "down");
    if (refused.contains(event.aggregate_id)) return std::unexpected(work_failed("no", "refused"));
    taken.push_back(event);
    return {};
  }

  Result<Standings> standings() {
    Standings found;
    auto visited = store_->events({}, [&](const Event& event) {
      found[event.id] = {event.status, event.retries, event.next_attempt_at, event.last_error};
      return true;
    });
    if (!visited) return pass(visited);
    return found;
  }

  Store& store() { return *store_; }
  Relay& relay() { return *relay_; }
  ManualClock& clock() { return *clock_; }

  std::set<std::string> down{};
  std::set<std::string> refused{};
  std::vector<Event> taken{};

 private:
  const std::shared_ptr<SimulatedDevice> device_;
  const std::uint32_t process_;
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::optional<Store> store_;
  std::unique_ptr<Relay> relay_;
};

struct Step {
  std::string name;
  std::function<Result<void>(World&)> run;
};

Event numbered(int number, const std::string& aggregate) {
  return {.id = fmt::format("{:05}", number),
          .aggregate_type = "t",
          .aggregate_id = aggregate,
          .payload = std::string(static_cast<std::size_t>(number % 50), 'x')};
}

Step publish(int number, const std::string& aggregate) {
  return {"publish", [=](World& world) -> Result<void> {
            auto done = world.store().publish(numbered(number, aggregate));
            if (!done) return pass(done);
            return {};
          }};
}

// In one commit, with an outcome.
Step publish_many(int from, int count) {
  return {"publish many", [=](World& world) -> Result<void> {
            auto done = world.store().transact(
                Key(std::to_string(from)), [&](Transaction& tx) -> Result<void> {
                  for (int i = from; i < from + count; ++i) {
                    auto put =
                        tx.publish(numbered(i, i == from ? "stuck" : "m" + std::to_string(i % 3)));
                    if (!put) return put;
                  }
                  return {};
                });
            if (!done) return pass(done);
            return {};
          }};
}

Step deliver() {
  return {"deliver", [](World& world) -> Result<void> {
            auto done = world.relay().deliver_now();
            if (!done) return pass(done);
            return {};
          }};
}

Step moods(std::set<std::string> down, std::set<std::string> refused) {
  return {"moods", [=](World& world) -> Result<void> {
            world.down = down;
            world.refused = refused;
            return {};
          }};
}

Step time_passes(Duration by) {
  return {"time", [=](World& world) -> Result<void> {
            world.clock().advance(by);
            return {};
          }};
}

std::vector<Step> program() {
  std::vector<Step> steps;
  int number = 0;
  const auto four = [&] {
    for (const char* aggregate : {"a", "b", "a", "c"})
      steps.push_back(publish(number++, aggregate));
  };
  four();
  steps.push_back(moods({"a"}, {"c"}));
  steps.push_back(deliver());  // a waits, c is dead
  four();
  steps.push_back(time_passes(1s));
  steps.push_back(deliver());  // a is dead too
  steps.push_back({"retry", [](World& world) { return Outbox(world.store()).retry("00000"); }});
  steps.push_back(moods({}, {}));
  steps.push_back(deliver());
  steps.push_back({"drop", [](World& world) { return Outbox(world.store()).drop("00003"); }});
  steps.push_back(deliver());
  // More than it takes for the cursor to jump over the one that is stuck.
  steps.push_back(moods({"stuck"}, {}));
  steps.push_back(publish_many(100, 330));
  steps.push_back(deliver());
  steps.push_back({"reopen", [](World& world) -> Result<void> {
                     if (auto closed = world.store().close(); !closed) return closed;
                     return world.open();
                   }});
  four();
  steps.push_back(deliver());
  steps.push_back(time_passes(2h));
  steps.push_back({"sweep", [](World& world) -> Result<void> {
                     auto done = world.store().sweep();
                     if (!done) return pass(done);
                     return {};
                   }});
  four();
  steps.push_back(deliver());  // what was stuck is dead
  steps.push_back(moods({}, {}));
  steps.push_back({"retry all", [](World& world) -> Result<void> {
                     auto done = Outbox(world.store()).retry_dead();
                     if (!done) return pass(done);
                     return {};
                   }});
  steps.push_back(deliver());
  return steps;
}

struct Point {
  std::uint64_t calls = 0;  // of the device, until then
  Standings standings;
  Time now;
  std::string name;
};

struct Recorded {
  std::vector<Point> points;
  std::vector<KeptMoment> moments;
};

Recorded record_program() {
  Recorded recorded;
  auto device = std::make_shared<SimulatedDevice>();
  World world(device, Time(std::chrono::seconds(1'700'000'000)), pid);
  value_of(world.open());
  device->keep_moments();
  const auto keep = [&](const std::string& name) {
    recorded.points.push_back({.calls = device->calls().total,
                               .standings = value_of(world.standings()),
                               .now = world.clock().wall(),
                               .name = name});
  };
  keep("nothing");
  for (const Step& step : program()) {
    value_of(step.run(world));
    keep(step.name);
  }
  value_of(world.store().close());
  recorded.moments = device->moments();
  for (const auto& [id, standing] : recorded.points.back().standings) {
    CHECK(std::get<EventStatus>(standing) == EventStatus::delivered);
  }
  return recorded;
}

// What is wrong with the events found, or nothing.
std::string difference(const Standings& found, const Point& before, const Point& after) {
  std::set<std::string> ids;
  for (const Standings* standings : {&found, &before.standings, &after.standings}) {
    for (const auto& [id, standing] : *standings) ids.insert(id);
  }
  const auto at = [](const Standings& standings, const std::string& id) -> std::optional<Standing> {
    const auto known = standings.find(id);
    return known == standings.end() ? std::nullopt : std::optional(known->second);
  };
  for (const std::string& id : ids) {
    const auto is = at(found, id);
    if (is == at(before.standings, id) || is == at(after.standings, id)) continue;
    return fmt::format("event {} is {}, neither as before nor as after", id,
                       is ? to_string(std::get<EventStatus>(*is)) : "gone");
  }
  return "";
}

// A relay delivers exactly what is not delivered, in order.
std::string deliver_rest(World& world, const Standings& found) {
  std::set<std::string> expected;
  for (const auto& [id, standing] : found) {
    if (std::get<EventStatus>(standing) != EventStatus::delivered) expected.insert(id);
  }
  if (auto retried = Outbox(world.store()).retry_dead(); !retried) return retried.error().message;
  world.clock().advance(1s);
  if (auto done = world.relay().deliver_now(); !done) return done.error().message;
  std::map<std::string, std::string> last;
  for (const Event& event : world.taken) {
    if (expected.erase(event.id) == 0) return "delivered again: " + event.id;
    if (last[event.aggregate_id] > event.id) return "out of order: " + event.id;
    last[event.aggregate_id] = event.id;
  }
  return expected.empty() ? "" : "lost: " + *expected.begin();
}

std::string problem_after_cut(const DiskImage& image, const Point& before, const Point& after) {
  World world(std::make_shared<SimulatedDevice>(image), after.now, pid + 1);
  world.clock().reboot();
  if (auto opened = world.open(); !opened) return "opening: " + opened.error().message;
  auto found = world.standings();
  if (!found) return found.error().message;
  std::string problem = difference(*found, before, after);
  if (!problem.empty()) return problem;
  auto report = world.store().verify();
  if (!report) return "verify: " + report.error().message;
  if (!report->problems.empty()) return "verify: " + report->problems.front();
  return deliver_rest(world, *found);
}

}  // namespace

TEST_CASE("a power cut after any call to the device loses no event, and delivers none in vain") {
  const Stopwatch stopwatch;
  const Recorded recorded = record_program();
  std::atomic<std::uint64_t> images = 0;
  std::set<std::pair<std::uint64_t, std::size_t>> seen;
  std::mutex mutex;
  const auto problems = in_two_threads(recorded.moments.size(), [&](std::size_t at) {
    const KeptMoment& kept = recorded.moments[at];
    const auto next = std::ranges::upper_bound(recorded.points, kept.calls, {}, &Point::calls);
    const auto index = static_cast<std::size_t>(next - recorded.points.begin());
    const Point& before = recorded.points[index == 0 ? 0 : index - 1];
    const Point& after = next == recorded.points.end() ? before : *next;
    for (const CrashPlan& plan : plans_for(kept.moment, at)) {
      const DiskImage image = kept.moment.crash(plan);
      {
        const std::scoped_lock lock(mutex);
        if (!seen.emplace(digest_of(image), index).second) continue;
      }
      ++images;
      const std::string problem = problem_after_cut(image, before, after);
      if (!problem.empty()) {
        return fmt::format("power cut after call {} of the device, in {} (step {}), {}: {}",
                           kept.calls, after.name, index, plan.describe(), problem);
      }
    }
    return std::string();
  });
  for (const std::string& problem : problems) FAIL_CHECK(problem);
  MESSAGE(recorded.moments.size() << " moments, " << images.load() << " crash images in "
                                  << stopwatch.seconds() << " s");
}
