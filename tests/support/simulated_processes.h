// The simulated twin of the operating system's processes: a test says who lives.
#pragma once

#include <map>

#include "base/mutex.h"
#include "once/holder.h"

namespace once::testing {

inline Holder holder(std::uint32_t pid) {
  return {.boot = {1}, .pid_namespace = 7, .pid = pid, .start_time = pid};
}

class SimulatedProcesses final : public Processes {
 public:
  explicit SimulatedProcesses(std::uint32_t self = 100) : self_(self) {}

  Holder self() const override { return holder(self_); }
  Liveness liveness(const Holder& who) const override {
    MutexLock lock(mutex_);
    const auto at = lives_.find(who.pid);
    return at == lives_.end() ? Liveness::unknown : at->second;
  }
  void set(std::uint32_t pid, Liveness liveness) {
    MutexLock lock(mutex_);
    lives_[pid] = liveness;
  }

 private:
  const std::uint32_t self_;
  mutable Mutex mutex_;
  std::map<std::uint32_t, Liveness> lives_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::testing
