#include "container/allocator.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace once::container {

void Allocator::reset(std::uint64_t end) {
  free_.clear();
  free_bytes_ = 0;
  end_ = first_block_offset;
  unwritten_.clear();
  grow(end / block_bytes * block_bytes);
}

void Allocator::grow(std::uint64_t end) {
  if (end <= end_) return;
  insert(end_, end - end_, false);
  end_ = end;
}

void Allocator::insert(std::uint64_t offset, std::uint64_t length, bool written) {
  free_bytes_ += length;
  auto next = free_.lower_bound(offset);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.length == offset && before->second.written == written) {
      offset = before->first;
      length += before->second.length;
      next = free_.erase(before);
    }
  }
  if (next != free_.end() && offset + length == next->first && next->second.written == written) {
    length += next->second.length;
    free_.erase(next);
  }
  free_[offset] = {.length = length, .written = written};
}

Result<void> Allocator::claim(const Extent& extent) {
  const bool aligned = extent.offset % block_bytes == 0 && extent.length % block_bytes == 0;
  if (!aligned || extent.length == 0 || extent.offset < first_block_offset ||
      extent.offset >= end_ || extent.length > end_ - extent.offset) {
    return fail(ErrorCode::damaged, "the run of {} bytes at byte {} is not within the file",
                extent.length, extent.offset);
  }
  const auto after = free_.upper_bound(extent.offset);
  const bool inside = after != free_.begin() &&
                      stretch_at(std::prev(after)) >= extent.end() - std::prev(after)->first;
  if (!inside) {
    return fail(ErrorCode::damaged, "the run of {} bytes at byte {} is in use twice", extent.length,
                extent.offset);
  }
  (void)take_at(extent.offset, extent.length);
  return {};
}

void Allocator::release(const Extent& extent, bool written) {
  insert(extent.offset, extent.length, written);
}

std::uint64_t Allocator::stretch_at(Runs::const_iterator at) const {
  std::uint64_t length = at->second.length;
  for (auto next = std::next(at); next != free_.end() && next->first == at->first + length;
       ++next) {
    length += next->second.length;
  }
  return length;
}

Extent Allocator::take_at(std::uint64_t offset, std::uint64_t length) {
  unwritten_.clear();
  const Extent taken{.offset = offset, .length = length};
  while (length > 0) {
    const auto at = std::prev(free_.upper_bound(offset));
    const std::uint64_t start = at->first;
    const Run run = at->second;
    const std::uint64_t piece = std::min(length, start + run.length - offset);
    free_.erase(at);
    if (offset > start) free_[start] = {.length = offset - start, .written = run.written};
    if (start + run.length > offset + piece) {
      free_[offset + piece] = {.length = start + run.length - offset - piece,
                               .written = run.written};
    }
    if (!run.written) unwritten_.push_back({.offset = offset, .length = piece});
    free_bytes_ -= piece;
    offset += piece;
    length -= piece;
  }
  return taken;
}

std::optional<Extent> Allocator::take(std::uint64_t bytes) {
  return take_below(bytes, end_);
}

std::optional<Extent> Allocator::take_below(std::uint64_t bytes, std::uint64_t limit) {
  for (auto at = free_.begin(); at != free_.end();) {
    const std::uint64_t stretch = stretch_at(at);
    if (at->first + bytes > limit) return std::nullopt;
    if (stretch >= bytes) return take_at(at->first, bytes);
    at = free_.lower_bound(at->first + stretch);
  }
  return std::nullopt;
}

std::optional<Extent> Allocator::take_longest(std::uint64_t bytes) {
  Extent longest;
  for (auto at = free_.begin(); at != free_.end();) {
    const std::uint64_t stretch = stretch_at(at);
    if (stretch > longest.length) longest = {.offset = at->first, .length = stretch};
    at = free_.lower_bound(at->first + stretch);
  }
  if (longest.length == 0) return std::nullopt;
  return take_at(longest.offset, std::min(bytes, longest.length));
}

std::optional<Extent> Allocator::take_lowest(std::uint64_t bytes) {
  if (free_.empty()) return std::nullopt;
  return take_at(free_.begin()->first, std::min(bytes, stretch_at(free_.begin())));
}

std::uint64_t Allocator::used_end() const {
  std::uint64_t end = end_;
  for (auto at = free_.rbegin(); at != free_.rend() && at->first + at->second.length == end; ++at) {
    end = at->first;
  }
  return end;
}

void Allocator::cut(std::uint64_t end) {
  while (end_ > end) {
    const auto last = std::prev(free_.end());
    const std::uint64_t start = std::max(end, last->first);
    free_bytes_ -= end_ - start;
    if (start > last->first) {
      last->second.length = start - last->first;
    } else {
      free_.erase(last);
    }
    end_ = start;
  }
}

Extents Allocator::runs(std::uint64_t bytes) const {
  Extents found;
  for (auto at = free_.begin(); at != free_.end();) {
    const Extent stretch{.offset = at->first, .length = stretch_at(at)};
    bool written = false;
    for (; at != free_.end() && at->first < stretch.end(); ++at) {
      written = written || at->second.written;
    }
    if (written && stretch.length >= bytes) found.push_back(stretch);
  }
  return found;
}

void Allocator::mark_unwritten(const Extent& extent) {
  (void)take_at(extent.offset, extent.length);
  insert(extent.offset, extent.length, false);
}

}  // namespace once::container
