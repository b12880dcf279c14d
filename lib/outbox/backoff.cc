#include "outbox/backoff.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace once::outbox {
namespace {

constexpr std::size_t most_in_a_batch = 10'000;

}  // namespace

Duration delay_after(const Backoff& backoff, std::uint32_t retries, std::uint64_t random) {
  const auto most = static_cast<double>(backoff.max.count());
  const double exponent = retries == 0 ? 0 : retries - 1;
  // Infinity, for an exponent that is large, is cut as well.
  const double whole = std::min(
      static_cast<double>(backoff.initial.count()) * std::pow(backoff.multiplier, exponent), most);
  const double part =
      static_cast<double>(random >> 11) / static_cast<double>(std::uint64_t{1} << 53);
  const double delay = whole * (1 - backoff.jitter * part);
  // Rounded up: a delay of nothing would be tried again in the same breath.
  return Duration(static_cast<Duration::rep>(std::ceil(std::max(delay, 1.0))));
}

Result<void> check(const RelayOptions& options) {
  const Backoff& backoff = options.backoff;
  if (options.batch < 1 || options.batch > most_in_a_batch) {
    return fail(ErrorCode::invalid_argument, "a batch of {} events; give 1 to {}", options.batch,
                most_in_a_batch);
  }
  if (options.at_once < 1 || options.at_once > max_events_at_once) {
    return fail(ErrorCode::invalid_argument, "{} events at once; give 1 to {}", options.at_once,
                max_events_at_once);
  }
  if (options.poll_interval <= Duration::zero() || options.lease <= Duration::zero()) {
    return fail(ErrorCode::invalid_argument,
                "the poll interval ({} ms) and the lease ({} ms) of a relay must be more than 0",
                options.poll_interval.count(), options.lease.count());
  }
  if (options.retention < Duration::zero()) {
    return fail(ErrorCode::invalid_argument, "a retention of {} ms is less than none",
                options.retention.count());
  }
  constexpr Duration longest = std::chrono::hours(24 * 365);
  if (backoff.initial <= Duration::zero() || backoff.max < backoff.initial ||
      backoff.max > longest) {
    return fail(ErrorCode::invalid_argument,
                "a backoff from {} ms to {} ms; give an initial delay of at least 1 ms and a "
                "greatest one that is not less, and no more than a year",
                backoff.initial.count(), backoff.max.count());
  }
  // Written so that what is not a number is refused.
  if (!(backoff.multiplier >= 1 && backoff.multiplier <= 1000)) {
    return fail(ErrorCode::invalid_argument, "a backoff multiplier of {}; give 1 to 1000",
                backoff.multiplier);
  }
  if (!(backoff.jitter >= 0 && backoff.jitter <= 1)) {
    return fail(ErrorCode::invalid_argument, "a jitter of {}; give 0 to 1", backoff.jitter);
  }
  return {};
}

}  // namespace once::outbox
