#include "engine/embedded/store_clock.h"

#include <doctest/doctest.h>

#include "base/manual_clock.h"

using namespace once;
using namespace once::engine;
using namespace std::chrono_literals;
using model::ClockMark;

namespace {

// A machine that does not know which boot this is.
class Nameless final : public Clock {
 public:
  Time wall() const override { return Time(5000s); }
  Duration since_boot() const override { return 100s; }
  BootId boot() const override { return {}; }
  void wait_until(std::unique_lock<std::mutex>&, std::condition_variable&,
                  Duration) const override {}
};

}  // namespace

TEST_CASE("without a mark the time is the wall clock's, and passes with the time since boot") {
  const auto machine = std::make_shared<ManualClock>();
  const StoreClock clock(machine, std::nullopt);
  const Time start = machine->wall();
  CHECK(clock.now() == start);
  machine->advance(5s);
  CHECK(clock.now() == start + 5s);
  CHECK(clock.marked() == Time{});
}

TEST_CASE("within a boot the wall clock counts for nothing, before and after an opening") {
  const auto machine = std::make_shared<ManualClock>();
  const StoreClock first(machine, std::nullopt);
  const Time start = first.now();
  const ClockMark mark = first.mark();
  machine->advance(1min);
  for (const Duration turned : {Duration(-24h), Duration(24h)}) {
    machine->set_wall(start + turned);
    CHECK(first.now() == start + 1min);
    CHECK(StoreClock(machine, mark).now() == start + 1min);
  }
}

TEST_CASE("after another boot it is the later of the wall clock and the mark") {
  const auto machine = std::make_shared<ManualClock>();
  const ClockMark mark = StoreClock(machine, std::nullopt).mark();
  machine->reboot();
  machine->set_wall(mark.time - 24h);
  CHECK(StoreClock(machine, mark).now() == mark.time);
  machine->set_wall(mark.time + 24h);
  const StoreClock later(machine, mark);
  CHECK(later.now() == mark.time + 24h);
  machine->advance(1s);
  CHECK(later.now() == mark.time + 24h + 1s);
}

TEST_CASE("a boot nobody knows counts as another one") {
  const auto machine = std::make_shared<Nameless>();
  const ClockMark mark{.time = Time(4000s), .boot = {}, .since_boot = 90s};
  CHECK(StoreClock(machine, mark).now() == Time(5000s));
  const ClockMark ahead{.time = Time(6000s), .boot = {}, .since_boot = 90s};
  CHECK(StoreClock(machine, ahead).now() == Time(6000s));
}

TEST_CASE("a time since boot behind the mark's never runs the store's time back") {
  const auto machine = std::make_shared<ManualClock>();
  ClockMark mark = StoreClock(machine, std::nullopt).mark();
  mark.since_boot += 1h;
  machine->set_wall(mark.time - 24h);
  CHECK(StoreClock(machine, mark).now() == mark.time);
}

TEST_CASE("the mark only moves forward") {
  const auto machine = std::make_shared<ManualClock>();
  StoreClock clock(machine, std::nullopt);
  clock.set_marked(Time(100s));
  clock.set_marked(Time(50s));
  CHECK(clock.marked() == Time(100s));
}

TEST_CASE("when a time will be, for waiting") {
  const auto machine = std::make_shared<ManualClock>();
  const StoreClock clock(machine, std::nullopt);
  CHECK(clock.since_boot_at(clock.now() + 5s) == machine->since_boot() + 5s);
  CHECK(clock.since_boot_at(Time::max()) > machine->since_boot() + std::chrono::years(50));
}
