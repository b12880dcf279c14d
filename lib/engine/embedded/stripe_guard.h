// Locks the stripes of some row keys: nothing else happens to these keys while it lives.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "engine/embedded/embedded_engine.h"

namespace once::engine {

// Locks the stripes of some row keys, in ascending order so that two guards cannot wait for each
// other. The analysis does not follow locks chosen at run time.
class EmbeddedEngine::StripeGuard {
 public:
  StripeGuard(std::array<Mutex, stripe_count>& stripes,
              std::span<const Bytes> row_keys) ONCE_NO_ANALYSIS : stripes_(stripes) {
    for (const Bytes& key : row_keys) held_.push_back(std::hash<Bytes>{}(key) % stripe_count);
    std::ranges::sort(held_);
    held_.erase(std::ranges::unique(held_).begin(), held_.end());
    for (const std::size_t stripe : held_) stripes_[stripe].lock();
  }
  StripeGuard(const StripeGuard&) = delete;
  StripeGuard& operator=(const StripeGuard&) = delete;
  ~StripeGuard() ONCE_NO_ANALYSIS {
    for (const std::size_t stripe : held_) stripes_[stripe].unlock();
  }

 private:
  std::array<Mutex, stripe_count>& stripes_;
  std::vector<std::size_t> held_;
};

}  // namespace once::engine
