// Finished records with their outcomes, in memory: what is replayed again and again.
//
//   if (cache.find(key, now, found)) return found;
//   const auto ticket = cache.ticket(key);        // before reading
//   auto found = engine.find(key);
//   cache.fill(key, ticket, *found);              // unless it has changed meanwhile
//
//   { const ReplayCache::Change change(cache, key); engine.update(key, ...); }
//
// Never answers what the engine would not:
//   1. From before a commit on `key` begins until it has ended there is no entry for the key.
//   2. What was read before that end does not go in afterwards: the ticket is an old one.
//   3. An entry past its retention, by the time that is handed in, is none.
// A commit that failed half-way ends like any other; whoever asks next asks the engine.
//
// Bounded by bytes; what was not asked for longest goes first. 16 parts, each under a mutex of its
// own, held for a look-up and for copying the outcome.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "once/key.h"
#include "once/report.h"

namespace once::engine {

// Thread-safe.
class ReplayCache {
 public:
  explicit ReplayCache(std::size_t bytes) : part_bytes_(bytes / part_count) {}

  // A change of one key, under way.
  class Change {
   public:
    Change(ReplayCache& cache, const Key& key) : cache_(&cache), hash_(hash_of(key)) {
      cache_->begin(key, hash_);
    }
    Change(Change&& other) noexcept
        : cache_(std::exchange(other.cache_, nullptr)), hash_(other.hash_) {}
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    Change& operator=(Change&&) = delete;
    ~Change() {
      if (cache_ != nullptr) cache_->end(hash_);
    }

   private:
    ReplayCache* cache_;
    const std::uint64_t hash_;
  };

  // True, and the record and outcome, if they are here. Counts as an access if `accesses` is given,
  // and sets it to how many there were with this one.
  [[nodiscard]] bool find(const Key& key, Time now, Found& found,
                          std::uint64_t* accesses = nullptr);
  // To be taken before reading what is to be filled in.
  [[nodiscard]] std::uint64_t ticket(const Key& key);
  // Keeps a finished record with its outcome, unless the key has changed since the ticket. Of an
  // outcome that is too large only the accesses are counted.
  void fill(const Key& key, std::uint64_t ticket, const Found& found,
            std::uint64_t* accesses = nullptr);
  void clear();

  // What it holds, as it counts bytes.
  [[nodiscard]] std::size_t bytes();

 private:
  static constexpr std::size_t part_count = 16;
  static constexpr std::size_t slot_count = 64;

  struct Hash {
    std::size_t operator()(const Key& key) const { return hash_of(key); }
  };
  struct Entry {
    Found found{};
    bool whole = true;  // false: the outcome was too large
    std::uint64_t accesses = 0;
    std::size_t bytes = 0;
    std::list<const Key*>::iterator at{};  // in `order`
  };
  struct Slot {
    std::uint64_t version = 0;
    std::uint32_t changing = 0;
  };
  using Entries = std::unordered_map<Key, Entry, Hash>;
  struct Part {
    Mutex mutex{};
    Entries entries ONCE_GUARDED_BY(mutex);
    std::list<const Key*> order ONCE_GUARDED_BY(mutex);  // asked for latest first
    std::size_t bytes ONCE_GUARDED_BY(mutex) = 0;
    std::array<Slot, slot_count> slots ONCE_GUARDED_BY(mutex){};
  };

  [[nodiscard]] static std::uint64_t hash_of(const Key& key);
  Part& part_of(std::uint64_t hash) { return parts_[hash % part_count]; }
  static Slot& slot_of(Part& part, std::uint64_t hash) ONCE_REQUIRES(part.mutex) {
    return part.slots[hash / part_count % slot_count];
  }
  void begin(const Key& key, std::uint64_t hash);
  void end(std::uint64_t hash);
  static void drop(Part& part, Entries::iterator at) ONCE_REQUIRES(part.mutex);

  const std::size_t part_bytes_;
  std::array<Part, part_count> parts_;
};

}  // namespace once::engine
