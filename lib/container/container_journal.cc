// What a container writes about itself: journal frames and superblocks.
#include <utility>

#include "base/error.h"
#include "container/container.h"

namespace once::container {

Result<void> Container::check_writable() const {
  if (options_.read_only) {
    return fail(ErrorCode::unsupported, "{} was opened to read", name());
  }
  if (!poisoned_) return {};
  MutexLock lock(poison_mutex_);
  return fail(ErrorCode::poisoned,
              "{}: an earlier write failed ({}); open the store again to write", name(), poison_);
}

Error Container::poison(Error error) {
  MutexLock lock(poison_mutex_);
  if (poison_.empty()) poison_ = error.message;
  poisoned_ = true;
  // It may have happened in part, so that it is no clean "no space" any more.
  if (error.code == ErrorCode::no_space) error.code = ErrorCode::io;
  return error;
}

Result<void> Container::write(std::uint64_t offset, std::string_view bytes) {
  auto written = device_->write(offset, bytes);
  if (!written) return std::unexpected(poison(std::move(written.error())));
  ++writes_;
  return {};
}

Result<void> Container::sync_device() {
  const std::uint64_t wanted = writes_;
  MutexLock lock(sync_mutex_);
  if (auto writable = check_writable(); !writable) return writable;
  if (synced_ >= wanted) return {};
  const std::uint64_t written = writes_;
  const std::uint64_t sequence = sequence_;
  if (auto synced = device_->sync(); !synced) {
    return std::unexpected(poison(std::move(synced.error())));
  }
  synced_ = written;
  durable_sequence_ = sequence;
  return {};
}

Result<void> Container::commit(const Records& records, FileTable::Gone* gone) {
  if (auto writable = check_writable(); !writable) return writable;
  const Bytes& payload = records.bytes();
  if (!journal_.fits(payload.size())) {
    if (auto turned = turn(payload.size(), false); !turned) return turned;
  }
  journal_.set_durable(durable_sequence_);
  if (auto appended = journal_.append(payload); !appended) {
    return std::unexpected(poison(std::move(appended.error())));
  }
  ++writes_;
  sequence_ = journal_.sequence();
  auto applied = table_.apply(payload, gone);
  if (!applied) return std::unexpected(poison(std::move(applied.error())));
  return {};
}

Result<void> Container::write_superblock(Superblock superblock) {
  const std::string bytes = encode(superblock);
  if (auto written = write(superblock_offsets[spare_], bytes); !written) return written;
  if (auto synced = sync_device(); !synced) return synced;
  // Durable with the next sync, and so before anything is acknowledged that rests on this one.
  if (auto written = write(superblock_offsets[1 - spare_], bytes); !written) return written;
  spare_ = 1 - spare_;
  superblock_ = superblock;
  journal_.set_generation(superblock.generation);
  return {};
}

Result<JournalSlot> Container::new_slot(std::uint64_t length, bool move) {
  JournalSlot slot{.length = length};
  Extents taken;
  for (std::uint64_t& copy : slot.copies) {
    auto extent = take_whole(length);
    if (!extent) {
      for (const Extent& back : taken) allocator_.release(back, false);
      return pass(extent);
    }
    taken.push_back(*extent);
    copy = extent->offset;
  }
  if (move) note_space();
  return slot;
}

Result<void> Container::turn(std::uint64_t next_payload, bool move) {
  const Bytes snapshot = table_.snapshot();
  const std::uint64_t needed = frame_bytes(snapshot.size()) + frame_bytes(next_payload);
  const std::uint32_t target = 1 - superblock_.active;
  Superblock next = superblock_;
  next.active = target;
  const JournalSlot before = next.slots[target];
  // Half of it is for what happens next: otherwise every few frames would need a snapshot.
  std::uint64_t length = move ? round_up(options_.slot_bytes, block_bytes) : before.length;
  while (length < 2 * needed) length *= 2;
  bool replaced = move || length != before.length;
  if (replaced) {
    auto slot = new_slot(length, move);
    // On a full disk a slot that is nearly full again does, too: removing has to go on.
    const bool does = !slot && slot.error().code == ErrorCode::no_space &&
                      needed + slot_label_bytes <= before.length;
    if (!slot && !does) return pass(slot);
    if (slot) next.slots[target] = *slot;
    replaced = slot.has_value();
  }
  // May be more than one ahead: the snapshot belongs to no generation before.
  ++next.generation;
  journal_.set_durable(durable_sequence_);
  if (auto begun = journal_.begin(next.slots[target], next.generation, snapshot); !begun) {
    return std::unexpected(poison(std::move(begun.error())));
  }
  ++writes_;
  sequence_ = journal_.sequence();
  if (auto synced = sync_device(); !synced) return synced;
  if (auto written = write_superblock(next); !written) return written;
  if (replaced) {
    Freed freed;
    for (const std::uint64_t copy : before.copies) {
      freed.extents.push_back({.offset = copy, .length = before.length});
    }
    free_later(std::move(freed));
    // Not before the second copy of the superblock is durable, which the next frame's sync proves.
    freed_.back().sequence = journal_.sequence() + 1;
  }
  return {};
}

Result<std::uint64_t> Container::new_id() {
  constexpr std::uint64_t ids_per_opening = std::uint64_t{1} << 24;
  if (++ids_ >= ids_per_opening) {
    Superblock next = superblock_;
    ++next.generation;
    if (auto written = write_superblock(next); !written) return pass(written);
    first_id_ = next.generation << 24;
    ids_ = 1;
  }
  return first_id_ + ids_;
}

}  // namespace once::container
