// How often runs of a workflow are broken off, as this process has seen it.
#pragma once

#include <cstdint>
#include <map>

#include "base/mutex.h"
#include "base/saturating.h"
#include "once/clock.h"
#include "once/key.h"
#include "once/record.h"

namespace once::workflow {

// Thread-safe.
class Failures {
 public:
  // So much is known of a run by now; what it said before counts only once. `origin` is the token
  // that it was begun with: what an earlier run under its key said stays as it is.
  void seen(const Key& run, Token origin, Duration running, std::uint32_t failures) {
    MutexLock lock(mutex_);
    Seen& before = seen_[run];
    if (before.origin != origin) before = {.origin = origin};
    const Duration more = running - before.running;
    // Less than before: what ran since the last checkpoint was lost with its process.
    running_ = more < Duration::zero() ? running_ + more : after(running_, more);
    failures_ += std::int64_t{failures} - before.failures;
    before = {.origin = origin, .running = running, .failures = failures};
  }
  // The run has ended: it counts, and says nothing more.
  void forget(const Key& run) {
    MutexLock lock(mutex_);
    seen_.erase(run);
  }
  // Mean time between failures; `assumed` counts as one failure that was seen before.
  [[nodiscard]] Duration mtbf(Duration assumed) const {
    MutexLock lock(mutex_);
    return after(assumed, running_) / (failures_ + 1);
  }

 private:
  struct Seen {
    Token origin{};
    Duration running{};
    std::uint32_t failures = 0;
  };

  mutable Mutex mutex_;
  std::map<Key, Seen> seen_ ONCE_GUARDED_BY(mutex_);  // runs that have not ended
  Duration running_ ONCE_GUARDED_BY(mutex_){};
  std::int64_t failures_ ONCE_GUARDED_BY(mutex_) = 0;
};

}  // namespace once::workflow
