// What a simulated disk holds: its bytes, and which of the latest changes a power cut may undo.
//
//   Moment moment = device.moment();                 // cheap: pages are shared until written
//   SimulatedDevice after(moment.crash({CrashPlan::Kind::none}));
//
// A sector is written whole: a change keeps its sectors as they read right after it, what earlier
// changes put there included. So a kept write brings the sector's older bytes with it, as a disk
// does, and dropping a write drops only what no later kept write of the same sector has again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/copy_on_write.h"

namespace once::testing {

inline constexpr std::size_t sector_bytes = 512;
inline constexpr std::size_t page_bytes = 4096;

// Bytes in pages of 4 KiB, shared with its copies until one of them is written. Not thread-safe.
class DiskImage {
 public:
  DiskImage();
  explicit DiskImage(std::string_view bytes);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Bytes of space in use, in whole pages; punched pages have none.
  [[nodiscard]] std::uint64_t space() const;
  // Space that writing or allocating a range would take in addition.
  [[nodiscard]] std::uint64_t space_missing(std::uint64_t offset, std::uint64_t length) const;

  // The range must lie within the size.
  void read(std::uint64_t offset, std::size_t length, char* buffer) const;
  [[nodiscard]] std::string bytes(std::uint64_t offset, std::size_t length) const;
  [[nodiscard]] std::string bytes() const { return bytes(0, static_cast<std::size_t>(size_)); }

  // What lies past the end is left out.
  void write(std::uint64_t offset, std::string_view bytes);
  void punch(std::uint64_t offset, std::uint64_t length);
  void allocate(std::uint64_t offset, std::uint64_t length);
  void flip(std::uint64_t offset, std::uint8_t mask);
  void resize(std::uint64_t bytes);

 private:
  using Page = std::array<char, page_bytes>;
  struct Slot {
    CopyOnWrite<Page> page{};  // nothing: zeros
    bool hole = false;         // no space under it
  };

  Page& page_to_write(std::size_t index);
  void zero(std::uint64_t begin, std::uint64_t end);

  std::uint64_t size_ = 0;
  CopyOnWrite<std::vector<Slot>> slots_;
};

// One change that was made since the last sync.
struct Change {
  enum class Kind : std::uint8_t { write, resize, punch, allocate };

  Kind kind = Kind::write;
  std::uint64_t offset = 0;  // resize: the new size
  std::uint64_t length = 0;
  // Writes only: the whole sectors it touched, as they read right after it.
  std::uint64_t sectors_at = 0;
  std::shared_ptr<const std::string> sectors{};
  // A sync of it has failed: no later sync makes it durable, but it may be on the disk.
  bool adrift = false;
};

// What a power cut leaves of the changes since the last sync.
struct CrashPlan {
  enum class Kind : std::uint8_t {
    none,       // none of them
    all,        // all of them
    all_but,    // change `index` is missing
    only,       // change `index` alone
    first,      // the first `index` of them
    last_torn,  // all, but of the last write only the first `index` bytes, within a sector too
    each_torn,  // all, but of each write of more than a sector only the first half of them
    some,       // any sectors and other changes, by `seed`
  };

  Kind kind = Kind::none;
  std::uint64_t index = 0;
  std::uint64_t seed = 0;

  // For messages, e.g. "all but change 3".
  [[nodiscard]] std::string describe() const;
};
inline constexpr std::size_t crash_kinds = 8;

// A disk between two calls.
struct Moment {
  DiskImage durable{};
  std::vector<Change> pending{};

  [[nodiscard]] DiskImage crash(const CrashPlan& plan) const;
  // Of the last write among `pending`; 0 if there is none.
  [[nodiscard]] std::uint64_t last_write_bytes() const;
  // A sync that succeeds: makes durable what is not adrift.
  void settle();
};

}  // namespace once::testing
