// An event of the outbox: the value of a row in table `outbox`. Its sequence is the row's key.
//
//   offset size
//   0      10    header (row_header.h): version 1 or 2; removable when delivered; expires_at
//   10     1     status: 1 pending, 2 delivered, 3 dead
//   11     4     retries
//   15     8     created_at
//   23     8     published_at
//   31     4+n   id
//          4+n   aggregate type
//          4+n   aggregate id
//          4+n   type
//          4     number of headers, then for each, by ascending name: 4+n name, 4+n value
//          4     number of metadata, then for each, by ascending name: 4+n name, 4+n value
//          4+n   payload
//   version 2 only:
//          8     next_attempt_at
//          4+n   last error
//
// Version 2 is written when an attempt to deliver has left one of its two fields; every other event
// is written as version 1, which is what version 0.1.0 of Once wrote and reads.
//
// All numbers little-endian; 4+n is a length and that many bytes. Invariants: the removable bit is
// set exactly when the event was delivered, so that what is pending or dead is never swept; names
// ascend strictly (as unsigned bytes), so that there is one encoding for an event.
#pragma once

#include <cstdint>

#include "once/bytes.h"
#include "once/error.h"
#include "once/event.h"

namespace once::model {

inline constexpr std::uint8_t event_version = 2;  // the greatest
inline constexpr std::size_t event_status_offset = 10;
inline constexpr std::size_t event_fixed_bytes = 31;

// Each string is less than 4 GiB; Options::max_event_bytes sees to that.
[[nodiscard]] Bytes encode_event(const Event& event);
// Errors: damaged, newer_format.
[[nodiscard]] Result<Event> decode_event(std::uint64_t sequence, ByteView value);

}  // namespace once::model
