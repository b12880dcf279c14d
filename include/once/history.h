// History: one row for each thing that happened to a key, in the order of commits, kept for a
// while (Options::history_retention, 7 days). It always agrees with the records: both are written
// in the same commit.
//
//   store.history({.key = "charge:42"}, [](const once::HistoryEntry& entry) {
//     std::cout << to_string(entry.what) << ", attempt " << entry.attempt << "\n";
//     return true;   // go on
//   });
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "once/clock.h"
#include "once/holder.h"
#include "once/key.h"
#include "once/record.h"

namespace once {

enum class What : std::uint8_t {
  reserved = 1,
  taken_over = 2,  // reserved after the owner before had died or let the lease lapse
  completed = 3,
  failed = 4,
  released = 5,
  in_doubt = 6,
  resolved = 7,
  removed = 8,
};

struct HistoryEntry {
  std::uint64_t sequence = 0;  // given by the store, in the order of commits
  std::uint64_t previous = 0;  // sequence of the entry before on the same key; 0: none
  Time time{};
  Time deadline{};  // lease or retention that was set by this; 0: none
  Key key{};
  What what = What::reserved;
  Status status = Status::in_progress;  // of the record afterwards; without meaning for removed
  Token token{};
  std::uint32_t attempt = 0;
  // Who did it. What the owner of a reservation does (reserved, taken_over, completed, failed,
  // released) is told of the holder that its record names: ReserveOptions::holder, if that was
  // given.
  Holder holder{};
  std::string note{};  // the reason or decision, for people

  friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

// "reserved", "taken_over", "completed", "failed", "released", "in_doubt", "resolved", "removed".
// Never null.
[[nodiscard]] std::string_view to_string(What what) noexcept;

}  // namespace once
