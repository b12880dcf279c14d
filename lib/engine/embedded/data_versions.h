// Tells whether what a transaction read was changed since, without reading it again.
//
// Every commit that writes `data` gets a version. For each of a fixed number of slots (a hash of
// the key) the version of the last write is kept, and the last few thousand keys written, in order,
// for ranges. A slot shared by two keys, or a range whose past is no longer listed, counts as
// changed: the transaction then runs again for nothing, but never commits on what it did not see.
// (Backward validation: Kung and Robinson, "On Optimistic Methods for Concurrency Control", 1981.)
//
// Owned by the leader of the commit queue: one thread at a time, in the order of commits.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "engine/engine.h"

namespace once::engine {

class DataVersions {
 public:
  [[nodiscard]] bool conflicts(const DataChanges& changes) const;
  // Notes the writes of a commit that is about to happen, as a new version.
  void note(const DataChanges& changes);
  // The version of the last commit noted.
  [[nodiscard]] std::uint64_t last() const { return last_; }

 private:
  static constexpr std::size_t slots = 1 << 13;
  static constexpr std::size_t listed = 4096;

  static std::size_t slot_of(ByteView key);

  std::uint64_t last_ = 0;
  std::array<std::uint64_t, slots> written_{};
  std::deque<std::pair<std::uint64_t, Bytes>> recent_;  // (version, key), oldest first
  std::uint64_t unlisted_ = 0;  // version of the newest write that is not in recent_ any more
};

}  // namespace once::engine
