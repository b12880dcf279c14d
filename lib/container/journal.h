// The journal: what happened to the table of files, in frames, one after another in one slot.
//
// A slot has two copies, far from each other, and every frame is written to both: so a rotten byte
// in one is mended from the other, and the end of the journal never depends on a single sector.
//
//   offset  size  frame
//        0     4  length n of the payload
//        4     4  1 = snapshot (the first frame of a slot, and only that); 0 = changes
//        8     8  generation of the superblock when it was written
//       16     8  sequence: one more than that of the frame before
//       24     8  durable-through: the sequence up to which frames were known to be on disk
//       32     n  payload: records (file_table.h), applied all or none
//          pad  zeros up to a multiple of 8
//     last     8  XXH3 of all before, seeded with the store's id
//
// At the end of each copy stands a label (slot_label.h).
//
// Invariants:
//   1. A frame counts if it is whole in either copy, its sequence follows, and its generation is
//   not
//      smaller than the one before it nor greater than the superblock's. So what an earlier opening
//      left behind the end never counts.
//   2. The first frame that does not count is the end. If a later one says that it was on disk,
//   that
//      is damage and not the end.
//   3. When a slot is full a snapshot of the table goes to the other slot, which then is made the
//      active one by the superblock: the journal never grows beyond its slots.
// Fault model: what was written since the last sync may be there or not, in any mixture.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "container/device.h"
#include "container/journal_frame.h"
#include "container/slot_label.h"
#include "container/superblock.h"
#include "once/bytes.h"

namespace once::container {

class Journal {
 public:
  // Gets the payload of each frame that counts, in order. Errors it gives end the reading.
  using Visitor = std::function<Result<void>(std::string_view payload)>;

  explicit Journal(Device& device) : device_(device) {}

  // For a journal that is begun, not read.
  void set_store(const Superblock& superblock) {
    store_id_ = superblock.store_id;
    seed_ = superblock.seed();
  }
  // Reads the active slot. Errors: damaged, naming the place; io.
  Result<void> read(const Superblock& superblock, const Visitor& visit);

  // Begins a slot with a label and a snapshot (both copies, not synced). It has to fit.
  Result<void> begin(const JournalSlot& slot, std::uint64_t generation, std::string_view snapshot);
  // Whether a frame of that payload still fits.
  [[nodiscard]] bool fits(std::size_t payload) const {
    return position_ + frame_bytes(payload) + slot_label_bytes <= slot_.length;
  }
  // Appends a frame (both copies, not synced). It has to fit.
  Result<void> append(std::string_view payload);
  // Writes those frames again that were read and that no frame says to be on disk (not synced).
  // After a failed sync the kernel goes on showing what it will never write by itself.
  Result<void> write_again();

  void set_generation(std::uint64_t generation) { generation_ = generation; }
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  [[nodiscard]] std::uint64_t durable() const { return durable_; }
  void set_durable(std::uint64_t sequence) {
    if (sequence > durable_) durable_ = sequence;
  }
  // The two copies differ, or one could not be read: a new slot mends that.
  [[nodiscard]] bool needs_mending() const { return !problem_.empty(); }
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::uint64_t position() const { return position_; }

 private:
  Result<void> write_frame(std::string_view payload, bool snapshot);
  [[nodiscard]] Result<void> check_end(const std::string* copies, std::uint64_t generation) const;

  Device& device_;
  JournalSlot slot_{};
  std::array<std::uint8_t, 16> store_id_{};
  std::uint64_t seed_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t position_ = 0;  // where the next frame goes
  std::string problem_{};
  // What was read, from the first frame on that no frame says to be on disk.
  Bytes unvouched_{};
};

}  // namespace once::container
