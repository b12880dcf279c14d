#include "container/journal.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "base/error.h"
#include "container/digest.h"
#include "container/journal_frame.h"
#include "container/search_limit.h"

namespace once::container {
Result<void> Journal::read(const Superblock& superblock, const Visitor& visit) {
  slot_ = superblock.slots[superblock.active];
  set_store(superblock);
  generation_ = superblock.generation;
  sequence_ = durable_ = position_ = 0;
  problem_.clear();
  std::string copies[2];
  for (int i = 0; i < 2; ++i) {
    copies[i].resize(slot_.length);
    auto read = device_.read(slot_.copies[i], slot_.length, copies[i].data());
    if (read) continue;
    if (i == 1 && copies[0].empty()) return read;
    problem_ = read.error().message;
    copies[i].clear();
  }
  std::uint64_t generation = 0;
  unvouched_.clear();
  std::vector<std::pair<std::uint64_t, std::size_t>> frames;  // sequence, and where in unvouched_
  while (true) {
    std::optional<Frame> found;
    for (const std::string& copy : copies) {
      if (position_ >= copy.size()) continue;
      auto frame = parse_frame(std::string_view(copy).substr(position_), seed_);
      const bool counts = frame && frame->snapshot == (position_ == 0) &&
                          (position_ == 0 || frame->sequence == sequence_ + 1) &&
                          frame->generation >= generation &&
                          frame->generation <= superblock.generation;
      if (counts && !found) found = frame;
    }
    if (!found) break;
    // Whatever is different: a later opening may take the other one.
    const auto stands_in = [&](const std::string& copy) {
      return std::string_view(copy).substr(position_, found->bytes);
    };
    if (problem_.empty() && stands_in(copies[0]) != stands_in(copies[1])) {
      problem_ =
          fmt::format("journal at byte {}: the two copies differ", slot_.copies[0] + position_);
    }
    if (auto visited = visit(found->payload); !visited) {
      if (visited.error().code != ErrorCode::damaged) return visited;
      return fail(ErrorCode::damaged, "journal frame {} at byte {}: {}", found->sequence,
                  slot_.copies[0] + position_, visited.error().message);
    }
    sequence_ = found->sequence;
    durable_ = std::max(durable_, found->durable);
    generation = found->generation;
    frames.emplace_back(found->sequence, unvouched_.size());
    unvouched_.append(found->payload.data() - frame_header_bytes, found->bytes);
    position_ += found->bytes;
  }
  const auto open =
      std::ranges::find_if(frames, [&](const auto& frame) { return frame.first > durable_; });
  unvouched_.erase(0, open == frames.end() ? unvouched_.size() : open->second);
  return check_end(copies, superblock.generation);
}

Result<void> Journal::check_end(const std::string* copies, std::uint64_t generation) const {
  const auto damaged = [&] {
    return fail(ErrorCode::damaged,
                "the journal is damaged at bytes {} and {}: no whole frame stands there, and one "
                "did",
                slot_.copies[0] + position_, slot_.copies[1] + position_);
  };
  if (sequence_ == 0) return damaged();  // a slot in use begins with a snapshot
  SearchLimit limit(slot_.length);
  // Too much that looks like a later frame is no end of a journal either.
  const auto later = find_later_frame({copies[0], copies[1]},
                                      {.from = position_ + 8,
                                       .after = sequence_ + 1,
                                       .durable_from = sequence_ + 1,
                                       .generation_to = generation},
                                      seed_, limit);
  return later ? damaged() : Result<void>();
}

Result<void> Journal::begin(const JournalSlot& slot, std::uint64_t generation,
                            std::string_view snapshot) {
  slot_ = slot;
  generation_ = generation;
  position_ = 0;
  problem_.clear();
  const Bytes label = encode(SlotLabel{.store_id = store_id_, .slot = slot});
  for (const std::uint64_t copy : slot.copies) {
    auto written = device_.write(copy + slot.length - label.size(), label);
    if (!written) return written;
  }
  return write_frame(snapshot, true);
}

Result<void> Journal::write_again() {
  for (const std::uint64_t copy : slot_.copies) {
    if (unvouched_.empty()) break;
    auto written = device_.write(copy + position_ - unvouched_.size(), unvouched_);
    if (!written) return written;
  }
  unvouched_ = Bytes();
  return {};
}

Result<void> Journal::append(std::string_view payload) {
  return write_frame(payload, false);
}

Result<void> Journal::write_frame(std::string_view payload, bool snapshot) {
  Bytes bytes;
  bytes.reserve(frame_bytes(payload.size()));
  Writer writer(bytes);
  writer.u32(static_cast<std::uint32_t>(payload.size()));
  writer.u32(snapshot ? 1 : 0);
  writer.u64(generation_);
  writer.u64(sequence_ + 1);
  writer.u64(durable_);
  writer.raw(payload);
  bytes.resize(frame_bytes(payload.size()) - 8, '\0');
  writer.u64(digest_of(bytes, seed_));
  for (const std::uint64_t copy : slot_.copies) {
    if (auto written = device_.write(copy + position_, bytes); !written) return written;
  }
  ++sequence_;
  position_ += bytes.size();
  return {};
}

}  // namespace once::container
