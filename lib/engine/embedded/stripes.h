// Locks for row keys, and how often what is under them has changed.
//
//   const Stripes::Guard guard(stripes, row_keys);   // nothing else happens to these keys
//   ... read, decide ...
//   guard.begin_change();
//   ... commit ...
//
// Each stripe counts when a change begins and when it has ended: the count is odd while one is
// under way. So what was read of a key at an even count is still there while the count is the same,
// with or without the lock (a sequence lock; H. Boehm, "Can Seqlocks Get Along With Programming
// Language Memory Models?", 2012).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "once/bytes.h"

namespace once::engine {

// Thread-safe.
class Stripes {
 public:
  class Guard;

  // To be asked before reading.
  [[nodiscard]] std::uint64_t changes(ByteView row_key) const {
    return stripes_[index_of(row_key)].changes.load(std::memory_order_acquire);
  }
  [[nodiscard]] static bool is_quiet(std::uint64_t changes) { return changes % 2 == 0; }

 private:
  // A stripe is held until its commit is on disk, so that hundreds of threads must seldom share
  // one.
  static constexpr std::size_t count = 4096;
  struct Stripe {
    Mutex mutex;
    std::atomic<std::uint64_t> changes = 0;
  };

  [[nodiscard]] static std::size_t index_of(ByteView row_key) {
    return std::hash<ByteView>{}(row_key) % count;
  }

  std::array<Stripe, count> stripes_;
};

// Locks in ascending order, so that two guards cannot wait for each other. The analysis does not
// follow locks chosen at run time.
class Stripes::Guard {
 public:
  Guard(Stripes& stripes, std::span<const Bytes> row_keys) ONCE_NO_ANALYSIS
      : stripes_(stripes.stripes_) {
    held_.reserve(row_keys.size());
    for (const Bytes& key : row_keys) held_.push_back(index_of(key));
    std::ranges::sort(held_);
    held_.erase(std::ranges::unique(held_).begin(), held_.end());
    for (const std::size_t stripe : held_) stripes_[stripe].mutex.lock();
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() ONCE_NO_ANALYSIS {
    if (changing_) count_change();
    for (const std::size_t stripe : held_) stripes_[stripe].mutex.unlock();
  }

  // From here on, until the guard goes, the rows may change. Once.
  void begin_change() {
    changing_ = true;
    count_change();
  }

 private:
  void count_change() {
    for (const std::size_t stripe : held_) {
      stripes_[stripe].changes.fetch_add(1, std::memory_order_acq_rel);
    }
  }

  std::array<Stripe, count>& stripes_;
  std::vector<std::size_t> held_;
  bool changing_ = false;
};

}  // namespace once::engine
