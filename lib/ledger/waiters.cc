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

void Waiters::wait_any(std::span<const Watched> watched, const Clock& clock, Duration deadline) {
  Bell bell;
  for (const Watched& each : watched) {
    Slot& slot = slot_of(*each.key);
    MutexLock lock(slot.mutex);
    slot.bells.push_back(&bell);
    if (slot.count != each.ticket || slot.closed) bell.ring();
  }
  {
    MutexLock lock(bell.mutex);
    while (!bell.rung && clock.since_boot() < deadline) {
      bell.changed.wait_until(bell.mutex, clock, deadline);
    }
  }
  for (const Watched& each : watched) {
    Slot& slot = slot_of(*each.key);
    MutexLock lock(slot.mutex);
    std::erase(slot.bells, &bell);
  }
}

void Waiters::Bell::ring() {
  MutexLock lock(mutex);
  rung = true;
  changed.notify_all();
}

void Waiters::Slot::wake() {
  changed.notify_all();
  for (Bell* bell : bells) bell->ring();
}

void Waiters::notify(const Key& key) {
  Slot& slot = slot_of(key);
  MutexLock lock(slot.mutex);
  ++slot.count;
  slot.wake();
}

void Waiters::close() {
  for (Slot& slot : slots_) {
    MutexLock lock(slot.mutex);
    slot.closed = true;
    slot.wake();
  }
}

}  // namespace once::ledger
