// The heartbeat took the first of the beats that were due, and not the one due longest: with more
// of them than fit into an interval it came back to the first, and the leases of the others lapsed
// while their work ran.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "base/manual_clock.h"
#include "ledger/heartbeat.h"

using namespace once;
using namespace std::chrono_literals;

TEST_CASE("beats that do not fit into their interval come in turn") {
  constexpr int most = 100;
  const auto clock = std::make_shared<ManualClock>();
  std::array<int, 10> renewed{};
  std::atomic<int> in_all = 0;
  {
    ledger::Heartbeat heartbeat(clock);
    std::vector<std::unique_ptr<ledger::Heartbeat::Beat>> beats;
    for (int& count : renewed) {
      beats.push_back(heartbeat.start(1s, [&] {
        if (in_all == most) return true;
        ++count;
        if (++in_all == most) {
          in_all.notify_all();
        } else {
          clock->advance(400ms);
        }
        return true;
      }));
    }
    clock->advance(1s);
    for (int seen = in_all; seen < most; seen = in_all) in_all.wait(seen);
    heartbeat.close();
  }
  for (const int count : renewed) CHECK(count == most / 10);
}
