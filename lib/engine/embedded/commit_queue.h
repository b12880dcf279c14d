// Puts commits in an order, gives them their sequences, and writes them in groups.
//
// Whoever comes to the front of the queue leads: it takes those waiting behind it that want the
// same durability, validates their transactions one after the other, writes all in one WriteBatch
// with one sync, hands the lead on, and wakes those it wrote for. (The writers' queue of LevelDB,
// with numbering and validation in it.)
//
// Invariants:
//   1. Sequences are given on entering the queue and commits happen in its order, so a sequence is
//      visible only after all smaller ones are, or never will be.
//   2. Synced and buffered commits are never in one group.
//   3. After a failed write nothing more is written: commits of the failed group are `unknown`,
//      later ones `poisoned`, until the store is opened again. The kernel marks pages clean after a
//      failed sync, so trying again would be answered ok and mean nothing.
//   4. A group that RocksDB refuses before it writes any of it, because the disk was full when it
//      wrote tables (full_disk.h), is answered `no_space`, and poisons nothing.
//
// Fault model: write and sync may fail at any point and may have happened all the same.
#pragma once

#include <rocksdb/db.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/wake_signal.h"
#include "engine/embedded/data_versions.h"
#include "engine/embedded/full_disk.h"
#include "engine/embedded/numbering.h"
#include "engine/embedded/row_writes.h"

namespace once::engine {

// Column families by Table; meta_table is RocksDB's default one.
using ColumnFamilies = std::array<rocksdb::ColumnFamilyHandle*, 7>;

// Thread-safe.
class CommitQueue {
 public:
  // `store` is its name, for messages.
  CommitQueue(rocksdb::DB& db, const ColumnFamilies& families, Numbering& numbering,
              std::string store, std::shared_ptr<FullDisk> full_disk)
      : db_(db),
        families_(families),
        numbering_(numbering),
        store_(std::move(store)),
        full_disk_(std::move(full_disk)) {}

  // Writes `rows` whole or not at all and returns when that is settled; numbers them in place.
  // `data`, if given, is validated first (conflict) and its writes are part of the commit.
  Result<void> commit(std::vector<RowWrite>& rows, Durability durability,
                      const DataChanges* data = nullptr);

  // The version of `data` that a reader starting now sees at least.
  [[nodiscard]] std::uint64_t visible_version() const { return visible_.load(); }
  [[nodiscard]] CommitCounts counts() const {
    return {.commits = commits_.load(std::memory_order_relaxed),
            .syncs = syncs_.load(std::memory_order_relaxed)};
  }
  // Refuses all further commits.
  void poison(const std::string& why);
  [[nodiscard]] bool poisoned() const;

 private:
  // One who waits, for a signal of its own: who is woken meets nobody.
  class Waiting {
   public:
    enum class Turn : std::uint8_t { lead, settled };

    Waiting(std::vector<RowWrite>& its_rows, Durability its_durability, const DataChanges* its_data)
        : rows(its_rows), durability(its_durability), data(its_data) {}
    // Returns when it is this one's turn to do something.
    Turn wait();
    // To be the last that is done to one who is settled: its thread goes on.
    void wake(Turn turn);

    std::vector<RowWrite>& rows;
    const Durability durability;
    const DataChanges* const data;
    Result<void> answer{};    // the leader's, until it is settled
    Waiting* next = nullptr;  // the queue's

   private:
    WakeSignal signal_{};
    Turn turn_ = Turn::settled;  // told before the signal
  };
  // The first of the queue, which stay there until they are settled. Like the queue it is a list
  // through those who wait: with no memory left they are told all the same.
  struct Group {
    Waiting* first = nullptr;
    std::size_t count = 0;
    // Calls visit(Waiting&); one it was called for may be gone afterwards.
    template <class Visit>
    void for_each(Visit&& visit) const {
      Waiting* at = first;
      for (std::size_t left = count; left > 0; --left) {
        Waiting* const now = at;
        if (left > 1) at = now->next;  // what comes behind the last is not ours to look at
        visit(*now);
      }
    }
  };

  Result<void> number(std::vector<RowWrite>& rows) ONCE_REQUIRES(mutex_);
  // True when it is the first, and leads.
  Result<bool> enter(Waiting& self);
  // Writes what waits, and settles it.
  void lead(Waiting& self);
  [[nodiscard]] Group first_group() const ONCE_REQUIRES(mutex_);
  // Takes a group that was written, or not, off the queue. Returns who leads next, or null.
  Waiting* settle(const Group& group, bool poisoned, const Result<void>& written)
      ONCE_REQUIRES(mutex_);
  [[nodiscard]] std::unexpected<Error> refuse() const ONCE_REQUIRES(mutex_);
  // By the leader, without the mutex. Errors: no_space (nothing was written), unknown.
  Result<void> write(const Group& group);

  rocksdb::DB& db_;
  const ColumnFamilies families_;
  Numbering& numbering_;
  const std::string store_;
  const std::shared_ptr<FullDisk> full_disk_;
  std::atomic<std::uint64_t> visible_{0};
  std::atomic<std::uint64_t> commits_{0};
  std::atomic<std::uint64_t> syncs_{0};
  DataVersions versions_;  // the leader's

  mutable Mutex mutex_;
  Waiting* front_ ONCE_GUARDED_BY(mutex_) = nullptr;  // leads
  Waiting* back_ ONCE_GUARDED_BY(mutex_) = nullptr;
  std::string poison_ ONCE_GUARDED_BY(mutex_);  // not empty: why nothing is written
};

}  // namespace once::engine
