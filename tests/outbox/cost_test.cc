// Delivering 100 events with 1,000,000 delivered ones kept costs at most 1.2 times what it costs
// with none; after reopening too, and with early events that are not settled.
#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <optional>
#include <string>

#include "once/outbox.h"
#include "support/check_result.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kept = 1'000'000;
constexpr int rounds = 25;
constexpr double most = 1.2;

Event event(std::uint64_t number) {
  return {.sequence = (std::uint64_t{1} << 24) + 1 + number,
          .id = "00000000-0000-7000-8000-" + std::to_string(100'000'000'000 + number),
          .aggregate_type = "order",
          .aggregate_id = std::to_string(number % 1000),
          .type = "order.placed",
          .payload = R"({"total": 12.50, "currency": "EUR", "items": 3})",
          .created_at = Time(1h)};
}

// Of the first events `unsettled` are left: one half dead letters, one half tried in vain.
void make_store(const std::string& path, std::uint64_t count, std::uint64_t unsettled) {
  Loader loader = value_of(Loader::create(path));
  value_of(loader.add(StoreRow{.format = 1, .opening = 1}));
  for (std::uint64_t i = 0; i < count; ++i) {
    Event row = event(i);
    if (i >= unsettled) {
      row.status = EventStatus::delivered;
      row.published_at = Time(2h);
      row.expires_at = Time::max();
    } else {
      row.aggregate_id = "stuck " + std::to_string(i);
      row.retries = 1;
      row.last_error = "down";
      row.status = i % 2 == 0 ? EventStatus::dead : EventStatus::pending;
      if (i % 2 == 1) row.next_attempt_at = Time::max();
    }
    value_of(loader.add(row));
  }
  value_of(loader.finish());
}

// Processor time of this thread, which is what does the work; waiting for a processor that others
// use is not counted.
double thread_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

class Measured {
 public:
  Measured(const TemporaryDirectory& directory, const std::string& name, std::uint64_t count,
           std::uint64_t unsettled)
      : path_(directory.file(name)) {
    make_store(path_, count, unsettled);
    // What was loaded in one go is still being sorted; nothing of that is to be measured.
    value_of(value_of(Store::open(path_)).sweep());
  }
  // Delivers 100 events, right after opening or not.
  void round(bool reopen) {
    if (reopen || !store_) {
      store_.reset();
      store_.emplace(value_of(Store::open(path_)));
      // Who lets go of the first snapshot after opening starts the thread that merges tables, if
      // that is due: once for a store that is open, whatever is in it and whoever does so.
      value_of(store_->scan({}, [](const Key&, const Record&) { return true; }));
    }
    for (int i = 0; i < 100; ++i) {
      value_of(store_->publish(event(static_cast<std::uint64_t>(i)), Durability::buffered));
    }
    std::uint64_t delivered = 0;
    auto relay =
        value_of(Relay::create(*store_, callback_publisher([&](const Event&) -> Result<void> {
          ++delivered;
          return {};
        })));
    const double begin = thread_ms();
    value_of(relay->deliver_now());
    best_ = std::min(best_, thread_ms() - begin);
    REQUIRE(delivered == 100);
  }
  [[nodiscard]] double best() const { return best_; }
  void forget() { best_ = std::numeric_limits<double>::max(); }

 private:
  const std::string path_;
  std::optional<Store> store_;
  double best_ = std::numeric_limits<double>::max();
};

// In turns, so that both meet the same machine.
void compare(Measured& with, Measured& without, bool reopen) {
  with.forget();
  without.forget();
  for (int i = 0; i < rounds; ++i) {
    with.round(reopen);
    without.round(reopen);
  }
  MESSAGE("with " << with.best() << " ms, without " << without.best()
                  << " ms: " << with.best() / without.best() << " times");
  CHECK(with.best() <= most * without.best());
}

}  // namespace

TEST_CASE("delivering costs the same, however much was delivered before") {
  const TemporaryDirectory directory(quick_place());
  Measured with(directory, "with", kept, 0);
  Measured without(directory, "without", 0, 0);
  compare(with, without, true);
  compare(with, without, false);
}

TEST_CASE("early events that are not settled change nothing about that") {
  const TemporaryDirectory directory(quick_place());
  Measured with(directory, "with", kept, 20);
  Measured without(directory, "without", 20, 20);
  compare(with, without, true);
  compare(with, without, false);
}
