// Space in a container: allocating, freeing, giving back to the disk.
#include <algorithm>
#include <ranges>
#include <utility>

#include "base/error.h"
#include "container/container.h"
#include "container/extent_io.h"

namespace once::container {
namespace {

constexpr std::uint64_t growth_step = 64 << 10;
constexpr std::uint64_t most_growth = std::uint64_t{1} << 20;
constexpr std::uint64_t taken_by_opening = 256 << 10;
constexpr std::uint64_t small_store = std::uint64_t{4} << 20;
constexpr std::uint64_t least_reserve = 128 << 10;
constexpr std::uint64_t most_reserve = std::uint64_t{8} << 20;
// Merging tables needs room for the new ones before the old ones go.
constexpr std::uint64_t least_rewrite = 512 << 10;
constexpr std::uint64_t most_rewrite = std::uint64_t{64} << 20;
// Moving a file into more pieces than this is worse than a longer container.
constexpr std::size_t most_pieces = 32;
constexpr std::size_t most_extents = 1024;
constexpr std::uint64_t many_gaps = std::uint64_t{1} << 20;
constexpr std::uint64_t punched_run = std::uint64_t{1} << 20;
constexpr std::size_t copy_bytes = std::size_t{1} << 20;

void add(Extents& extents, const Extent& extent) {
  if (!extents.empty() && extents.back().end() == extent.offset) {
    extents.back().length += extent.length;
  } else {
    extents.push_back(extent);
  }
}

// Where the bytes `from` to `to` of what lies in extents are.
Extents piece_of(const Extents& extents, std::uint64_t from, std::uint64_t to) {
  Extents piece;
  std::uint64_t start = 0;
  for (const Extent& extent : extents) {
    const std::uint64_t first = std::max(from, start);
    const std::uint64_t last = std::min(to, start + extent.length);
    if (first < last) {
      piece.push_back({.offset = extent.offset + (first - start), .length = last - first});
    }
    start += extent.length;
  }
  return piece;
}

}  // namespace

std::uint64_t Container::reserve_bytes() const {
  const std::uint64_t end = allocator_.end();
  // Large tables are new ones, which are to be merged yet.
  const std::uint64_t for_a_table = std::min(
      {largest_table() + growth_step, (end - allocator_.free_bytes()) / 6, 2 * most_reserve});
  return round_up(std::max(std::clamp(end / 16, least_reserve, most_reserve), for_a_table),
                  block_bytes);
}

std::uint64_t Container::largest_table() const {
  std::uint64_t largest = 0;
  for (const auto& [id, entry] : table_.entries()) {
    if (!entry.log) largest = std::max(largest, entry.seal.size);
  }
  return largest;
}

std::uint64_t Container::rewrite_bytes() const {
  return std::clamp(allocator_.end() / 8, least_rewrite, most_rewrite);
}

void Container::note_space() {
  free_estimate_ = allocator_.real_bytes();
}

Result<void> Container::grow(std::uint64_t bytes) {
  const std::uint64_t end = allocator_.end();
  const auto to = [&](std::uint64_t wanted) ONCE_REQUIRES(mutex_) -> Result<void> {
    if (auto sized = device_->resize(end + wanted); !sized) return sized;
    ++writes_;
    // Before the journal says that a file has blocks there: a power cut may leave any mixture.
    if (auto synced = sync_device(); !synced) {
      // Whoever opens it next would take a size that the kernel shows for one that is on disk.
      (void)device_->resize(end);
      return synced;
    }
    allocator_.grow(end + wanted);
    return {};
  };
  const std::uint64_t ahead = std::min(most_growth, end / 8);
  auto grown = to(round_up(std::max(bytes, ahead), growth_step));
  if (!grown && grown.error().code == ErrorCode::no_space) {
    grown = to(round_up(bytes, block_bytes));
  }
  if (!grown && grown.error().code != ErrorCode::no_space) {
    return std::unexpected(poison(std::move(grown.error())));
  }
  note_space();
  return grown;
}

Result<void> Container::make_real(const Extent& hole) {
  if (auto real = device_->allocate(hole.offset, hole.length); !real) {
    if (real.error().code == ErrorCode::no_space) return real;
    return std::unexpected(poison(std::move(real.error())));
  }
  allocator_.mark_real(hole);
  return {};
}

// After an opening nobody knows which free blocks are holes, and on a full disk it matters: what
// was no hole costs no space to make sure of. So where there is no space for a large piece, small
// ones are tried. That is done once: what is a hole then is one for good.
Result<void> Container::fill_holes(std::uint64_t largest, const Lacking& lacking) {
  for (std::uint64_t most = round_up(largest, growth_step);;
       most = round_up(most / 8, growth_step)) {
    std::uint64_t from = 0;
    while (true) {
      auto bytes = lacking();
      if (!bytes) return pass(bytes);
      if (*bytes == 0) return {};
      const auto hole = allocator_.hole(std::min(most, round_up(*bytes, growth_step)), from);
      if (!hole) break;
      auto real = make_real(*hole);
      if (!real && real.error().code != ErrorCode::no_space) return real;
      if (!real && holes_known_) return {};
      from = hole->end();
    }
    if (most == growth_step) break;
  }
  holes_known_ = true;
  return {};
}

Result<void> Container::secure(std::uint64_t bytes) {
  const auto lacking = [&]() ONCE_REQUIRES(mutex_) -> Result<std::uint64_t> {
    return bytes - std::min(bytes, allocator_.real_bytes());
  };
  if (auto filled = fill_holes(bytes, lacking); !filled) return filled;
  if (allocator_.real_bytes() < bytes) return grow(bytes - allocator_.real_bytes());
  note_space();
  return {};
}

Result<void> Container::make_holes_real(std::uint64_t bytes) {
  const auto lacking = [&]() ONCE_REQUIRES(mutex_) -> Result<std::uint64_t> {
    auto left = device_->space_left();
    if (!left) return left;
    return bytes - std::min(bytes, allocator_.real_bytes() + *left);
  };
  if (auto filled = fill_holes(most_growth, lacking); !filled) return filled;
  note_space();
  return {};
}

Result<void> Container::reap_synced() {
  if (freed_.empty()) return {};
  if (auto synced = sync_device(); !synced) return synced;
  return reap();
}

Result<void> Container::secure_synced(std::uint64_t bytes) {
  auto secured = secure(bytes);
  if (secured || secured.error().code != ErrorCode::no_space) return secured;
  if (auto reaped = reap_synced(); !reaped) return reaped;
  return secure(bytes);
}

Result<Extent> Container::take_whole(std::uint64_t bytes) {
  auto taken = allocator_.take(bytes);
  if (!taken) {
    if (auto grown = grow(bytes); !grown) return pass(grown);
    taken = allocator_.take(bytes);
  }
  if (!taken) return fail(ErrorCode::no_space, "{}: no run of {} bytes is free", name(), bytes);
  note_space();
  return *taken;
}

std::uint64_t Container::kept_from(const File& file) const {
  // What stands in logs was counted when it was admitted, and the logs go when it has its tables.
  if (!file.rewrite) return 0;
  const std::uint64_t reserve = cleaning_ > 0 ? 0 : reserve_bytes();
  return reserve + log_bytes_ + growth_step;
}

bool Container::has_plenty(std::uint64_t bytes) const {
  const auto left = device_->space_left();
  return left && allocator_.real_bytes() + *left >=
                     bytes + 2 * reserve_bytes() + log_bytes_ + rewrite_bytes();
}

Result<Extents> Container::allocate(std::uint64_t bytes, const File& file, std::size_t pieces) {
  bytes = round_up(bytes, block_bytes);
  if (auto reaped = reap(); !reaped) return pass(reaped);
  if (auto secured = secure_synced(bytes + kept_from(file)); !secured) return pass(secured);
  Extents taken;
  unwritten_.clear();
  const auto keep = [&](const Extent& extent) ONCE_REQUIRES(mutex_) {
    taken.push_back(extent);
    std::ranges::copy(allocator_.unwritten(), std::back_inserter(unwritten_));
  };
  std::uint64_t left = bytes;
  if (const auto whole = allocator_.take(bytes)) {
    keep(*whole);
    left = 0;
  }
  while (left > 0) {
    const bool scattered = taken.size() + 1 >= pieces;
    auto piece = scattered ? allocator_.take(left) : allocator_.take_longest(left);
    if (!piece) {
      if (auto grown = grow(left); !grown) {
        for (const Extent& extent : taken) allocator_.release(extent, false);
        return pass(grown);
      }
      piece = allocator_.take(left);
      if (!piece) continue;
    }
    keep(*piece);
    left -= piece->length;
  }
  note_space();
  return taken;
}

Result<void> Container::zero_fill(const Extents& extents) {
  // Not larger: the kernel would keep it in as large a folio (see Device::will_be_written()).
  constexpr std::size_t piece_bytes = std::size_t{64} << 10;
  std::string zeros;
  for (const Extent& extent : extents) {
    for (std::uint64_t done = 0; done < extent.length; done += zeros.size()) {
      zeros.resize(std::min<std::uint64_t>(piece_bytes, extent.length - done));
      if (auto written = write(extent.offset + done, zeros); !written) return written;
    }
  }
  return {};
}

void Container::free_later(Freed freed) {
  freed.sequence = journal_.sequence();
  freed.epoch = epoch_;
  freed_.push_back(std::move(freed));
}

Result<void> Container::begin_pins() {
  // Readers that came while an earlier writer was at work may hold any of the places. First a new
  // one is published, and then it is looked who holds the others: a reader that came in between
  // has taken the new one, or is seen.
  epoch_ = 1;
  std::uint32_t slot = pin_of_lost;
  bool found = false;
  for (std::uint32_t candidate = pin_of_lost + 1; candidate < pin_slots && !found; ++candidate) {
    auto held = pins_->held(candidate);
    if (!held) return pass(held);
    if (*held) continue;
    slot = candidate;
    found = true;
  }
  if (auto published = pins_->publish(slot); !published) return published;
  for (std::uint32_t other = 0; other < pin_slots; ++other) {
    auto held = pins_->held(other);
    if (!held) return pass(held);
    // Without a free place the published one is one of theirs, too.
    if (*held && (other != slot || !found)) pin_places_.push_back({.epoch = 0, .slot = other});
  }
  if (!pin_places_.empty()) hold_all_back();
  pin_places_.push_back({.epoch = epoch_, .slot = slot});
  return {};
}

// What is free now may have been freed while those readers were there, by a writer that is gone.
void Container::hold_all_back() {
  freed_.push_back({.extents = allocator_.take_all(), .written = false});
}

Result<std::uint64_t> Container::oldest_held() {
  std::deque<PinPlace> left;
  bool current = false;
  for (const PinPlace& at : pin_places_) {
    auto held = pins_->held(at.slot);
    if (!held) return pass(held);
    if (at.epoch == epoch_) current = *held;
    if (*held || at.epoch == epoch_) left.push_back(at);
  }
  pin_places_ = std::move(left);
  auto lost = pins_->held(pin_of_lost);
  if (!lost) return pass(lost);
  if (*lost) return 0;
  if (!current) return pin_places_.size() > 1 ? pin_places_.front().epoch : epoch_ + 1;
  const std::uint64_t oldest = pin_places_.front().epoch;
  // New readers go to a place of their own, so that what is freed from now on does not wait for
  // those that hold this one. Without a free place they all share it, and wait for each other.
  for (std::uint32_t slot = pin_of_lost + 1; slot < pin_slots; ++slot) {
    if (std::ranges::any_of(pin_places_, [&](const PinPlace& at) { return at.slot == slot; })) {
      continue;
    }
    auto held = pins_->held(slot);
    if (!held) return pass(held);
    if (*held) continue;
    if (auto published = pins_->publish(slot); !published) return pass(published);
    pin_places_.push_back({.epoch = ++epoch_, .slot = slot});
    break;
  }
  return oldest;
}

Result<void> Container::reap() {
  if (freed_.empty() || options_.read_only) return {};
  auto oldest = oldest_held();
  if (!oldest) return pass(oldest);
  const std::uint64_t durable = durable_sequence_;
  std::deque<Freed> waiting;
  for (Freed& freed : freed_) {
    const bool open = freed.file ? freed.file.use_count() > 1 : freed.held.use_count() > 1;
    if (freed.sequence > durable || freed.epoch >= *oldest || open) {
      waiting.push_back(std::move(freed));
      continue;
    }
    if (freed.file) {
      // Against the order of locks, but nobody else has the file any more.
      MutexLock lock(freed.file->mutex);
      freed.extents = *freed.file->extents;
    }
    for (const Extent& extent : freed.extents)
      allocator_.release(extent, freed.written, freed.written);
    if (!freed.written) holes_known_ = false;
  }
  freed_ = std::move(waiting);
  note_space();
  return {};
}

// A log stays until the last of the families in it has its table.
std::uint64_t Container::pending_bytes(const Unflushed& unflushed) const {
  const std::uint64_t logged = log_bytes_;
  return unflushed ? std::min(logged, unflushed()) : logged;
}

Result<void> Container::admit(std::uint64_t bytes, bool from_reserve, const Unflushed& unflushed) {
  if (auto writable = check_writable(); !writable) return writable;
  // For the log, and for what a flush makes of it.
  const auto cost = static_cast<std::int64_t>(2 * bytes);
  if (credit_.fetch_sub(cost) >= cost) return {};
  const std::uint64_t pending = pending_bytes(unflushed);
  MutexLock lock(mutex_);
  credit_ = 0;
  const std::uint64_t needed = 2 * bytes + growth_step + (from_reserve ? 0 : reserve_bytes());
  if (auto reaped = reap(); !reaped) return reaped;
  if (auto secured = secure_synced(needed); !secured) return secured;
  // What is in the logs only has to be flushed one day, and tables have to be merged, or else
  // nothing that is removed makes room: that much need not be taken yet, but must be to be had.
  // What may take of the reserve is refused while admit_flush() still finds room.
  const std::uint64_t later =
      pending + (from_reserve ? std::min(pending, growth_step) : rewrite_bytes());
  for (int tries = 0; tries < 2; ++tries) {
    auto left = device_->space_left();
    if (!left) return pass(left);
    if (allocator_.real_bytes() + *left >= needed + later) {
      if (from_reserve) return {};
      // Blocks that are there let some more commits pass without another look.
      credit_ = static_cast<std::int64_t>((allocator_.real_bytes() - needed + growth_step) / 4);
      return {};
    }
    if (auto reaped = reap_synced(); !reaped) return reaped;
    if (auto known = make_holes_real(needed + later); !known) return known;
  }
  return fail(ErrorCode::no_space,
              "{}: the disk is full; free some space, or remove what is not needed (once rm, once "
              "sweep)",
              name());
}

Result<void> Container::admit_flush(const Unflushed& unflushed) {
  if (auto writable = check_writable(); !writable) return writable;
  const std::uint64_t pending = pending_bytes(unflushed);
  MutexLock lock(mutex_);
  if (auto reaped = reap(); !reaped) return reaped;
  return secure_synced(pending + growth_step);
}

Result<std::uint64_t> Container::space_left() {
  auto left = device_->space_left();
  if (!left) return left;
  return *left + free_estimate_;
}

SpaceReport Container::space() {
  MutexLock lock(mutex_);
  SpaceReport report{.bytes = allocator_.end(), .free = allocator_.free_bytes()};
  for (const Freed& freed : freed_) report.held_back += length_of(freed.extents);
  for (const JournalSlot& slot : superblock_.slots) report.journal_bytes += 2 * slot.length;
  report.used = report.bytes - first_block_offset - report.free - report.held_back;
  return report;
}

Result<void> Container::give_back() {
  if (auto cut = cut_end(); !cut) return cut;
  // Gaps before the last file cannot be cut off; when there are many it is moved into them.
  const SpaceReport now = space();
  return now.free > now.used / 2 + many_gaps ? compact({}) : wipe();
}

Result<void> Container::wipe_behind(File& file) {
  MutexLock lock(file.mutex);
  if (file.removed) return {};
  const std::uint64_t end = file.log ? file.position : file.size;
  if (file.note == 0) return zero_fill(piece_of(*file.extents, end, length_of(*file.extents)));
  if (auto filled = zero_fill(piece_of(*file.extents, end, file.note)); !filled) return filled;
  const std::uint64_t behind = file.note + sync_note_bytes;
  return zero_fill(piece_of(*file.extents, behind, length_of(*file.extents)));
}

Result<void> Container::wipe() {
  std::vector<std::shared_ptr<File>> files;
  {
    MutexLock lock(mutex_);
    for (const Allocator::FreeRun& run : allocator_.free_runs()) {
      // Zeros in a hole would take space that may not be there.
      auto wiped =
          run.real ? zero_fill({run.extent}) : device_->punch(run.extent.offset, run.extent.length);
      if (!wiped) return std::unexpected(poison(std::move(wiped.error())));
      ++writes_;
    }
    for (const auto& [id, entry] : table_.entries()) files.push_back(entry.file);
  }
  for (const auto& file : files) {
    if (auto wiped = wipe_behind(*file); !wiped) return wiped;
  }
  return sync_device();
}

Result<void> Container::cut_end(bool opened_soon) {
  if (auto synced = sync_device(); !synced) return synced;
  MutexLock lock(mutex_);
  if (auto reaped = reap(); !reaped) return reaped;
  // While a reader holds blocks back, an opening takes none that was free before it: what is left
  // for it here would be held back, too, and the file would grow by as much each time.
  const bool held_back = opened_soon && !freed_.empty();
  const std::uint64_t keep = std::max(allocator_.used_end(), first_block_offset) +
                             (held_back ? std::uint64_t{0} : reserve_bytes());
  const std::uint64_t end = round_up(keep, growth_step);
  const bool spare = opened_soon && !held_back && allocator_.end() <= small_store;
  if (end + (spare ? taken_by_opening : block_bytes) <= allocator_.end()) {
    if (auto cut = device_->resize(end); !cut) return std::unexpected(poison(cut.error()));
    ++writes_;
    allocator_.cut(end);
  }
  const std::uint64_t reserve = reserve_bytes();  // of what is left; holes change nothing in it
  const Extents runs = allocator_.runs(punched_run);
  for (const Extent& run : std::views::reverse(runs)) {
    // What is kept in reserve has to be there.
    if (allocator_.real_bytes() < run.length + reserve) break;
    if (auto punched = device_->punch(run.offset, run.length); !punched) {
      return std::unexpected(poison(std::move(punched.error())));
    }
    ++writes_;
    allocator_.mark_hole(run);
  }
  if (!held_back) {
    // A hole is no reserve: others may have the disk by then.
    auto secured = secure(reserve);
    if (!secured && secured.error().code != ErrorCode::no_space) return secured;
  }
  note_space();
  return sync_device();
}

Result<bool> Container::move_down(const std::shared_ptr<File>& file, std::uint64_t limit) {
  MutexLock file_lock(file->mutex);
  if (file->removed) return false;
  const SharedExtents old = file->extents;
  Move move;
  {
    MutexLock lock(mutex_);
    if (auto reaped = reap(); !reaped) return pass(reaped);
    auto planned = plan_move(*old, limit);
    if (!planned) return pass(planned);
    move = std::move(*planned);
  }
  if (move.taken.empty()) return false;
  std::string piece;
  for (std::size_t i = 0; i < move.taken.size(); ++i) {
    const Extent& to = move.taken[i];
    for (std::uint64_t done = 0; done < to.length; done += piece.size()) {
      piece.resize(std::min<std::uint64_t>(copy_bytes, to.length - done));
      auto read = device_->read(move.left[i].offset + done, piece.size(), piece.data());
      if (!read) {
        MutexLock lock(mutex_);
        for (const Extent& back : move.taken) allocator_.release(back, true);
        return pass(read);
      }
      if (auto written = write(to.offset + done, piece); !written) return pass(written);
    }
  }
  if (auto synced = sync_device(); !synced) return pass(synced);
  MutexLock lock(mutex_);
  if (table_.find(file->id) == nullptr) {
    // Removed meanwhile.
    for (const Extent& back : move.taken) allocator_.release(back, true);
    return false;
  }
  if (auto committed = commit(Records().extents(file->id, move.after), nullptr); !committed) {
    return pass(committed);
  }
  file->extents = table_.find(file->id)->extents;
  free_later({.extents = std::move(move.left), .held = old});
  return true;
}

Result<Container::Move> Container::plan_move(const Extents& extents, std::uint64_t limit) {
  Move move;
  std::uint64_t far = 0;
  for (const Extent& extent : extents) {
    if (extent.end() > limit) far += std::min(extent.length, extent.end() - limit);
  }
  if (far == 0) return move;
  while (const auto hole = allocator_.hole(far)) {
    if (hole->offset >= limit) break;
    if (auto real = device_->allocate(hole->offset, hole->length); !real) {
      if (real.error().code == ErrorCode::no_space) break;
      return std::unexpected(poison(std::move(real.error())));
    }
    allocator_.mark_real(*hole);
  }
  const auto undo = [&]() ONCE_REQUIRES(mutex_) {
    for (const Extent& back : move.taken) allocator_.release(back, false);
  };
  for (const Extent& extent : extents) {
    const std::uint64_t stays =
        extent.offset >= limit ? 0 : std::min(extent.length, limit - extent.offset);
    if (stays > 0) add(move.after, {.offset = extent.offset, .length = stays});
    for (std::uint64_t done = stays; done < extent.length;) {
      const auto whole = allocator_.take_below(extent.length - done, limit);
      const auto piece = whole ? whole : allocator_.take_lowest(extent.length - done);
      if (!piece) {
        undo();
        return Move();
      }
      move.taken.push_back(*piece);
      move.left.push_back({.offset = extent.offset + done, .length = piece->length});
      add(move.after, *piece);
      done += piece->length;
      // No room before the limit, or in too many pieces.
      if (piece->end() > limit || move.after.size() > extents.size() + most_pieces ||
          move.after.size() > most_extents) {
        undo();
        return Move();
      }
    }
  }
  return move;
}

Result<void> Container::compact(const SpaceProgress& progress) {
  const CleaningUp cleaning(*this);
  // Each turn moves what lies behind the end that would do if there were no gaps.
  for (int round = 0; round < 4; ++round) {
    if (auto given = cut_end(); !given) return given;
    std::vector<std::pair<std::uint64_t, std::shared_ptr<File>>> far;
    std::uint64_t limit = 0;
    std::uint64_t all = 0;
    {
      MutexLock lock(mutex_);
      limit = allocator_.end() - allocator_.free_bytes();
      bool slots_far = false;
      for (const JournalSlot& slot : superblock_.slots) {
        for (const std::uint64_t copy : slot.copies) {
          slots_far = slots_far || copy + slot.length > limit;
        }
      }
      for (int i = 0; slots_far && i < 2; ++i) {
        if (auto turned = turn(0, true); !turned) return turned;
      }
      for (const auto& [id, entry] : table_.entries()) {
        std::uint64_t end = 0;
        for (const Extent& extent : *entry.extents) end = std::max(end, extent.end());
        if (end <= limit) continue;
        far.emplace_back(end, entry.file);
        all += length_of(*entry.extents);
      }
    }
    if (far.empty()) break;
    std::ranges::sort(far, std::ranges::greater(), [](const auto& at) { return at.first; });
    std::uint64_t done = 0;
    bool any = false;
    for (const auto& [end, file] : far) {
      auto moved = move_down(file, limit);
      if (!moved) return pass(moved);
      any = any || *moved;
      done += [&] {
        MutexLock lock(file->mutex);
        return length_of(*file->extents);
      }();
      if (progress) progress(std::min(done, all), all);
    }
    if (!any) break;
  }
  if (auto given = cut_end(); !given) return given;
  return wipe();
}

}  // namespace once::container
