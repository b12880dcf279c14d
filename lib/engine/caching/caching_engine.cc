#include "engine/caching/caching_engine.h"

namespace once::engine {

Result<std::optional<Found>> CachingEngine::find(const Key& key, std::uint64_t* accesses) {
  std::optional<Found> cached(std::in_place);
  ReplayCache::Ticket ticket = 0;
  if (cache_.find(key, target_->now(), *cached, ticket, accesses)) return cached;
  auto found = target_->find(key);
  if (found && *found && (*found)->outcome) cache_.fill(key, ticket, **found, accesses);
  return found;
}

Engine::FoundMany CachingEngine::find_many_to_replay(std::span<const Key* const> keys,
                                                     std::span<std::uint64_t> accesses) {
  std::vector<ReplayCache::Ticket> tickets;
  tickets.reserve(keys.size());
  for (const Key* key : keys) tickets.push_back(cache_.ticket(*key));
  auto found = target_->find_many(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!found[i] || !*found[i] || !(*found[i])->outcome) continue;
    cache_.fill(*keys[i], tickets[i], **found[i], &accesses[i]);
  }
  return found;
}

Result<void> CachingEngine::update(const Key& key, const Transition& transition,
                                   Durability durability, const DataChanges* data) {
  const ReplayCache::Change change(cache_, key);
  return target_->update(key, transition, durability, data);
}

Result<void> CachingEngine::update_many(std::span<const Update> updates, Durability durability) {
  std::vector<ReplayCache::Change> changes;
  changes.reserve(updates.size());
  for (const Update& update : updates) changes.emplace_back(cache_, update.key);
  return target_->update_many(updates, durability);
}

}  // namespace once::engine
