#include "ledger/heartbeat.h"

#include <doctest/doctest.h>

#include <atomic>

#include "base/manual_clock.h"

using namespace once;
using namespace std::chrono_literals;

namespace {

// Waits until `count` has grown to `wanted`.
void wait_for(const std::atomic<int>& count, int wanted) {
  for (int seen = count; seen < wanted; seen = count) count.wait(seen);
}

}  // namespace

TEST_CASE("beats come every interval of the clock, and end with the beat") {
  const auto clock = std::make_shared<ManualClock>();
  ledger::Heartbeat heartbeat(clock);
  std::atomic<int> beats = 0;
  const auto renew = [&] {
    ++beats;
    beats.notify_all();
    return true;
  };
  auto beat = heartbeat.start(1min, renew);
  CHECK(beats == 0);
  for (int i = 1; i <= 3; ++i) {
    clock->advance(1min);
    wait_for(beats, i);
  }
  CHECK(beats == 3);
  beat.reset();
  std::atomic<int> others = 0;
  const auto second = heartbeat.start(1min, [&] {
    ++others;
    others.notify_all();
    return true;
  });
  clock->advance(10min);
  wait_for(others, 1);
  CHECK(beats == 3);
}

TEST_CASE("a renewal that is refused is the last one") {
  const auto clock = std::make_shared<ManualClock>();
  ledger::Heartbeat heartbeat(clock);
  std::atomic<int> refused = 0;
  std::atomic<int> others = 0;
  const auto lost = heartbeat.start(1min, [&] {
    ++refused;
    return false;
  });
  const auto kept = heartbeat.start(1min, [&] {
    ++others;
    others.notify_all();
    return true;
  });
  for (int i = 1; i <= 3; ++i) {
    clock->advance(1min);
    wait_for(others, i);
  }
  CHECK(refused == 1);
}

TEST_CASE("a shorter interval that starts later is not slept through") {
  const auto clock = std::make_shared<ManualClock>();
  ledger::Heartbeat heartbeat(clock);
  std::atomic<int> beats = 0;
  const auto slow = heartbeat.start(24h, [] { return true; });
  const auto quick = heartbeat.start(1s, [&] {
    ++beats;
    beats.notify_all();
    return true;
  });
  clock->advance(1s);
  wait_for(beats, 1);
  CHECK(beats == 1);
}
