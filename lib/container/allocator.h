// The allocator: which blocks of the host file nobody uses.
//
// It is kept in memory only, and made anew from the table of files at every opening: what no file
// and no journal slot claims is free.
//
// Invariants:
//   1. A block is claimed once or free, and free ones plus claimed ones are all there are.
//   2. Given out are the lowest blocks that will do, so that the end of the file becomes free and
//      can be cut off.
// A free run that holds written blocks is known by `written`: writing there again changes no
// metadata of the host file system, which is what makes a synced append cheap. One that may be a
// hole, with nothing behind it on the disk, is not `real`, and not given out before it is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "container/layout.h"
#include "once/error.h"

namespace once::container {

// Used under the container's mutex.
class Allocator {
 public:
  // All of [first_block_offset, end) is free, not yet written to, and may be a hole.
  void reset(std::uint64_t end);
  [[nodiscard]] std::uint64_t end() const { return end_; }
  // All free bytes, and those that are known to be no hole.
  [[nodiscard]] std::uint64_t free_bytes() const { return free_bytes_; }
  [[nodiscard]] std::uint64_t real_bytes() const { return real_bytes_; }

  // Takes a run that is in use. Errors: damaged, if it is not within the file, not whole blocks, or
  // claimed already.
  Result<void> claim(const Extent& extent);
  // Gives back what was claimed or taken.
  // What is not written to may be a hole unless it is `real`.
  void release(const Extent& extent, bool written, bool real = true);
  // Takes all that is free.
  Extents take_all();
  // The lowest free run of `bytes`; nullopt if no run is as long.
  std::optional<Extent> take(std::uint64_t bytes);
  // The longest free run, up to `bytes`; nullopt if nothing is free.
  std::optional<Extent> take_longest(std::uint64_t bytes);
  // The lowest free run, up to `bytes`; nullopt if nothing is free.
  std::optional<Extent> take_lowest(std::uint64_t bytes);
  // The lowest free run of `bytes` that ends before `limit`.
  std::optional<Extent> take_below(std::uint64_t bytes, std::uint64_t limit);
  // The parts of a run just taken that were never written to.
  [[nodiscard]] const Extents& unwritten() const { return unwritten_; }

  // The lowest free run at or behind `from` that may be a hole, up to `bytes`; and that it is none
  // any more.
  [[nodiscard]] std::optional<Extent> hole(std::uint64_t bytes, std::uint64_t from = 0) const;
  void mark_real(const Extent& extent);

  // The file has become longer, by blocks that are there.
  void grow(std::uint64_t end);
  // How far the file can be cut: everything from there on is free.
  [[nodiscard]] std::uint64_t used_end() const;
  // The file was cut to `end`, which is not below used_end().
  void cut(std::uint64_t end);
  // Free runs of at least `bytes` with blocks in them that were written to.
  [[nodiscard]] Extents runs(std::uint64_t bytes) const;
  // These free blocks were punched out.
  void mark_hole(const Extent& extent);
  // All that is free, lowest first, and whether it is known to be no hole.
  struct FreeRun {
    Extent extent{};
    bool real = false;
  };
  [[nodiscard]] std::vector<FreeRun> free_runs() const;

 private:
  struct Run {
    std::uint64_t length = 0;
    bool written = false;
    bool real = false;
    [[nodiscard]] bool like(const Run& other) const {
      return written == other.written && real == other.real;
    }
  };
  using Runs = std::map<std::uint64_t, Run>;
  // Free runs that touch each other count as one, although they differ in `written`; for taking
  // only what is real counts, and 0 is returned for a hole.
  [[nodiscard]] std::uint64_t stretch_at(Runs::const_iterator at, bool real) const;
  Extent take_at(std::uint64_t offset, std::uint64_t length);
  void insert(std::uint64_t offset, Run run);

  Runs free_;
  std::uint64_t free_bytes_ = 0;
  std::uint64_t real_bytes_ = 0;
  std::uint64_t end_ = first_block_offset;
  Extents unwritten_{};
};

}  // namespace once::container
