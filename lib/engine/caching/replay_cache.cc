#include "engine/caching/replay_cache.h"

#include <functional>
#include <utility>

namespace once::engine {
namespace {

// What an entry takes besides its texts: nodes of the two containers, and headers of allocations.
constexpr std::size_t entry_overhead = 160;

std::size_t size_of(const Key& key) {
  return key.tenant.size() + key.operation.size() + key.id.size();
}

std::size_t size_of(const Outcome& outcome) {
  return (outcome.value ? outcome.value->size() : 0) + outcome.code.size() +
         outcome.message.size() + outcome.content_type.size();
}

}  // namespace

std::uint64_t ReplayCache::hash_of(const Key& key) {
  const std::hash<Bytes> hash;
  std::uint64_t mixed = hash(key.id);
  for (const Bytes* part : {&key.operation, &key.tenant}) {
    mixed = (mixed ^ hash(*part)) * 0x9E3779B97F4A7C15U;
    mixed ^= mixed >> 32;
  }
  return mixed;
}

bool ReplayCache::find(const Key& key, Time now, Found& found, std::uint64_t* accesses) {
  if (part_bytes_ == 0) return false;
  Part& part = part_of(hash_of(key));
  MutexLock lock(part.mutex);
  const auto at = part.entries.find(key);
  if (at == part.entries.end()) return false;
  Entry& entry = at->second;
  if (is_expired(entry.found.record, now)) {
    drop(part, at);
    return false;
  }
  part.order.splice(part.order.begin(), part.order, entry.at);
  if (!entry.whole) return false;
  if (accesses != nullptr) *accesses = ++entry.accesses;
  found = entry.found;
  return true;
}

std::uint64_t ReplayCache::ticket(const Key& key) {
  const std::uint64_t hash = hash_of(key);
  Part& part = part_of(hash);
  MutexLock lock(part.mutex);
  return slot_of(part, hash).version;
}

void ReplayCache::fill(const Key& key, std::uint64_t ticket, const Found& found,
                       std::uint64_t* accesses) {
  if (accesses != nullptr) *accesses = 1;
  if (part_bytes_ == 0) return;
  const std::uint64_t hash = hash_of(key);
  Part& part = part_of(hash);
  MutexLock lock(part.mutex);
  const Slot& slot = slot_of(part, hash);
  if (slot.changing != 0 || slot.version != ticket) return;
  auto at = part.entries.find(key);
  if (at == part.entries.end()) {
    const std::size_t fixed = sizeof(Entries::value_type) + entry_overhead + size_of(key);
    // One outcome may not push all others out.
    const bool whole = fixed + size_of(*found.outcome) <= part_bytes_ / 4;
    if (fixed > part_bytes_) return;
    at = part.entries.try_emplace(key).first;
    Entry& entry = at->second;
    entry.whole = whole;
    entry.bytes = fixed + (whole ? size_of(*found.outcome) : 0);
    entry.found.record = found.record;
    if (whole) entry.found.outcome = found.outcome;
    part.order.push_front(&at->first);
    entry.at = part.order.begin();
    part.bytes += entry.bytes;
  }
  if (accesses != nullptr) *accesses = ++at->second.accesses;
  while (part.bytes > part_bytes_) drop(part, part.entries.find(*part.order.back()));
}

void ReplayCache::begin(const Key& key, std::uint64_t hash) {
  Part& part = part_of(hash);
  MutexLock lock(part.mutex);
  Slot& slot = slot_of(part, hash);
  ++slot.changing;
  ++slot.version;
  if (const auto at = part.entries.find(key); at != part.entries.end()) drop(part, at);
}

void ReplayCache::end(std::uint64_t hash) {
  Part& part = part_of(hash);
  MutexLock lock(part.mutex);
  Slot& slot = slot_of(part, hash);
  --slot.changing;
  ++slot.version;
}

void ReplayCache::clear() {
  for (Part& part : parts_) {
    MutexLock lock(part.mutex);
    for (Slot& slot : part.slots) ++slot.version;
    part.order.clear();
    part.entries.clear();
    part.bytes = 0;
  }
}

void ReplayCache::drop(Part& part, Entries::iterator at) {
  part.bytes -= at->second.bytes;
  part.order.erase(at->second.at);
  part.entries.erase(at);
}

std::size_t ReplayCache::bytes() {
  std::size_t bytes = 0;
  for (Part& part : parts_) {
    MutexLock lock(part.mutex);
    bytes += part.bytes;
  }
  return bytes;
}

}  // namespace once::engine
