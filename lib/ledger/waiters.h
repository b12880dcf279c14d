// Waiting for something to happen to a key, and waking who waits.
//
//   const auto ticket = waiters.ticket(key);      // before looking
//   if (busy(look(key))) waiters.wait(key, ticket, clock, deadline);
//
// Because the ticket is taken before the look, a change between look and wait is not missed. Keys
// share slots, so a wait may end early; callers look again.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "once/clock.h"
#include "once/key.h"

namespace once::ledger {

// Thread-safe.
class Waiters {
 public:
  [[nodiscard]] std::uint64_t ticket(const Key& key);
  // Returns when `key` was notified since `ticket`, when `clock` reads `deadline` since boot, or
  // after close().
  void wait(const Key& key, std::uint64_t ticket, const Clock& clock, Duration deadline);
  // The same for several keys, each with its ticket: returns when any of them was notified.
  struct Watched {
    const Key* key = nullptr;
    std::uint64_t ticket = 0;
  };
  void wait_any(std::span<const Watched> watched, const Clock& clock, Duration deadline);
  void notify(const Key& key);
  // Wakes everyone, for good.
  void close();

 private:
  // Of one who waits. Who notifies takes it out of the slot's list, and rings it without holding
  // the slot's mutex: else all who are woken at once would wait for that one mutex, one after the
  // other.
  struct Bell {
    Mutex mutex{};
    CondVar changed{};
    std::size_t rung ONCE_GUARDED_BY(mutex) = 0;  // by how many slots
    void ring();
  };
  struct Slot {
    Mutex mutex{};
    std::uint64_t count ONCE_GUARDED_BY(mutex) = 0;
    bool closed ONCE_GUARDED_BY(mutex) = false;
    std::vector<Bell*> bells ONCE_GUARDED_BY(mutex){};
  };
  class Listing;
  Slot& slot_of(const Key& key);
  static void wake(Slot& slot, bool for_good);

  std::array<Slot, 64> slots_;
};

}  // namespace once::ledger
