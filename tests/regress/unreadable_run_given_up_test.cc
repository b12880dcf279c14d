// A run that was broken off, and whose checkpoints could not be read once it was taken over, was
// released: its retention began to count, and what was acknowledged was forgotten with it.
#include <doctest/doctest.h>

#include <functional>
#include <utility>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Calls `first` when a process is asked after for the first time.
class TellingProcesses final : public Processes {
 public:
  Holder self() const override { return holder(100); }
  Liveness liveness(const Holder&) const override {
    if (first) std::exchange(first, nullptr)();
    return Liveness::dead;
  }
  mutable std::function<void()> first{};
};

}  // namespace

TEST_CASE("a run that cannot be read stays broken off, and never expires") {
  TemporaryDirectory directory;
  const std::string path = directory.file("s.once");
  const Simulation simulation;
  Book book;
  Workflow workflow("w", {.heartbeat = false, .retention = 1h});
  workflow.node("a", {}, [&] { book.ran("a"); }).node("b", {"a"}, [&] { book.ran("b"); });
  {
    Store store = as_process(simulation, 200).open(path);
    auto faults = std::make_shared<WorkflowFaults>();
    faults->die("b", NodeMoment::before_effect);
    CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
  }
  const Key key = Workflow::key("w", "1");
  Options options = simulation.options();
  const auto processes = std::make_shared<TellingProcesses>();
  options.processes = processes;
  Store store = value_of(Store::open(path, options));
  // Between the first look at the run, which is made as of a moment before, and the second.
  processes->first = [&] {
    const Reservation dying{.key = key, .token = value_of(store.find(key))->record.token};
    value_of(store.save_checkpoint(dying, "node/z", "\x09 of a newer version"));
  };
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::newer_format);
  CHECK(!processes->first);
  const auto found = value_of(store.find(key));
  REQUIRE(found);
  CHECK(found->record.status == Status::in_progress);
  simulation.clock->advance(std::chrono::hours(24 * 365));
  value_of(store.sweep());
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::newer_format);
  CHECK(book.count("a") == 1);
}
