#include "container/salvaged_journal.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "container/extent_io.h"
#include "container/journal_frame.h"
#include "container/search_limit.h"

namespace once::container {
namespace {

constexpr std::uint64_t no_id = std::numeric_limits<std::uint64_t>::max();

// Both copies of a slot, as far as the device gives them.
class Slot {
 public:
  Slot(Device& device, const JournalSlot& slot, const Superblock& superblock)
      : slot_(slot),
        seed_(superblock.seed()),
        generation_(superblock.generation),
        limit_(slot.length) {
    for (int i = 0; i < 2; ++i) {
      bytes_[i] = read_what_can_be(device, {{.offset = slot.copies[i], .length = slot.length}});
    }
  }

  // The frame there, if it is whole in either copy and may follow one of this sequence and
  // generation.
  [[nodiscard]] std::optional<Frame> at(std::uint64_t position, std::uint64_t after,
                                        std::uint64_t generation) {
    for (const std::string& copy : bytes_) {
      if (position >= copy.size()) continue;
      const std::string_view bytes = std::string_view(copy).substr(position);
      const auto says = read_frame_header(bytes);
      const bool fits = says && says->snapshot == (position == 0) &&
                        (position == 0 || says->sequence == after + 1) &&
                        says->generation >= generation && says->generation <= generation_ &&
                        says->bytes <= bytes.size();
      if (!fits || !limit_.spend(says->bytes)) continue;
      if (auto frame = parse_frame(bytes, seed_)) return frame;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<LaterFrame> later(const LaterFrames& wanted) {
    LaterFrames bounded = wanted;
    bounded.generation_to = generation_;
    return find_later_frame({bytes_[0], bytes_[1]}, bounded, seed_, limit_);
  }
  // Whether what is left of the first frame's header says that it was this snapshot.
  [[nodiscard]] bool began_with(std::uint64_t sequence, std::size_t payload) const {
    return std::ranges::any_of(bytes_, [&](const std::string& copy) {
      const auto says = read_frame_header(copy);
      return says && says->snapshot && says->sequence == sequence && says->payload_bytes == payload;
    });
  }
  [[nodiscard]] std::string place(std::uint64_t from, std::uint64_t to) const {
    return fmt::format("bytes {} to {} and {} to {}", slot_.copies[0] + from,
                       slot_.copies[0] + to - 1, slot_.copies[1] + from, slot_.copies[1] + to - 1);
  }
  [[nodiscard]] std::uint64_t length() const { return slot_.length; }

 private:
  const JournalSlot slot_;
  const std::uint64_t seed_;
  const std::uint64_t generation_;
  SearchLimit limit_;
  std::string bytes_[2];
};

// Follows the frames of one slot after the other.
class Follower {
 public:
  explicit Follower(SalvagedJournal& journal) : journal_(journal) {}

  // From the snapshot of the slot. False: it is not whole.
  bool begin(Slot& slot) {
    const auto snapshot = slot.at(0, 0, 0);
    if (!snapshot) return false;
    apply(*snapshot);
    return true;
  }
  // From a lost snapshot of what is known by now.
  void begin_behind_lost_snapshot(Slot& slot) {
    const std::size_t payload = journal_.table.snapshot().size();
    const std::size_t behind = frame_bytes(payload);
    if (slot.at(behind, journal_.sequence + 1, 0) ||
        slot.began_with(journal_.sequence + 1, payload)) {
      journal_.mended.push_back(
          fmt::format("the first frame of the journal is damaged ({}); the frames that it was made "
                      "of are whole",
                      slot.place(0, behind)));
      ++journal_.sequence;
      generation_ = 0;
      position_ = behind;
      return;
    }
    begin_anywhere(slot);
  }
  // From the first frame that comes after those that are known. What else the slot held, before it
  // was begun, has smaller sequences.
  void begin_anywhere(Slot& slot) {
    generation_ = 0;
    position_ = 0;
    const auto later = slot.later({.after = journal_.sequence});
    if (later && !later->given_up) return go_on_at(slot, *later);
    lose(fmt::format("its frames from {} on, in {}", journal_.sequence + 1,
                     slot.place(0, slot.length())));
    position_ = slot.length();
  }
  // To the end of the slot.
  void follow(Slot& slot) {
    vouching_at_ = 0;
    while (true) {
      if (const auto frame = slot.at(position_, journal_.sequence, generation_)) {
        apply(*frame);
        continue;
      }
      const auto later = find_later(slot);
      if (!later) return;
      if (later->given_up) {
        return lose(fmt::format("too much looks like more of it from frame {} on, in {}",
                                journal_.sequence + 1, slot.place(position_, slot.length())));
      }
      go_on_at(slot, *later);
    }
  }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  // More files may have been made here.
  void end() {
    const bool open = !journal_.unknown.empty() && journal_.unknown.back().before == no_id;
    if (!open) journal_.unknown.push_back({.after = newest_, .before = no_id});
  }

 private:
  // Whether the journal goes on behind a frame that is not whole: if some later one says that it
  // was on disk. Then all between them were.
  std::optional<LaterFrame> find_later(Slot& slot) {
    LaterFrames wanted{.from = position_ + 8,
                       .after = journal_.sequence + 1,
                       .durable_from = journal_.sequence + 1,
                       .generation_from = generation_};
    if (journal_.sequence >= vouched_for_) {
      // What stands ahead of the one before was no use when less was asked for.
      LaterFrames vouching_from = wanted;
      vouching_from.from = std::max(wanted.from, vouching_at_);
      const auto vouching = slot.later(vouching_from);
      if (!vouching || vouching->given_up) return vouching;
      vouched_for_ = vouching->frame.sequence;
      vouching_at_ = vouching->position;
    }
    wanted.durable_from = 0;
    return slot.later(wanted);
  }
  void lose(const std::string& what) {
    journal_.losses.push_back(what);
    lossy_ = true;
    end();
  }
  void go_on_at(const Slot& slot, const LaterFrame& later) {
    const std::uint64_t first = journal_.sequence + 1;
    const std::uint64_t last = later.frame.sequence - 1;
    const std::string frames = first >= last ? fmt::format("its frame {}", first)
                                             : fmt::format("its frames {} to {}", first, last);
    lose(fmt::format("{}, in {}", frames, slot.place(position_, later.position)));
    position_ = later.position;
    journal_.sequence = last;
  }
  void apply(const Frame& frame) {
    FileTable::Leniency met;
    journal_.table.apply_what_can_be(frame.payload, met);
    for (const std::uint64_t id : met.created) {
      if (id <= newest_) continue;
      newest_ = id;
      if (!journal_.unknown.empty() && journal_.unknown.back().before == no_id && !frame.snapshot) {
        journal_.unknown.back().before = id;
      }
    }
    if ((met.skipped > 0 || met.stopped) && !lossy_) {
      lose(fmt::format("frame {} does not fit what was before it", frame.sequence));
    }
    std::ranges::move(met.not_there, std::back_inserter(journal_.removed));
    journal_.sequence = frame.sequence;
    generation_ = frame.generation;
    changes_ += frame.snapshot ? 0 : 1;
    position_ = frame.snapshot ? frame.bytes : position_ + frame.bytes;
  }

  SalvagedJournal& journal_;
  std::uint64_t position_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t vouched_for_ = 0;  // some frame is known to have been behind this one
  std::uint64_t vouching_at_ = 0;  // where that one stands in the slot
  std::uint64_t newest_ = 0;       // id
  std::uint64_t changes_ = 0;      // frames of them
  bool lossy_ = false;
};

}  // namespace

Result<SalvagedJournal> salvage_journal(Device& device, const Superblock& superblock) {
  SalvagedJournal journal;
  Follower follower(journal);
  Slot active(device, superblock.slots[superblock.active], superblock);
  if (!follower.begin(active)) {
    Slot other(device, superblock.slots[1 - superblock.active], superblock);
    if (follower.begin(other)) {
      follower.follow(other);
    } else if (!active.at(frame_bytes(0), 1, 0)) {  // the first snapshot of all is of nothing
      return fail(ErrorCode::damaged,
                  "the journal is damaged at {}, and no other part of it tells what stood there",
                  active.place(0, frame_bytes(0)));
    }
    follower.begin_behind_lost_snapshot(active);
  }
  follower.follow(active);
  follower.end();
  return journal;
}

Reach reach_of(Device& device, const Superblock& superblock) {
  SalvagedJournal journal;
  Follower follower(journal);
  Slot slot(device, superblock.slots[superblock.active], superblock);
  if (!follower.begin(slot)) follower.begin_anywhere(slot);
  follower.follow(slot);
  return {.sequence = journal.sequence, .more_than_a_snapshot = follower.changes() > 0};
}

}  // namespace once::container
