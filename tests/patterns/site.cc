#include "patterns/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/place.h"
#include "recovery/quick_place.h"
#include "store/open_on.h"

namespace once::testing::patterns {

using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t first_pid = 100;

}  // namespace

Site::Site(Disks disks, World world, const SiteOptions& options)
    : timeline_(std::move(world)), disks_(std::move(disks)), options_(options) {
  for (const auto& disk : disks_) devices_.push_back(timeline_.add(disk));
  const World now = timeline_.world();
  for (std::uint32_t i = 0; i < now.boots; ++i) clock_->reboot();
  clock_->advance(now.up);
  clock_->set_wall(now.now);
}

Disks fresh_disks() {
  return {std::make_shared<SimulatedDevice>(DiskImage{}, "main.once"),
          std::make_shared<SimulatedDevice>(DiskImage{}, "other.once")};
}

Site::~Site() {
  drop();
}

bool Site::is_of_the_disk(ErrorCode code) {
  return code == ErrorCode::io || code == ErrorCode::no_space || code == ErrorCode::unknown ||
         code == ErrorCode::poisoned || code == ErrorCode::damaged;
}

void Site::hear(const std::string& what, const Error& error,
                std::initializer_list<ErrorCode> fine) {
  heard_ = to_string(error.code);
  if (std::ranges::find(fine, error.code) != fine.end()) return;
  // Somebody who could not give back what he had is at fault for busy, and one who could not even
  // be told for fenced.
  const bool follows = error.code == ErrorCode::busy || error.code == ErrorCode::fenced;
  if (options_.may_fail && (follows || is_of_the_disk(error.code))) return;
  if (options_.earlier == Liveness::unknown && error.code == ErrorCode::busy) return;
  blame(fmt::format("{}: {}: {}", what, to_string(error.code), error.message));
}

void Site::pass_time(Duration by) {
  clock_->advance(by);
  change([&](World& world) {
    world.now += by;
    world.up += by;
  });
}

Result<Store> Site::open_store(std::size_t disk, const Options& options) {
  auto engine = engine::EmbeddedEngine::open(
      make_quick(engine::make_file_place(disks_[disk]->name(),
                                         {.options = options, .device = devices_[disk]})),
      options);
  if (!engine) return pass(engine);
  return open_on(std::move(*engine), options);
}

Result<void> Site::try_open() {
  drop();
  std::uint32_t self = 0;
  change([&](World& world) { self = first_pid + world.lives++; });
  auto processes = std::make_shared<SimulatedProcesses>(self);
  for (std::uint32_t pid = first_pid; pid < self; ++pid) processes->set(pid, options_.earlier);
  Options options;
  // Small, so that flushes and compactions come along.
  options.memory_budget = std::size_t{1} << 20;
  options.clock = clock_;
  options.processes = processes;
  options.open_timeout_ms = 0ms;
  auto main = open_store(0, options);
  if (!main) return pass(main);
  auto other = open_store(1, options);
  if (!other) return pass(other);
  main_.emplace(std::move(*main));
  other_.emplace(std::move(*other));
  auto relay = make_relay();
  if (!relay) return pass(relay);
  relay_ = std::move(*relay);
  define_flows();
  return open_coordinator();
}

std::string Site::open() {
  if (auto opened = try_open(); !opened) {
    return fmt::format("opening: {}: {}", to_string(opened.error().code), opened.error().message);
  }
  return check();
}

std::string Site::call(const PatternCall& call) {
  using Kind = PatternCall::Kind;
  static constexpr std::array<Duration, 4> durations{1s, 2min, 2h, 30s};
  heard_.clear();
  mood_ = {};
  switch (call.kind) {
    case Kind::execute:
      execute(call.which, call.how);
      break;
    case Kind::enqueue:
      enqueue(call.which, call.how);
      break;
    case Kind::deliver:
      deliver(call.which, call.how);
      break;
    case Kind::flow:
      flow(call.which, call.how);
      break;
    case Kind::resume:
      resume();
      break;
    case Kind::transfer:
      transfer(call.which, call.how);
      break;
    case Kind::recover:
      recover();
      break;
    case Kind::refresh:
      refresh(call.which, call.how);
      break;
    case Kind::merge:
      merge(call.which, call.how);
      break;
    case Kind::batch:
      batch(call.which, call.how);
      break;
    case Kind::lock:
      lock(call.which, call.how);
      break;
    case Kind::pipeline:
      pipeline(call.which, call.how);
      break;
    case Kind::reserve:
      reserve(call.which, call.how);
      break;
    case Kind::late:
      late(call.which, call.how);
      break;
    case Kind::pass_time:
      pass_time(durations[call.how % durations.size()]);
      break;
    case Kind::sweep: {
      const auto swept = (call.which % 2 == 0 ? *main_ : *other_).sweep();
      if (!swept) hear("sweeping", swept.error(), {});
      break;
    }
    case Kind::retry_dead:
      retry_dead();
      break;
    case Kind::check:
      if (!options_.may_fail) return check();
      break;
  }
  // A node's booking that nobody was told of may be there by now.
  if (!options_.may_fail) settle_orders();
  return timeline_.world().problem;
}

std::string Site::settle(bool verify) {
  mood_ = {};
  pass_time(10min);
  const World before = timeline_.world();
  // Whoever is in doubt asks the world.
  for (std::uint8_t which = 0; which < 3; ++which) {
    pipeline(which, 8);
    const std::string id = std::to_string(which);
    if (!timeline_.world().pipes[id].answer) blame("pipe " + id + " has no answer in the end");
  }
  for (std::uint8_t which = 0; which < 3; ++which) {
    refresh(which, 0);
    merge(which, 0);
    lock(which, 0);
  }
  for (const auto& [name, operation] : before.operations) {
    if (name.starts_with("pipe")) continue;  // a stage
    execute(name, 8);
    if (!timeline_.world().operations[name].answer) blame(name + " has no answer in the end");
  }
  recover();
  resume();
  for (const auto& [name, run] : before.runs) {
    const std::size_t slash = name.find('/');
    for (std::size_t which = 0; which < flows_.size(); ++which) {
      if (flows_[which].name() != name.substr(0, slash)) continue;
      bool ended = run_flow(which, name.substr(slash + 1), {.wait = 0ms});
      if (!ended && heard_ == "sleeps") {
        pass_time(nap);
        ended = run_flow(which, name.substr(slash + 1), {.wait = 0ms});
      }
      if (!ended) blame(fmt::format("run {} does not come to its end: {}", name, heard_));
    }
  }
  for (std::uint8_t how = 0; how < 6; ++how) {
    late(128, how);
    for (std::uint8_t which = 0; which < 3; ++which) late(which, how);
  }
  settle_orders();
  retry_dead();
  for (int passes = 0;; ++passes) {
    deliver(0, 0);
    const auto lag = Outbox(*main_).lag();
    if (!lag || lag->pending + lag->dead == 0 || passes == 20) break;
    pass_time(2s);
  }
  return check_end(verify);
}

Result<void> Site::close() {
  relay_.reset();
  coordinator_.reset();
  for (std::optional<Store>* store : {&main_, &other_}) {
    if (!*store) continue;
    auto closed = (*store)->close();
    store->reset();
    if (!closed) return closed;
  }
  return {};
}

void Site::drop() {
  relay_.reset();
  coordinator_.reset();
  main_.reset();
  other_.reset();
}

}  // namespace once::testing::patterns
