// Delays between attempts.
#include "outbox/backoff.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>

using namespace once;
using namespace once::outbox;
using namespace std::chrono_literals;

TEST_CASE("without jitter a delay grows by the multiplier up to the greatest") {
  const Backoff backoff{.initial = 100ms, .max = 1s, .multiplier = 3, .jitter = 0};
  for (const std::uint64_t random : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    CHECK(delay_after(backoff, 1, random) == 100ms);
    CHECK(delay_after(backoff, 2, random) == 300ms);
    CHECK(delay_after(backoff, 3, random) == 900ms);
    CHECK(delay_after(backoff, 4, random) == 1s);
    CHECK(delay_after(backoff, std::numeric_limits<std::uint32_t>::max(), random) == 1s);
  }
}

TEST_CASE("jitter takes off no more than its part, and spreads over all of it") {
  const Backoff backoff{.initial = 1000ms, .max = 1min, .multiplier = 2, .jitter = 0.25};
  std::mt19937_64 random(5);
  Duration least = Duration::max();
  Duration most{};
  for (int i = 0; i < 10'000; ++i) {
    const Duration delay = delay_after(backoff, 1, random());
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  CHECK(least >= 750ms);
  CHECK(least < 760ms);
  CHECK(most <= 1000ms);
  CHECK(most > 990ms);
}

TEST_CASE("full jitter still waits a millisecond") {
  const Backoff backoff{.initial = 1ms, .max = 1ms, .multiplier = 1, .jitter = 1};
  CHECK(delay_after(backoff, 1, ~std::uint64_t{0}) == 1ms);
}
