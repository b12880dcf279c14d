// The store's own facts: rows of the default column family, by name.
//
//   name      value
//   format    u64: once::store_format of the program that made the store
//   store_id  16 random bytes
//   opening   u64: how often the store was opened for writing; half of every token
//   clock     where the store's time stood, 33 bytes:
//             offset size
//             0      1    version 1
//             1      8    time, milliseconds since the epoch, i64
//             9      16   boot id
//             25     8    time since that boot, milliseconds, i64, not negative
//   history_gap  u64: the last opening at which history was switched off
//   outbox_from  u64: the place from which the outbox is read for what is to be delivered. Every
//             event whose sequence is not greater is delivered or gone, or is named by a row below
//   outbox_left + sequence (8 bytes, big-endian)  empty: an event not after outbox_from that is
//             pending or dead. May outlive the event, and then means nothing
//   tally + part(tenant) part(operation)  how often keys of that label were asked for since the
//             store was made, 49 bytes; parts as in key_codec.h. `tally` alone: of all labels that
//             came when there were max_figure_labels already
//             offset size
//             0      1    version 1
//             1      48   executions, replays, busy, mismatches, in doubt, fenced: u64 each
//   restored  there in a copy (backup, load) until it is first opened for writing: `opening` then
//             leaps, so that no token of the store it was copied from comes again. Whether the row
//             is there is what counts, not its value
//   unfinished  there in a copy (backup, load, salvage) until all of it is written: it is no store
//             yet
//
// All numbers little-endian. A u64 row is 8 bytes and nothing else: `format` must be readable by
// every version there will ever be, the ones that do not know this store included.
#pragma once

#include <cstdint>
#include <string_view>

#include "once/bytes.h"
#include "once/clock.h"
#include "once/error.h"
#include "once/report.h"

namespace once::model {

inline constexpr std::string_view format_row = "format";
inline constexpr std::string_view store_id_row = "store_id";
inline constexpr std::string_view opening_row = "opening";
inline constexpr std::string_view clock_row = "clock";
inline constexpr std::string_view restored_row = "restored";
inline constexpr std::string_view unfinished_row = "unfinished";
inline constexpr std::string_view history_gap_row = "history_gap";
inline constexpr std::string_view outbox_from_row = "outbox_from";
inline constexpr std::string_view outbox_left_prefix = "outbox_left";
inline constexpr std::string_view tally_prefix = "tally";

// Where the store's time stood, against the machine's time since boot; see docs/architecture.md,
// "Time".
struct ClockMark {
  Time time{};
  BootId boot{};
  Duration since_boot{};
  friend bool operator==(const ClockMark&, const ClockMark&) = default;
};

inline constexpr std::uint8_t clock_mark_version = 1;
inline constexpr std::size_t clock_mark_bytes = 33;

[[nodiscard]] Bytes encode_clock_mark(const ClockMark& mark);
// Errors: damaged, newer_format.
[[nodiscard]] Result<ClockMark> decode_clock_mark(ByteView value);

// The name of the row that stands for an event left behind, and its sequence again. Errors:
// damaged.
[[nodiscard]] Bytes encode_outbox_left(std::uint64_t sequence);
[[nodiscard]] Result<std::uint64_t> decode_outbox_left(ByteView name);

inline constexpr std::uint8_t tally_version = 1;
inline constexpr std::size_t tally_bytes = 49;

[[nodiscard]] Bytes encode_tally_name(const LabelTally& label);
[[nodiscard]] Bytes encode_tally(const Tally& tally);
// Errors: damaged, newer_format.
[[nodiscard]] Result<LabelTally> decode_tally(ByteView name, ByteView value);

[[nodiscard]] Bytes encode_u64(std::uint64_t number);
// Errors: damaged.
[[nodiscard]] Result<std::uint64_t> decode_u64(ByteView value);

}  // namespace once::model
