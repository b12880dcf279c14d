// Finished records with their outcomes, in memory: what is replayed again and again.
//
//   ReplayCache::Ticket ticket;
//   if (cache.find(key, now, found, ticket)) return found;
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
// Bounded by bytes. What was not asked for since it was last looked goes first (the "clock" of
// F. J. Corbato, "A Paging Experiment with the Multics System", 1968): a hit writes to nothing but
// its own entry. 64 parts, each under a mutex of its own, held for a look-up and for copying the
// outcome.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/caching/cached_answer.h"
#include "once/key.h"
#include "once/report.h"

namespace once::engine {

// Thread-safe.
class ReplayCache {
 public:
  explicit ReplayCache(std::size_t bytes) : part_bytes_(bytes / part_count) {}

  // To be taken before reading what is to be filled in.
  using Ticket = std::uint64_t;

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

  // Calls visit(const CachedAnswer&) if the whole answer is here, with a mutex held, and counts it
  // as an access. False: it is not.
  template <class Visit>
  bool visit(const Key& key, Time now, Visit&& visit) {
    Ticket unused = 0;
    return with(key, now, unused, [&](CachedAnswer& answer) {
      ++answer.accesses;
      visit(std::as_const(answer));
    });
  }
  // True, and the record and outcome, if they are here; or else a ticket. Counts as an access if
  // `accesses` is given, and sets it to how many there were with this one.
  [[nodiscard]] bool find(const Key& key, Time now, Found& found, Ticket& ticket,
                          std::uint64_t* accesses = nullptr);
  [[nodiscard]] Ticket ticket(const Key& key);
  // Keeps a finished record with its outcome, unless the key has changed since the ticket. Of an
  // outcome that is too large only the accesses are counted.
  void fill(const Key& key, Ticket ticket, const Found& found, std::uint64_t* accesses = nullptr);
  void clear();

  // What it holds, as it counts bytes.
  [[nodiscard]] std::size_t bytes();

 private:
  static constexpr std::size_t part_count = 64;
  static constexpr std::size_t slot_count = 64;

  struct Slot {
    Ticket version = 0;
    std::uint32_t changing = 0;
  };
  // The hash, so that passing by costs no look at an answer, which lies elsewhere.
  struct Place {
    std::uint64_t hash = 0;
    CachedAnswer* answer = nullptr;  // nullptr: nothing is here
  };
  struct Part {
    BriefMutex mutex{};
    // A table with open addressing, a power of two long and at most three quarters full.
    std::vector<Place> table ONCE_GUARDED_BY(mutex);
    // All of them; `hand` is where the next look for what may go begins.
    std::vector<CachedAnswer::Pointer> answers ONCE_GUARDED_BY(mutex);
    std::size_t hand ONCE_GUARDED_BY(mutex) = 0;
    std::size_t bytes ONCE_GUARDED_BY(mutex) = 0;
    std::array<Slot, slot_count> slots ONCE_GUARDED_BY(mutex){};
  };

  [[nodiscard]] static std::uint64_t hash_of(const Key& key);
  Part& part_of(std::uint64_t hash) { return parts_[hash % part_count]; }
  static Slot& slot_of(Part& part, std::uint64_t hash) ONCE_REQUIRES(part.mutex) {
    return part.slots[hash / part_count % slot_count];
  }
  template <class Use>
  bool with(const Key& key, Time now, Ticket& ticket, Use&& use) {
    if (part_bytes_ == 0) return false;
    const std::uint64_t hash = hash_of(key);
    Part& part = part_of(hash);
    BriefLock lock(part.mutex);
    CachedAnswer* answer = look(part, hash, key, now);
    if (answer == nullptr) {
      ticket = slot_of(part, hash).version;
      return false;
    }
    use(*answer);
    return true;
  }
  void begin(const Key& key, std::uint64_t hash);
  void end(std::uint64_t hash);
  // The whole answer, if it is here and may still be given.
  static CachedAnswer* look(Part& part, std::uint64_t hash, const Key& key, Time now)
      ONCE_REQUIRES(part.mutex);
  // Where in the table it stands, or the end of the search for it.
  static std::size_t place_of(const Part& part, std::uint64_t hash, const Key& key)
      ONCE_REQUIRES(part.mutex);
  static CachedAnswer* at(const Part& part, std::uint64_t hash, const Key& key)
      ONCE_REQUIRES(part.mutex);
  // Of one that is not in it yet.
  static void put(std::vector<Place>& table, CachedAnswer& answer);
  static void insert(Part& part, CachedAnswer::Pointer answer) ONCE_REQUIRES(part.mutex);
  static void grow(Part& part) ONCE_REQUIRES(part.mutex);
  static void drop(Part& part, const CachedAnswer& answer) ONCE_REQUIRES(part.mutex);
  static void drop_one(Part& part) ONCE_REQUIRES(part.mutex);

  const std::size_t part_bytes_;
  std::array<Part, part_count> parts_;
};

}  // namespace once::engine
