#include "engine/embedded/data_versions.h"

#include <algorithm>
#include <functional>

namespace once::engine {

std::size_t DataVersions::slot_of(ByteView key) {
  return std::hash<ByteView>{}(key) % slots;
}

bool DataVersions::conflicts(const DataChanges& changes) const {
  for (const Bytes& key : changes.read) {
    if (written_[slot_of(key)] > changes.version) return true;
  }
  if (changes.ranges.empty()) return false;
  if (unlisted_ > changes.version) return true;
  const auto read_in_a_range = [&](const Bytes& key) {
    return std::ranges::any_of(changes.ranges, [&](const auto& range) {
      return key >= range.first && (range.second.empty() || key < range.second);
    });
  };
  return std::ranges::any_of(recent_, [&](const auto& write) {
    return write.first > changes.version && read_in_a_range(write.second);
  });
}

void DataVersions::note(const DataChanges& changes) {
  if (changes.writes.empty()) return;
  ++last_;
  for (const auto& [key, value] : changes.writes) {
    written_[slot_of(key)] = last_;
    recent_.emplace_back(last_, key);
  }
  while (recent_.size() > listed) {
    unlisted_ = recent_.front().first;
    recent_.pop_front();
  }
}

}  // namespace once::engine
