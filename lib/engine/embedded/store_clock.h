// The store's time: milliseconds since the epoch that never run back and never jump.
//
// A mark (time, boot, time since boot) is kept in the store. Within one boot of the machine the
// time is the mark's plus what has passed since boot, whatever the wall clock says: turning it by a
// day either way changes nothing. After another boot it is the later of the wall clock and the
// mark. So an expiry may come late when the wall clock was turned, and never early; and what was
// seen expired stays so, because the mark is moved before an expiry past it is acted on.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <set>

#include "base/mutex.h"
#include "model/meta.h"
#include "once/clock.h"

namespace once::engine {

// Thread-safe.
class StoreClock {
 public:
  StoreClock(std::shared_ptr<const Clock> clock, const std::optional<model::ClockMark>& mark);

  [[nodiscard]] Time now() const;
  [[nodiscard]] Duration since_boot_at(Time time) const;

  // A mark for now, to be written to the store.
  [[nodiscard]] model::ClockMark mark() const;
  // The time of the last mark that is in the store: nothing later may be acted on for good.
  [[nodiscard]] Time marked() const { return Time(Duration(marked_.load())); }
  void set_marked(Time time);
  // A commit did not come about, and its mark with it: only what is durable counts as marked.
  void forget_marked();
  // The time up to which rows past their retention may be removed for good: a mark that a power cut
  // cannot take back, and not past the time of anybody who is reading.
  [[nodiscard]] Time removable() const;
  void set_durable(Time time);
  // Holds removable() back to `time` until let go.
  void hold(Time time);
  void let_go(Time time);

 private:
  const std::shared_ptr<const Clock> clock_;
  Time base_time_;      // the store's time ...
  Duration base_boot_;  // ... when the machine had been up for this long
  std::atomic<std::int64_t> marked_;
  mutable Mutex mutex_;
  Time durable_ ONCE_GUARDED_BY(mutex_);
  std::multiset<Time> held_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::engine
