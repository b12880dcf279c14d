// Removes rows for good during compaction, once their retention is over.
//
// Only what says so itself (model/row_header.h) goes: nothing in progress, in doubt or undelivered
// does. The time compared with is the clock's mark in the store, not the clock, so that nothing
// that was removed can be un-expired by a clock that is turned back. RocksDB writes a tombstone
// above the last level, so older versions of the row stay hidden.
#pragma once

#include <rocksdb/compaction_filter.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/embedded/store_clock.h"

namespace once::engine {

// One for each table; counts what its filters removed since the store was opened.
class ExpiryFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  // `clock` is set after opening: nothing is removed before.
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override;
  const char* Name() const override { return "once.ExpiryFilterFactory"; }

  void set_clock(std::shared_ptr<const StoreClock> clock) {
    std::atomic_store(&clock_, std::move(clock));
  }
  [[nodiscard]] std::uint64_t removed() const { return removed_->load(); }

 private:
  std::shared_ptr<const StoreClock> clock_;  // by atomic_load and atomic_store
  const std::shared_ptr<std::atomic<std::uint64_t>> removed_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace once::engine
