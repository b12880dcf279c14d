// An engine that keeps finished records of another one in memory (replay_cache.h).
//
// Right because every change of a record passes through here: one process at a time has a store
// open for writing, and who has it open to read sees it as it was. What the sweep removes is past
// retention, which the cache sees by itself.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/caching/replay_cache.h"
#include "engine/engine.h"

namespace once::engine {

class CachingEngine final : public Engine {
 public:
  // Without a cache when `cache_bytes` is 0.
  CachingEngine(std::unique_ptr<Engine> target, std::size_t cache_bytes)
      : target_(std::move(target)), cache_(cache_bytes) {}

  // find(), counted as an access: `accesses` is how often an outcome was found since it is in the
  // cache, this time included.
  Result<std::optional<Found>> find_to_replay(const Key& key, std::uint64_t& accesses) {
    return find(key, &accesses);
  }
  // The same of many that are not in memory; `accesses` has a place for each.
  FoundMany find_many_to_replay(std::span<const Key* const> keys,
                                std::span<std::uint64_t> accesses);
  // find_to_replay() of what is in memory at `now`; false where the target would have to be asked.
  [[nodiscard]] bool find_in_memory(const Key& key, Time now, Found& found,
                                    std::uint64_t& accesses) {
    ReplayCache::Ticket unused = 0;
    return cache_.find(key, now, found, unused, &accesses);
  }
  // ReplayCache::visit() of that.
  template <class Visit>
  bool visit_in_memory(const Key& key, Time now, Visit&& visit) {
    return cache_.visit(key, now, std::forward<Visit>(visit));
  }

  Time now() const override { return target_->now(); }
  Duration since_boot_at(Time time) const override { return target_->since_boot_at(time); }
  Result<void> update(const Key& key, const Transition& transition, Durability durability,
                      const DataChanges* data) override;
  Result<void> update_many(std::span<const Update> updates, Durability durability) override;
  Result<void> update_outbox(const Key& key, std::span<const std::uint64_t> sequences,
                             const Transition& transition, Durability durability) override {
    const ReplayCache::Change change(cache_, key);
    return target_->update_outbox(key, sequences, transition, durability);
  }
  Result<void> append(std::span<Event> events, Durability durability) override {
    return target_->append(events, durability);
  }
  Result<std::optional<Found>> find(const Key& key) override { return find(key, nullptr); }
  FoundMany find_many(std::span<const Key* const> keys) override {
    return target_->find_many(keys);
  }
  Result<std::optional<Record>> record(const Key& key) override { return target_->record(key); }
  Result<std::optional<Checkpoint>> checkpoint(const Key& key, ByteView name) override {
    return target_->checkpoint(key, name);
  }
  Result<std::unique_ptr<DataView>> view() override { return target_->view(); }
  Result<std::unique_ptr<Reading>> read() override { return target_->read(); }
  Result<SweepReport> sweep(const Progress& progress) override { return target_->sweep(progress); }
  [[nodiscard]] CommitCounts commit_counts() const override { return target_->commit_counts(); }
  void keep_tallies(std::function<std::vector<LabelTally>()> current) override {
    target_->keep_tallies(std::move(current));
  }
  Result<std::vector<LabelTally>> tallies() override { return target_->tallies(); }
  Result<Stats> stats() override { return target_->stats(); }
  Result<CompactReport> compact(const Progress& progress) override {
    return target_->compact(progress);
  }
  Result<CheckedBytes> verify_bytes(const Progress& progress,
                                    const std::function<void(std::string)>& problem) override {
    return target_->verify_bytes(progress, problem);
  }
  Result<void> import_rows(std::span<const Row> rows) override {
    cache_.clear();
    return target_->import_rows(rows);
  }
  Result<void> finish_import() override { return target_->finish_import(); }
  Result<void> close() override { return target_->close(); }

 private:
  Result<std::optional<Found>> find(const Key& key, std::uint64_t* accesses);

  const std::unique_ptr<Engine> target_;
  ReplayCache cache_;
};

}  // namespace once::engine
