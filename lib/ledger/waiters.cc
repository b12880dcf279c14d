#include "ledger/waiters.h"

#include <algorithm>
#include <functional>

namespace once::ledger {

Waiters::Slot& Waiters::slot_of(const Key& key) {
  return slots_[std::hash<Bytes>{}(key.id) % slots_.size()];
}

std::uint64_t Waiters::ticket(const Key& key) {
  Slot& slot = slot_of(key);
  MutexLock lock(slot.mutex);
  return slot.count;
}

void Waiters::wait(const Key& key, std::uint64_t ticket, const Clock& clock, Duration deadline) {
  const Watched watched{.key = &key, .ticket = ticket};
  wait_any({&watched, 1}, clock, deadline);
}

// Where the bell stands, as long as this lives.
class Waiters::Listing {
 public:
  // Stands in at most so many slots.
  Listing(Waiters& waiters, Bell& bell, std::size_t most) : waiters_(waiters), bell_(bell) {
    slots_.reserve(most);
  }
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;

  // False: something has happened since the ticket.
  bool add(const Watched& watched) {
    Slot& slot = waiters_.slot_of(*watched.key);
    MutexLock lock(slot.mutex);
    if (slot.count != watched.ticket || slot.closed) return false;
    slot.bells.push_back(&bell_);
    slots_.push_back(&slot);
    return true;
  }
  void wait(const Clock& clock, Duration deadline) {
    MutexLock lock(bell_.mutex);
    while (bell_.rung == 0 && clock.since_boot() < deadline) {
      bell_.changed.wait_until(bell_.mutex, clock, deadline);
    }
  }
  // Out of the lists; who has taken it out of one already will ring.
  ~Listing() {
    std::size_t taken = slots_.size();
    {
      MutexLock lock(bell_.mutex);
      if (bell_.rung == taken) return;
    }
    for (Slot* slot : slots_) {
      MutexLock lock(slot->mutex);
      const auto at = std::ranges::find(slot->bells, &bell_);
      if (at == slot->bells.end()) continue;
      slot->bells.erase(at);
      --taken;
    }
    MutexLock lock(bell_.mutex);
    while (bell_.rung < taken) bell_.changed.wait(bell_.mutex);
  }

 private:
  Waiters& waiters_;
  Bell& bell_;
  std::vector<Slot*> slots_{};
};

void Waiters::wait_any(std::span<const Watched> watched, const Clock& clock, Duration deadline) {
  Bell bell;
  Listing listing(*this, bell, watched.size());
  for (const Watched& each : watched) {
    if (!listing.add(each)) return;
  }
  listing.wait(clock, deadline);
}

void Waiters::Bell::ring() {
  MutexLock lock(mutex);
  ++rung;
  changed.notify_all();
}

void Waiters::wake(Slot& slot, bool for_good) {
  std::vector<Bell*> bells;
  {
    MutexLock lock(slot.mutex);
    ++slot.count;
    slot.closed |= for_good;
    bells.swap(slot.bells);
  }
  for (Bell* bell : bells) bell->ring();
}

void Waiters::notify(const Key& key) {
  wake(slot_of(key), false);
}

void Waiters::close() {
  for (Slot& slot : slots_) wake(slot, true);
}

}  // namespace once::ledger
