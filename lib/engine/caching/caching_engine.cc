#include "engine/caching/caching_engine.h"

namespace once::engine {

Result<std::optional<Found>> CachingEngine::find(const Key& key, std::uint64_t* accesses) {
  std::optional<Found> cached(std::in_place);
  if (cache_.find(key, target_->now(), *cached, accesses)) return cached;
  const std::uint64_t ticket = cache_.ticket(key);
  auto found = target_->find(key);
  if (found && *found && (*found)->outcome) cache_.fill(key, ticket, **found, accesses);
  return found;
}

Engine::FoundMany CachingEngine::find_many(std::span<const Key* const> keys,
                                           std::span<std::uint64_t> accesses) {
  FoundMany found(keys.size());
  const auto accesses_of = [&](std::size_t i) { return accesses.empty() ? nullptr : &accesses[i]; };
  std::vector<std::size_t> asked;
  std::vector<const Key*> asked_keys;
  std::vector<std::uint64_t> tickets;
  const Time now = target_->now();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Found cached;
    if (cache_.find(*keys[i], now, cached, accesses_of(i))) {
      found[i] = std::move(cached);
      continue;
    }
    asked.push_back(i);
    asked_keys.push_back(keys[i]);
    tickets.push_back(cache_.ticket(*keys[i]));
  }
  if (asked.empty()) return found;
  auto answers = target_->find_many(asked_keys);
  for (std::size_t at = 0; at < asked.size(); ++at) {
    const std::size_t i = asked[at];
    found[i] = std::move(answers[at]);
    if (found[i] && *found[i] && (*found[i])->outcome) {
      cache_.fill(*keys[i], tickets[at], **found[i], accesses_of(i));
    }
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
