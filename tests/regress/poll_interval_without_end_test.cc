// A poll_interval of once::forever was added to the time of now without a look at where time ends:
// the relay waited until long ago, again and again.
#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "once/execute.h"
#include "once/outbox.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Notices a wait without an end, and whoever asks for the time again and again instead.
class WatchedClock final : public Clock {
 public:
  [[nodiscard]] Time wall() const override { return clock_.wall(); }
  [[nodiscard]] BootId boot() const override { return clock_.boot(); }
  [[nodiscard]] Duration since_boot() const override {
    if (++looks_ == too_often) told(Seen::busy_loop);
    return clock_.since_boot();
  }
  void wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  Duration deadline) const override {
    if (deadline - clock_.since_boot() > std::chrono::years(1000)) told(Seen::endless_wait);
    looks_ = 0;
    clock_.wait_until(lock, condition, deadline);
  }

  enum class Seen { nothing, endless_wait, busy_loop };
  [[nodiscard]] Seen wait() const {
    seen_.wait(Seen::nothing);
    return seen_;
  }
  void told(Seen seen) const {
    Seen nothing = Seen::nothing;
    if (seen_.compare_exchange_strong(nothing, seen)) seen_.notify_all();
  }

 private:
  static constexpr int too_often = 10'000;
  ManualClock clock_;
  mutable std::atomic<int> looks_ = 0;
  mutable std::atomic<Seen> seen_ = Seen::nothing;
};

Options options_with(const std::shared_ptr<WatchedClock>& clock) {
  Options options = Simulation().options();
  options.clock = clock;
  return options;
}

}  // namespace

TEST_CASE("a relay that never polls waits until it is woken") {
  const auto clock = std::make_shared<WatchedClock>();
  Store store = value_of(Store::open("memory:", options_with(clock)));
  std::atomic<int> seen = 0;
  auto relay = value_of(Relay::start(store, callback_publisher([&](const Event&) -> Result<void> {
                                       ++seen;
                                       seen.notify_all();
                                       return {};
                                     }),
                                     {.poll_interval = forever, .heartbeat = false}));
  CHECK(clock->wait() == WatchedClock::Seen::endless_wait);
  value_of(store.publish({.type = "t"}));
  seen.wait(0);
  value_of(relay->stop());
}

TEST_CASE("a pause without an end between two tries ends when its stop token says so") {
  const auto clock = std::make_shared<WatchedClock>();
  Store store = value_of(Store::open("memory:", options_with(clock)));
  Executor executor(
      store, {.failures = {
                  .attempts = 2, .initial_pause = forever, .longest_pause = forever, .jitter = 0}});
  std::stop_source stop;
  std::jthread stopper([&] {
    (void)clock->wait();
    stop.request_stop();
  });
  int tries = 0;
  const auto done = executor.execute("k",
                                     [&]() -> Result<int> {
                                       ++tries;
                                       return std::unexpected(work_retryable("later"));
                                     },
                                     {.heartbeat = false, .stop = stop.get_token()});
  clock->told(WatchedClock::Seen::busy_loop);  // for a stopper that saw no pause
  CHECK_FALSE(done);
  CHECK(tries == 1);
  CHECK(clock->wait() == WatchedClock::Seen::endless_wait);
}
