// Envelopes: how logs (RocksDB's write-ahead logs and manifests) lie in their extents.
//
// Each append is one envelope, written in place into extents that were allocated before, so that it
// needs one write and one sync and nothing in the journal. Where the log ends is found by reading.
//
//   offset  size  envelope
//        0     4  length n of the payload, not 0
//        4     4  "OENV"
//        8     8  id of the file
//       16     8  offset of the payload in the file
//       24     8  durable-through: how many bytes of the file were known to be on disk
//       32     n  payload
//          pad  zeros up to a multiple of 8
//     last     8  XXH3 of all before, seeded with the store's id
//
// Who vouches for the last envelopes that were synced: no later one does yet. So a sync of a WAL is
// followed by a note, at the start of the block behind the one where the log ends; it is not synced
// itself, which is enough where only the process ends. What is appended later takes its place.
//
//   offset  size  sync note
//        0     4  0
//        4     4  "OSYN"
//        8     8  id of the file
//       16     8  durable-through, as above
//       24     8  XXH3 of all before, seeded with the store's id
//
// Invariants:
//   1. Ids are never used twice, so that what an older log left in the same place never counts.
//   2. The first envelope that does not count is the end. If a later one calls those bytes durable,
//      or a sync note or the journal does, that is damage and not the end. So it is where too much
//      looks like a later envelope to be read (SearchLimit).
//   3. From a sync to the next, whatever is appended, one whole block that is not among those with
//      the last synced envelopes says how far they go: a note, or a whole envelope.
// Fault model: what was written since the last sync may be there or not, in any mixture; any byte
// may be rotten.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "container/device.h"
#include "container/layout.h"
#include "container/search_limit.h"
#include "once/bytes.h"

namespace once::container {

// An append that is larger is split.
inline constexpr std::size_t most_envelope_payload = std::size_t{16} << 20;

struct Envelope {
  std::uint64_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t durable = 0;
  std::string_view payload{};
};

[[nodiscard]] std::size_t envelope_bytes(std::size_t payload);
// Adds it to `out`.
void append_envelope(Bytes& out, const Envelope& envelope, std::uint64_t seed);
// The one at the start of `bytes`, if a whole one stands there.
[[nodiscard]] std::optional<Envelope> parse_envelope(std::string_view bytes, std::uint64_t seed);
// How many bytes it has if `bytes` begin with an envelope of this file; 0: they do not, whatever
// comes after the header.
[[nodiscard]] std::size_t claimed_bytes(std::string_view bytes, std::uint64_t file);

// A sync note: how many bytes of a log were known to be on disk.
inline constexpr std::size_t sync_note_bytes = 32;
[[nodiscard]] Bytes sync_note(std::uint64_t file, std::uint64_t durable, std::uint64_t seed);
// What the note at the start of `bytes` says; 0: there is none of this file.
[[nodiscard]] std::uint64_t noted_durable(std::string_view bytes, std::uint64_t file,
                                          std::uint64_t seed);

// Where in the extents an offset of the log is to be found: one in some kilobytes of envelopes.
struct LogMark {
  std::uint64_t offset = 0;    // in the log
  std::uint64_t position = 0;  // in its extents: an envelope starts there
};
inline constexpr std::uint64_t log_mark_bytes = 32 << 10;

struct LogPlace {
  std::uint64_t file = 0;
  std::uint64_t seed = 0;
  const Extents* extents = nullptr;
};

// Reads envelopes one after another.
class EnvelopeReader {
 public:
  EnvelopeReader(Device& device, const LogPlace& place, LogMark start)
      : device_(device), place_(place), capacity_(length_of(*place.extents)), at_(start) {}

  // The next one, nullopt at the end. What it points to lasts until the next call. Errors: io.
  Result<std::optional<Envelope>> next();
  // Where the next one starts.
  [[nodiscard]] LogMark at() const { return at_; }

 private:
  Result<std::string_view> window(std::uint64_t position, std::size_t bytes);

  Device& device_;
  const LogPlace place_;
  const std::uint64_t capacity_;
  LogMark at_;
  std::uint64_t window_start_ = 0;
  Bytes window_{};
};

struct LogScan {
  LogMark end{};
  std::uint64_t durable = 0;  // as far as envelopes and notes say
  std::vector<LogMark> marks{};
  // Not empty: the log does not end there, it is damaged.
  std::string damage{};
};

// Finds the end of a log of which at least `known` bytes were on disk. Errors: io.
Result<LogScan> scan_log(Device& device, const LogPlace& place, std::uint64_t known);

}  // namespace once::container
