#include "metrics/meters.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <new>
#include <tuple>

namespace once::metrics {
namespace {

std::size_t hash_of(const Key& key) noexcept {
  const std::size_t tenant = std::hash<std::string_view>{}(key.tenant);
  const std::size_t operation = std::hash<std::string_view>{}(key.operation);
  return tenant ^ (operation + 0x9e3779b97f4a7c15U + (tenant << 6U) + (tenant >> 2U));
}

std::size_t bucket_of(std::uint64_t nanoseconds) noexcept {
  const auto bits = static_cast<std::size_t>(std::bit_width(nanoseconds / 1000));
  return std::min(bits, Latencies::buckets - 1);
}

}  // namespace

Meters::Meters(bool detailed) : detailed_(detailed) {}

Meters::~Meters() {
  for (std::atomic<Cell*>& slot : cells_) delete slot.load();
}

Meters::Cell* Meters::insert(const Key& key, std::atomic<Cell*>& slot) noexcept {
  if (labels_.load(std::memory_order_relaxed) >= max_figure_labels) return &others_;
  if (labels_.fetch_add(1) >= max_figure_labels) {
    labels_.fetch_sub(1);
    return &others_;
  }
  Cell* fresh = nullptr;
  try {
    fresh = new Cell{.tenant = key.tenant, .operation = key.operation};
  } catch (const std::bad_alloc&) {
    labels_.fetch_sub(1);
    return &others_;
  }
  Cell* there = nullptr;
  if (slot.compare_exchange_strong(there, fresh, std::memory_order_acq_rel)) return fresh;
  delete fresh;
  labels_.fetch_sub(1);
  return there;
}

Meters::Cell& Meters::cell_of(const Key& key) noexcept {
  if (!detailed_) return others_;
  for (std::size_t at = hash_of(key);; ++at) {
    std::atomic<Cell*>& slot = cells_[at % slots];
    Cell* cell = slot.load(std::memory_order_acquire);
    if (cell == nullptr) cell = insert(key, slot);
    if (cell == &others_) return others_;
    if (cell->tenant == key.tenant && cell->operation == key.operation) return *cell;
  }
}

void Meters::count(const Key& key, Counted what) noexcept {
  Shard& shard = cell_of(key).parts[thread_number() % shards];
  shard.counts[static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed);
}

void Meters::time(const Key& key, Timed what, std::chrono::nanoseconds took) noexcept {
  if (!detailed_) return;
  Shard& shard = cell_of(key).parts[thread_number() % shards];
  Times& times = what == Timed::execute ? shard.execute : shard.commit;
  const auto nanoseconds = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0));
  times.counts[bucket_of(nanoseconds)].fetch_add(1, std::memory_order_relaxed);
  times.sum.fetch_add(nanoseconds, std::memory_order_relaxed);
}

void Meters::count_deliveries(const DeliveryCounts& more) noexcept {
  delivered_.fetch_add(more.delivered, std::memory_order_relaxed);
  delivery_failures_.fetch_add(more.failures, std::memory_order_relaxed);
  dead_letters_.fetch_add(more.dead, std::memory_order_relaxed);
}

DeliveryCounts Meters::deliveries() const noexcept {
  return {.delivered = delivered_.load(std::memory_order_relaxed),
          .failures = delivery_failures_.load(std::memory_order_relaxed),
          .dead = dead_letters_.load(std::memory_order_relaxed)};
}

Latencies Meters::Times::read() const {
  Latencies latencies;
  for (std::size_t i = 0; i < Latencies::buckets; ++i) {
    latencies.counts[i] = counts[i].load(std::memory_order_relaxed);
  }
  const std::uint64_t nanoseconds = sum.load(std::memory_order_relaxed);
  latencies.sum = std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds));
  return latencies;
}

Counts Meters::Cell::read() const {
  Counts all;
  for (const Shard& part : parts) {
    const auto number = [&](Counted what) {
      return part.counts[static_cast<std::size_t>(what)].load(std::memory_order_relaxed);
    };
    Counts counts;
    counts.executions = number(Counted::executions);
    counts.replays = number(Counted::replays);
    counts.busy = number(Counted::busy);
    counts.mismatches = number(Counted::mismatches);
    counts.in_doubt = number(Counted::in_doubt);
    counts.fenced = number(Counted::fenced);
    counts.execute = part.execute.read();
    counts.commit = part.commit.read();
    all += counts;
  }
  return all;
}

template <class Visit>
void Meters::visit(Visit&& visit) const {
  for (const std::atomic<Cell*>& slot : cells_) {
    if (const Cell* cell = slot.load(std::memory_order_acquire)) visit(*cell, false);
  }
  visit(others_, true);
}

Counts Meters::total() const {
  Counts all;
  visit([&](const Cell& cell, bool) { all += cell.read(); });
  return all;
}

std::vector<LabelFigures> Meters::labels() const {
  std::vector<LabelFigures> found;
  if (!detailed_) return found;
  bool any_others = false;
  visit([&](const Cell& cell, bool others) {
    found.push_back({.tenant = cell.tenant,
                     .operation = cell.operation,
                     .others = others,
                     .counts = cell.read()});
    const Counts& counts = found.back().counts;
    any_others = others && (counts.executions + counts.duplicates_avoided() + counts.mismatches +
                                counts.fenced + counts.commit.count() + counts.execute.count() !=
                            0);
  });
  if (!any_others) found.pop_back();
  std::ranges::sort(found, {}, [](const LabelFigures& of) {
    return std::tie(of.others, of.tenant, of.operation);
  });
  return found;
}

}  // namespace once::metrics
