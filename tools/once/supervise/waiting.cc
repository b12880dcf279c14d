#include "waiting.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "once/clock.h"
#include "once/holder.h"

namespace once::supervise {
namespace {

using namespace std::chrono_literals;

// When to look whether a process that lives on has finished, and how often at least.
constexpr Duration first_look = 250ms;
constexpr Duration longest_pause = 1s;

// Readable when the process ends. None: it has ended, or is not the one that was meant.
Descriptor watch(const Holder& holder) {
  if (system_processes()->liveness(holder) != Liveness::running) return {};
  Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, holder.pid, 0)));
  // The number may have gone to another process before it was opened, but not after.
  if (system_processes()->liveness(holder) != Liveness::running) return {};
  // A guardian that has ended, and whose front is cleaning up.
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  if (retry([&] { return ::poll(&ended, 1, 0); }) != 0) return {};
  return process;
}

}  // namespace

std::optional<int> wait_for_holder(const Record& record, Duration longest, const Signals& signals,
                                   const std::function<bool()>& finished) {
  const Descriptor process = watch(record.holder);
  Duration time = longest;
  if (process) {
    // A store's time is near to the wall clock, so that this may be early or late; both are
    // harmless.
    const Duration lease = record.lease_until - system_clock()->wall();
    time = std::min(time, std::max(lease, Duration{20ms}));
  } else if (system_processes()->liveness(record.holder) == Liveness::unknown) {
    time = std::min(time, Duration{100ms});
  } else {
    // It has ended just now; or its front is cleaning up, which takes a moment.
    time = std::min(time, Duration{5ms});
  }
  pollfd events[] = {{.fd = process.get(), .events = POLLIN, .revents = 0},
                     {.fd = signals.descriptor(), .events = POLLIN, .revents = 0}};
  const auto clock = system_clock();
  const Duration end = clock->since_boot() + std::clamp(time, Duration{0}, Duration{24h});
  for (Duration pause = first_look;; pause = std::min(2 * pause, longest_pause)) {
    const Duration left = std::max(end - clock->since_boot(), Duration{0});
    const auto part = static_cast<int>(std::min(left, pause).count());
    const int ready = retry([&] { return ::poll(events, std::size(events), part); });
    if (ready != 0 || left <= pause || finished()) return signals.next_ending();
  }
}

}  // namespace once::supervise
