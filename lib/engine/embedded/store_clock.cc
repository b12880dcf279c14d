#include "engine/embedded/store_clock.h"

#include <algorithm>

namespace once::engine {

StoreClock::StoreClock(std::shared_ptr<const Clock> clock,
                       const std::optional<model::ClockMark>& mark)
    : clock_(std::move(clock)), base_boot_(clock_->since_boot()) {
  const Time marked = mark ? mark->time : Time{};
  const bool same_boot = mark && mark->boot != BootId{} && mark->boot == clock_->boot() &&
                         mark->since_boot <= base_boot_;
  base_time_ =
      same_boot ? marked + (base_boot_ - mark->since_boot) : std::max(clock_->wall(), marked);
  marked_ = marked.time_since_epoch().count();
  MutexLock lock(mutex_);
  durable_ = marked;
}

Time StoreClock::now() const {
  return base_time_ + (clock_->since_boot() - base_boot_);
}

Duration StoreClock::since_boot_at(Time time) const {
  // Far-away deadlines ("forever") must not overflow.
  const Duration most = std::chrono::hours(24 * 365 * 100);
  return base_boot_ + std::min(time - base_time_, most);
}

model::ClockMark StoreClock::mark() const {
  const Duration since_boot = clock_->since_boot();
  return {.time = base_time_ + (since_boot - base_boot_),
          .boot = clock_->boot(),
          .since_boot = since_boot};
}

Time StoreClock::removable() const {
  MutexLock lock(mutex_);
  return held_.empty() ? durable_ : std::min(durable_, *held_.begin());
}

void StoreClock::set_durable(Time time) {
  MutexLock lock(mutex_);
  durable_ = std::max(durable_, time);
}

void StoreClock::forget_marked() {
  MutexLock lock(mutex_);
  marked_ = durable_.time_since_epoch().count();
}

void StoreClock::hold(Time time) {
  MutexLock lock(mutex_);
  held_.insert(time);
}

void StoreClock::let_go(Time time) {
  MutexLock lock(mutex_);
  const auto at = held_.find(time);
  if (at != held_.end()) held_.erase(at);
}

void StoreClock::set_marked(Time time) {
  const std::int64_t wanted = time.time_since_epoch().count();
  std::int64_t known = marked_.load();
  while (known < wanted && !marked_.compare_exchange_weak(known, wanted)) {
  }
}

}  // namespace once::engine
