#include "container/allocator.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace once::container {

void Allocator::reset(std::uint64_t end) {
  free_.clear();
  free_bytes_ = real_bytes_ = 0;
  unwritten_.clear();
  end_ = std::max(first_block_offset, end / block_bytes * block_bytes);
  if (end_ > first_block_offset) insert(first_block_offset, {.length = end_ - first_block_offset});
}

void Allocator::grow(std::uint64_t end) {
  if (end <= end_) return;
  insert(end_, {.length = end - end_, .real = true});
  end_ = end;
}

void Allocator::insert(std::uint64_t offset, Run run) {
  free_bytes_ += run.length;
  if (run.real) real_bytes_ += run.length;
  auto next = free_.lower_bound(offset);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.length == offset && before->second.like(run)) {
      offset = before->first;
      run.length += before->second.length;
      next = free_.erase(before);
    }
  }
  if (next != free_.end() && offset + run.length == next->first && next->second.like(run)) {
    run.length += next->second.length;
    free_.erase(next);
  }
  free_[offset] = run;
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
                      stretch_at(std::prev(after), false) >= extent.end() - std::prev(after)->first;
  if (!inside) {
    return fail(ErrorCode::damaged, "the run of {} bytes at byte {} is in use twice", extent.length,
                extent.offset);
  }
  (void)take_at(extent.offset, extent.length);
  return {};
}

void Allocator::release(const Extent& extent, bool written, bool real) {
  insert(extent.offset, {.length = extent.length, .written = written, .real = written || real});
}

Extents Allocator::take_all() {
  Extents all;
  for (const auto& [offset, run] : free_) all.push_back({.offset = offset, .length = run.length});
  for (const Extent& extent : all) (void)take_at(extent.offset, extent.length);
  return all;
}

std::uint64_t Allocator::stretch_at(Runs::const_iterator at, bool real) const {
  std::uint64_t length = 0;
  for (auto next = at; next != free_.end() && next->first == at->first + length; ++next) {
    if (real && !next->second.real) break;
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
    const auto part = [&](std::uint64_t bytes) {
      return Run{.length = bytes, .written = run.written, .real = run.real};
    };
    free_.erase(at);
    if (offset > start) free_[start] = part(offset - start);
    if (start + run.length > offset + piece) {
      free_[offset + piece] = part(start + run.length - offset - piece);
    }
    if (!run.written) unwritten_.push_back({.offset = offset, .length = piece});
    free_bytes_ -= piece;
    if (run.real) real_bytes_ -= piece;
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
    if (at->first + bytes > limit) return std::nullopt;
    const std::uint64_t stretch = stretch_at(at, true);
    if (stretch >= bytes) return take_at(at->first, bytes);
    at = free_.lower_bound(at->first + std::max(stretch, at->second.length));
  }
  return std::nullopt;
}

std::optional<Extent> Allocator::take_longest(std::uint64_t bytes) {
  Extent longest;
  for (auto at = free_.begin(); at != free_.end();) {
    const std::uint64_t stretch = stretch_at(at, true);
    if (stretch > longest.length) longest = {.offset = at->first, .length = stretch};
    at = free_.lower_bound(at->first + std::max(stretch, at->second.length));
  }
  if (longest.length == 0) return std::nullopt;
  return take_at(longest.offset, std::min(bytes, longest.length));
}

std::optional<Extent> Allocator::take_lowest(std::uint64_t bytes) {
  for (auto at = free_.begin(); at != free_.end(); ++at) {
    if (at->second.real) return take_at(at->first, std::min(bytes, stretch_at(at, true)));
  }
  return std::nullopt;
}

std::optional<Extent> Allocator::hole(std::uint64_t bytes, std::uint64_t from) const {
  auto at = free_.upper_bound(from);
  if (at != free_.begin()) --at;
  for (; at != free_.end(); ++at) {
    const auto& [offset, run] = *at;
    const std::uint64_t start = std::max(offset, from);
    if (run.real || start >= offset + run.length) continue;
    return Extent{.offset = start, .length = std::min(bytes, offset + run.length - start)};
  }
  return std::nullopt;
}

void Allocator::mark_real(const Extent& extent) {
  (void)take_at(extent.offset, extent.length);
  insert(extent.offset, {.length = extent.length, .real = true});
}

void Allocator::mark_hole(const Extent& extent) {
  (void)take_at(extent.offset, extent.length);
  insert(extent.offset, {.length = extent.length});
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
    if (last->second.real) real_bytes_ -= end_ - start;
    if (start > last->first) {
      last->second.length = start - last->first;
    } else {
      free_.erase(last);
    }
    end_ = start;
  }
}

std::vector<Allocator::FreeRun> Allocator::free_runs() const {
  std::vector<FreeRun> found;
  for (const auto& [offset, run] : free_) {
    found.push_back({.extent = {.offset = offset, .length = run.length}, .real = run.real});
  }
  return found;
}

Extents Allocator::runs(std::uint64_t bytes) const {
  Extents found;
  for (auto at = free_.begin(); at != free_.end();) {
    const Extent stretch{.offset = at->first, .length = stretch_at(at, false)};
    bool written = false;
    for (; at != free_.end() && at->first < stretch.end(); ++at) {
      written = written || at->second.written;
    }
    if (written && stretch.length >= bytes) found.push_back(stretch);
  }
  return found;
}

}  // namespace once::container
