#include "engine/caching/replay_cache.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace once::engine {
namespace {

// What an answer takes besides its own memory: its places in the two vectors, and the headers of
// allocations.
constexpr std::size_t overhead = 96;
constexpr std::size_t least_table = 16;

// The part is chosen by the lowest bits.
std::size_t first_place(std::size_t table_size, std::uint64_t hash) {
  return (hash >> 16) & (table_size - 1);
}

}  // namespace

std::uint64_t ReplayCache::hash_of(const Key& key) {
  const std::hash<Bytes> hash;
  std::uint64_t mixed = hash(key.id);
  for (const Bytes* part : {&key.operation, &key.tenant}) {
    mixed = (mixed ^ (part->empty() ? 1 : hash(*part))) * 0x9E3779B97F4A7C15U;
    mixed ^= mixed >> 32;
  }
  return mixed;
}

std::size_t ReplayCache::place_of(const Part& part, std::uint64_t hash, const Key& key) {
  std::size_t place = first_place(part.table.size(), hash);
  for (; part.table[place].answer != nullptr; place = (place + 1) & (part.table.size() - 1)) {
    if (part.table[place].hash != hash) continue;
    const CachedAnswer& answer = *part.table[place].answer;
    answer.prefetch();
    if (answer.is_of(key)) break;
  }
  return place;
}

CachedAnswer* ReplayCache::at(const Part& part, std::uint64_t hash, const Key& key) {
  return part.table.empty() ? nullptr : part.table[place_of(part, hash, key)].answer;
}

CachedAnswer* ReplayCache::look(Part& part, std::uint64_t hash, const Key& key, Time now) {
  CachedAnswer* answer = at(part, hash, key);
  if (answer == nullptr) return nullptr;
  if (is_expired(answer->record(), now)) {
    drop(part, *answer);
    return nullptr;
  }
  if (!answer->asked_for) answer->asked_for = true;  // or else it is there, and no line is written
  return answer->whole ? answer : nullptr;
}

bool ReplayCache::find(const Key& key, Time now, Found& found, Ticket& ticket,
                       std::uint64_t* accesses) {
  return with(key, now, ticket, [&](CachedAnswer& answer) {
    if (accesses != nullptr) *accesses = ++answer.accesses;
    found = {.record = answer.record(), .outcome = answer.outcome()};
  });
}

ReplayCache::Ticket ReplayCache::ticket(const Key& key) {
  const std::uint64_t hash = hash_of(key);
  Part& part = part_of(hash);
  BriefLock lock(part.mutex);
  return slot_of(part, hash).version;
}

void ReplayCache::fill(const Key& key, Ticket ticket, const Found& found, std::uint64_t* accesses) {
  if (accesses != nullptr) *accesses = 1;
  if (part_bytes_ == 0) return;
  const std::uint64_t hash = hash_of(key);
  Part& part = part_of(hash);
  BriefLock lock(part.mutex);
  const Slot& slot = slot_of(part, hash);
  if (slot.changing != 0 || slot.version != ticket) return;
  CachedAnswer* answer = at(part, hash, key);
  if (answer == nullptr) {
    // One outcome may push out those of its part, but not all.
    const bool whole = CachedAnswer::bytes_for(key, found, true) + overhead <= part_bytes_;
    const std::size_t bytes = CachedAnswer::bytes_for(key, found, whole) + overhead;
    if (bytes > part_bytes_) return;
    while (part.bytes + bytes > part_bytes_) drop_one(part);
    auto made = CachedAnswer::make(hash, key, found, whole);
    answer = made.get();
    insert(part, std::move(made));
  }
  if (accesses != nullptr) *accesses = ++answer->accesses;
}

void ReplayCache::put(std::vector<Place>& table, CachedAnswer& answer) {
  std::size_t place = first_place(table.size(), answer.hash);
  while (table[place].answer != nullptr) place = (place + 1) & (table.size() - 1);
  table[place] = {.hash = answer.hash, .answer = &answer};
}

void ReplayCache::insert(Part& part, CachedAnswer::Pointer answer) {
  if (part.table.size() * 3 <= (part.answers.size() + 1) * 4) grow(part);
  CachedAnswer& added = *answer;
  added.place = static_cast<std::uint32_t>(part.answers.size());
  part.answers.push_back(std::move(answer));
  // From here on there is no memory to be asked for, and so nothing that is half done.
  put(part.table, added);
  part.bytes += added.bytes + overhead;
}

void ReplayCache::grow(Part& part) {
  part.table.assign(std::max(least_table, 2 * part.table.size()), Place());
  for (const auto& answer : part.answers) put(part.table, *answer);
}

void ReplayCache::drop(Part& part, const CachedAnswer& answer) {
  const std::size_t mask = part.table.size() - 1;
  std::size_t gap = first_place(part.table.size(), answer.hash);
  while (part.table[gap].answer != &answer) gap = (gap + 1) & mask;
  // Those behind move up, as far as their own first places let them (D. E. Knuth, The Art of
  // Computer Programming, volume 3, 6.4, algorithm R).
  for (std::size_t next = gap;;) {
    next = (next + 1) & mask;
    if (part.table[next].answer == nullptr) break;
    const std::size_t first = first_place(part.table.size(), part.table[next].hash);
    if (((next - first) & mask) < ((next - gap) & mask)) continue;
    part.table[gap] = part.table[next];
    gap = next;
  }
  part.table[gap] = Place();
  part.bytes -= answer.bytes + overhead;
  const std::size_t place = answer.place;
  if (place + 1 != part.answers.size()) {
    std::swap(part.answers[place], part.answers.back());
    part.answers[place]->place = static_cast<std::uint32_t>(place);
  }
  part.answers.pop_back();
}

void ReplayCache::drop_one(Part& part) {
  while (true) {
    if (part.hand >= part.answers.size()) part.hand = 0;
    CachedAnswer& answer = *part.answers[part.hand];
    // What takes its place is the newest one, and is not to be looked at next.
    ++part.hand;
    if (!std::exchange(answer.asked_for, false)) return drop(part, answer);
  }
}

void ReplayCache::begin(const Key& key, std::uint64_t hash) {
  Part& part = part_of(hash);
  BriefLock lock(part.mutex);
  Slot& slot = slot_of(part, hash);
  ++slot.changing;
  ++slot.version;
  if (const CachedAnswer* answer = at(part, hash, key)) drop(part, *answer);
}

void ReplayCache::end(std::uint64_t hash) {
  Part& part = part_of(hash);
  BriefLock lock(part.mutex);
  Slot& slot = slot_of(part, hash);
  --slot.changing;
  ++slot.version;
}

void ReplayCache::clear() {
  for (Part& part : parts_) {
    BriefLock lock(part.mutex);
    for (Slot& slot : part.slots) ++slot.version;
    part.table.clear();
    part.answers.clear();
    part.bytes = 0;
  }
}

std::size_t ReplayCache::bytes() {
  std::size_t bytes = 0;
  for (Part& part : parts_) {
    BriefLock lock(part.mutex);
    bytes += part.bytes;
  }
  return bytes;
}

}  // namespace once::engine
