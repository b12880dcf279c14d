// Opening and closing of containers.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "container/container.h"
#include "container/extent_io.h"
#include "container/lost_superblock.h"

namespace once::container {

Container::Container(std::shared_ptr<Device> device, std::shared_ptr<Pins> pins,
                     const ContainerOptions& options)
    : device_(std::move(device)), pins_(std::move(pins)), options_(options), journal_(*device_) {}

Result<std::unique_ptr<Container>> Container::open(std::shared_ptr<Device> device,
                                                   std::shared_ptr<Pins> pins,
                                                   const ContainerOptions& options) {
  auto size = device->size();
  if (!size) return pass(size);
  std::unique_ptr<Container> container(new Container(std::move(device), std::move(pins), options));
  const bool may_make = options.create_if_missing && !options.read_only;
  bool make = *size == 0;
  ReadSuperblocks cut_off;
  if (!make) {
    auto found = container->find_superblocks();
    if (!found) return pass(found);
    make = !found->newest.created;
    cut_off = std::move(*found);
  }
  if (make && !may_make) {
    return fail(ErrorCode::store_missing,
                "there is no store in {} (it is empty, or was not made to the end)",
                container->name());
  }
  if (make) {
    if (auto formatted = container->format(cut_off); !formatted) return pass(formatted);
  }
  MutexLock lock(container->mutex_);
  if (auto loaded = container->load(); !loaded) {
    if (loaded.error().code != ErrorCode::damaged) return pass(loaded);
    return fail(ErrorCode::damaged,
                "{} is damaged: {}. Nothing was changed. Restore a backup, or save what can be "
                "read into a fresh store: once salvage {} FRESH",
                container->name(), loaded.error().message, container->name());
  }
  container->fresh_ = make;
  if (!options.read_only) {
    if (auto begun = container->begin_writing(); !begun) return pass(begun);
  }
  return container;
}

Container::~Container() = default;

std::int64_t Container::time_ms() const {
  if (options_.time_ms) return options_.time_ms();
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

Result<void> Container::format(const ReadSuperblocks& cut_off) {
  Superblock superblock;
  superblock.store_id = options_.store_id;
  if (superblock.store_id == std::array<std::uint8_t, 16>{}) superblock.store_id = random_id();
  // While a superblock says that nothing counts, everything else may be overwritten.
  superblock.generation = cut_off.newest.generation + 1;
  // The two copies of a slot are not neighbours: one bad place does not hit both.
  const std::uint64_t length = round_up(options_.slot_bytes, block_bytes);
  std::uint64_t at = first_block_offset;
  for (int copy = 0; copy < 2; ++copy) {
    for (JournalSlot& slot : superblock.slots) {
      slot.copies[copy] = at;
      slot.length = length;
      at += length;
    }
  }
  if (auto sized = device_->resize(at); !sized) return sized;
  Journal journal(*device_);
  journal.set_store(superblock);
  if (auto begun = journal.begin(superblock.slots[0], superblock.generation, {}); !begun) {
    return begun;
  }
  if (cut_off.newest.generation != 0) {
    // As in begin_writing(): never both copies at a time.
    auto kept = device_->write(superblock_offsets[1 - cut_off.spare], encode(cut_off.newest));
    if (!kept) return kept;
  }
  if (auto synced = device_->sync(); !synced) return synced;
  const std::string bytes = encode(superblock);
  for (const int copy : {cut_off.spare, 1 - cut_off.spare}) {
    if (auto written = device_->write(superblock_offsets[copy], bytes); !written) return written;
    if (auto synced = device_->sync(); !synced) return synced;
  }
  return {};
}

Result<ReadSuperblocks> Container::find_superblocks() {
  auto found = read_superblocks(*device_);
  if (found || !options_.salvage || found.error().code == ErrorCode::newer_format) return found;
  auto by_label = find_lost_superblock(*device_);
  if (!by_label) {
    return fail(found.error().code, "{} ({})", found.error().message, by_label.error().message);
  }
  superblocks_lost_ = true;
  return ReadSuperblocks{.newest = *by_label, .problem = found.error().message};
}

Result<void> Container::load() {
  auto found = find_superblocks();
  if (!found) return pass(found);
  superblock_ = found->newest;
  spare_ = found->spare;
  store_id_ = superblock_.store_id;
  seed_ = superblock_.seed();
  auto size = device_->size();
  if (!size) return pass(size);
  for (const JournalSlot& slot : superblock_.slots) {
    for (const std::uint64_t copy : slot.copies) {
      if (copy <= *size && slot.length <= *size - copy) continue;
      // One copy is enough, and the slot that is not in use is not looked at.
      if (options_.salvage && slot.length <= *size) continue;
      return fail(ErrorCode::damaged,
                  "the file has {} bytes, and its journal should stand at bytes {} to {}", *size,
                  copy, copy + slot.length);
    }
  }
  allocator_.reset(*size);
  if (options_.salvage) {
    if (auto salvaged = salvage_files(); !salvaged) return salvaged;
  } else {
    if (auto read = read_journal(); !read) return read;
    if (auto claimed = claim_all(); !claimed) return claimed;
  }
  return attach_files();
}

Result<void> Container::read_journal() {
  auto read = journal_.read(superblock_, [this](std::string_view payload) ONCE_NO_ANALYSIS {
    return table_.apply(payload, nullptr);
  });
  if (!read) return read;
  sequence_ = durable_sequence_ = journal_.sequence();
  return {};
}

Result<void> Container::claim_all() {
  for (const JournalSlot& slot : superblock_.slots) {
    for (const std::uint64_t copy : slot.copies) {
      if (auto claimed = allocator_.claim({.offset = copy, .length = slot.length}); !claimed) {
        return claimed;
      }
    }
  }
  for (const auto& [id, entry] : table_.entries()) {
    for (const Extent& extent : *entry.extents) {
      if (auto claimed = allocator_.claim(extent); !claimed) {
        return fail(ErrorCode::damaged, "{}: {}", table_.name_of(id), claimed.error().message);
      }
    }
  }
  return {};
}

Result<void> Container::attach_files() {
  std::map<std::uint64_t, bool> wals;  // by their first names
  for (const auto& [path, id] : table_.names()) wals.try_emplace(id, is_wal(path));
  for (auto& [id, entry] : table_.entries()) {
    auto file = std::make_shared<File>(id, entry.log, wals[id]);
    MutexLock lock(file->mutex);
    file->extents = entry.extents;
    file->sealed = entry.seal;
    file->size = entry.seal.size;
    if (entry.log && !options_.salvage) {
      auto scan = scan_log(*device_, {.file = id, .seed = seed_, .extents = entry.extents.get()},
                           entry.seal.size);
      if (!scan) return pass(scan);
      if (!scan->damage.empty() && !options_.keep_prefix) {
        return fail(ErrorCode::damaged, "{}, {}", table_.name_of(id), scan->damage);
      }
      file->size = file->durable = scan->end.offset;
      file->position = file->durable_end = scan->end.position;
      const std::uint64_t known = std::max(entry.seal.size, scan->durable);
      if (file->size > known) {
        const auto after = std::ranges::upper_bound(scan->marks, known, {}, &LogMark::offset);
        unvouched_.emplace_back(file, std::prev(after)->position);
      }
      file->marks = std::move(scan->marks);
      file->counted = file->size;
      log_bytes_ += file->size;
    }
    entry.file = file;
  }
  return {};
}

// What an opening before has written last may be in the kernel's hands only, and after a failed
// sync the kernel does not write it by itself any more. The bytes are the same, so that nothing is
// torn.
Result<void> Container::write_again() {
  if (auto again = journal_.write_again(); !again) return again;
  for (const auto& [file, start] : std::exchange(unvouched_, {})) {
    MutexLock lock(file->mutex);
    std::string piece;
    for (std::uint64_t at = start; at < file->position; at += piece.size()) {
      piece.resize(std::min<std::uint64_t>(std::uint64_t{1} << 20, file->position - at));
      auto done = read_stream(*device_, *file->extents, at, piece.size(), piece.data());
      if (done) done = write_stream(*device_, *file->extents, at, piece);
      if (!done) return done;
    }
  }
  return {};
}

Result<void> Container::begin_writing() {
  Superblock next = superblock_;
  ++next.generation;
  if (auto again = write_again(); !again) return again;
  // An opening before may have been killed when only one copy of its superblock was on the disk,
  // perhaps the spare one, which is overwritten next. Its sync makes durable what is about to be
  // relied on, too.
  if (auto written = write(superblock_offsets[1 - spare_], encode(superblock_)); !written) {
    return written;
  }
  if (auto synced = sync_device(); !synced) return synced;
  if (auto written = write_superblock(next); !written) return written;
  first_id_ = next.generation << 24;
  if (auto begun = begin_pins(); !begun) return begun;
  if (journal_.needs_mending()) {
    if (auto turned = turn(0, false); !turned) return turned;
  }
  Records ends;
  for (auto& [id, entry] : table_.entries()) {
    if (!entry.log) continue;
    MutexLock lock(entry.file->mutex);
    if (entry.file->size > entry.seal.size) {
      ends.size(id, {.size = entry.file->size}, entry.modified_ms);
    }
  }
  note_space();
  return ends.empty() ? Result<void>() : commit(ends, nullptr);
}

Result<void> Container::mark_created() {
  MutexLock lock(mutex_);
  if (auto writable = check_writable(); !writable) return writable;
  if (auto synced = sync_device(); !synced) return synced;
  Superblock next = superblock_;
  ++next.generation;
  next.created = true;
  if (auto written = write_superblock(next); !written) return written;
  fresh_ = false;
  return sync_device();
}

Result<void> Container::close() {
  if (std::exchange(closed_, true) || options_.read_only) return {};
  if (auto writable = check_writable(); !writable) return writable;
  std::vector<std::shared_ptr<File>> files;
  {
    MutexLock lock(mutex_);
    for (auto& [id, entry] : table_.entries()) files.push_back(entry.file);
  }
  if (auto synced = sync_device(); !synced) return synced;
  for (const auto& file : files) {
    MutexLock lock(file->mutex);
    if (file->log) set_durable(*file, {.offset = file->size, .position = file->position});
    if (auto trimmed = trim(*file); !trimmed) return trimmed;
    Seal seal{.size = file->size};
    if (!file->log) {
      // Nothing was written to it since it was opened, or it is known what.
      if (file->size == file->sealed.size && (!file->digest || file->sealed.digest != 0)) continue;
      auto made = seal_of(*file);
      if (!made) return pass(made);
      seal = *made;
    }
    if (auto recorded = record_size(*file, seal); !recorded) return recorded;
  }
  return cut_end(true);
}

}  // namespace once::container
