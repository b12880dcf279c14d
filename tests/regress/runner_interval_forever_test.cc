// An interval without an end overflowed, and the runner looked again and again without a pause; so
// did the pause before a retry.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Notes that somebody waits without an end.
class WatchedClock final : public Clock {
 public:
  explicit WatchedClock(std::atomic<int>& events) : events_(events) {}

  Time wall() const override { return time_.wall(); }
  Duration since_boot() const override { return time_.since_boot(); }
  BootId boot() const override { return time_.boot(); }
  void wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  Duration deadline) const override {
    if (deadline == forever) {
      waits_ = true;
      events_ += 1000;
      events_.notify_all();
    }
    time_.wait_until(lock, condition, deadline);
  }
  [[nodiscard]] bool waits() const { return waits_; }

 private:
  ManualClock time_;
  std::atomic<int>& events_;
  mutable std::atomic<bool> waits_ = false;
};

}  // namespace

TEST_CASE("a runner with an interval of `forever` looks once, and then waits") {
  std::atomic<int> events = 0;  // runs that were tried, or 1,000 and more
  const auto clock = std::make_shared<WatchedClock>(events);
  Options options;
  options.clock = clock;
  Store store = value_of(Store::open("memory:", options));
  Workflow workflow("w");
  workflow.node("a", {}, []() -> Result<void> { return std::unexpected(work_retryable("down")); });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  std::atomic<int> tries = 0;
  WorkflowRunner runner(store, {workflow},
                        {.interval = forever,
                         .given_back = 0ms,
                         .observe = [&](const Key&, const Result<WorkflowRun>&) {
                           ++tries;
                           ++events;
                           events.notify_all();
                         }});
  for (int seen = events; seen < 100; seen = events) events.wait(seen);
  CHECK(clock->waits());
  CHECK(tries == 1);
  runner.stop();
}

TEST_CASE("a retry after a pause of `forever` is not made, until the run is stopped") {
  for (const bool in_steps : {false, true}) {
    CAPTURE(in_steps);
    std::atomic<int> events = 0;
    const auto clock = std::make_shared<WatchedClock>(events);
    Options options;
    options.clock = clock;
    Store store = value_of(Store::open("memory:", options));
    std::atomic<int> tries = 0;
    const auto work = [&]() -> Result<void> {
      if (++tries > 1) {
        events += 1000;
        events.notify_all();
      }
      return std::unexpected(work_retryable("down"));
    };
    const NodeOptions patient{
        .retry = {.attempts = 2, .initial = forever, .longest = forever, .jitter = 0}};
    Workflow workflow("w");
    if (in_steps) {
      workflow = Workflow("w", [&](StepContext& run) { return run.step("a", work, patient); });
    } else {
      workflow.node("a", {}, work, patient);
    }
    std::stop_source stop;
    std::thread stopper([&] {
      for (int seen = events; seen < 1000; seen = events) events.wait(seen);
      stop.request_stop();
    });
    CHECK(error_of(workflow.run(store, "1", {.stop = stop.get_token()})) == ErrorCode::cancelled);
    stopper.join();
    CHECK(tries == 1);
  }
}
