#include "ledger/waiters.h"

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
  Slot& slot = slot_of(key);
  MutexLock lock(slot.mutex);
  while (slot.count == ticket && !slot.closed && clock.since_boot() < deadline) {
    slot.changed.wait_until(slot.mutex, clock, deadline);
  }
}

void Waiters::notify(const Key& key) {
  Slot& slot = slot_of(key);
  MutexLock lock(slot.mutex);
  ++slot.count;
  slot.changed.notify_all();
}

void Waiters::close() {
  for (Slot& slot : slots_) {
    MutexLock lock(slot.mutex);
    slot.closed = true;
    slot.changed.notify_all();
  }
}

}  // namespace once::ledger
