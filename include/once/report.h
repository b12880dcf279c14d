// Reports: what a store tells of itself.
//
//   const once::Stats stats = store.stats().value();
//   if (stats.in_doubt > 0) page_somebody();
//   if (store.status("charge:42").value() == once::KeyStatus::none) nobody_has_asked();
//
// All are values; times are the store's (see once/clock.h), sizes bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "once/bytes.h"
#include "once/clock.h"
#include "once/outcome.h"
#include "once/record.h"

namespace once {

// What find() and scan() give.
struct Found {
  Record record{};
  std::optional<Outcome> outcome{};  // when completed or failed
};

// What Store::status() tells of a key.
enum class KeyStatus : std::uint8_t {
  none = 0,         // nobody has asked for it, or it was removed
  in_progress = 1,  // somebody carries it out (or has ended without a word)
  completed = 2,    // a success is replayed
  failed = 3,       // a failure, timeout or killing is replayed
  in_doubt = 4,     // resolve() decides
  released = 5,     // free again after a try
  expired = 6,      // finished, past retention, and not swept yet: as free as none
};
// "none", "in_progress", ... Never null.
[[nodiscard]] std::string_view to_string(KeyStatus status) noexcept;

// Told of long work: how much is done, of how much (0: not known), and of what kind.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total, std::string_view of)>;

struct SweepReport {
  std::uint64_t keys = 0;  // rows removed for good, by table
  std::uint64_t results = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t events = 0;
  std::uint64_t history = 0;
  std::uint64_t bytes_before = 0;  // on disk
  std::uint64_t bytes_after = 0;
};

struct CompactReport {
  SweepReport swept{};           // what was removed, and the bytes on disk before and after
  std::uint64_t bytes_free = 0;  // of bytes_after: kept for what is written next
  std::uint64_t bytes_held = 0;  // of bytes_after: free once somebody who reads has ended
};

// How often keys were asked for, and what came of it.
struct Tally {
  std::uint64_t executions = 0;  // reservations won, and transactions committed
  std::uint64_t replays = 0;     // answered from the store
  std::uint64_t busy = 0;        // refused: somebody held the key
  std::uint64_t mismatches = 0;  // refused: the question differed
  std::uint64_t in_doubt = 0;    // refused: nobody knows whether it happened
  std::uint64_t fenced = 0;      // refused: the reservation was lost to another

  // Times that somebody asked for what was done, or was being done, and it was not done again.
  [[nodiscard]] std::uint64_t duplicates_avoided() const noexcept {
    return replays + busy + in_doubt;
  }
  // Of the questions that were answered: how many from the store, 0 to 1.
  [[nodiscard]] double hit_rate() const noexcept {
    const std::uint64_t answered = executions + replays;
    return answered == 0 ? 0.0 : static_cast<double>(replays) / static_cast<double>(answered);
  }
  Tally& operator+=(const Tally& other) noexcept {
    executions += other.executions;
    replays += other.replays;
    busy += other.busy;
    mismatches += other.mismatches;
    in_doubt += other.in_doubt;
    fenced += other.fenced;
    return *this;
  }
  friend bool operator==(const Tally&, const Tally&) = default;
};

// That of one tenant and operation, or of all others together.
struct LabelTally {
  Bytes tenant{};
  Bytes operation{};
  bool others = false;  // the names are empty then
  Tally tally{};
  friend bool operator==(const LabelTally&, const LabelTally&) = default;
};

// Records of one tenant and operation.
struct LabelStats {
  Bytes tenant{};
  Bytes operation{};
  bool others = false;  // all those after the first max_label_stats, in key order
  std::uint64_t in_progress = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t in_doubt = 0;
  std::uint64_t released = 0;
  std::uint64_t expired = 0;
  std::uint64_t bytes = 0;  // of keys, records, outcomes and checkpoints, before compression
  Duration average_ttl{};   // until finished records expire; those that never do are left out
  Tally ever{};             // as Stats::ever; also where there are no records any more

  [[nodiscard]] std::uint64_t active() const noexcept {
    return in_progress + completed + failed + in_doubt + released;
  }
  [[nodiscard]] std::uint64_t total() const noexcept { return active() + expired; }
};

inline constexpr std::size_t max_label_stats = 1000;

struct Stats {
  std::uint64_t in_progress = 0;  // live records by status
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t in_doubt = 0;
  std::uint64_t released = 0;
  std::uint64_t expired = 0;  // records past retention that no sweep has removed yet
  std::uint64_t events_pending = 0;
  std::uint64_t events_waiting = 0;  // of these, failed before and not due for another attempt yet
  std::uint64_t events_delivered = 0;
  std::uint64_t events_dead = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t history = 0;
  std::uint64_t data = 0;
  std::uint64_t bytes_on_disk = 0;
  std::uint64_t bytes_free = 0;  // of these, not in use: sweep and compact give them back
  std::uint64_t opening = 0;     // how often the store was opened for writing
  std::uint64_t executions = 0;  // since this Store was opened: reservations won
  std::uint64_t replays = 0;     // answered from the store
  std::uint64_t busy = 0;        // refused because somebody held the key
  std::uint64_t mismatches = 0;  // refused because the question differed
  std::uint64_t bytes = 0;       // of keys, records, outcomes and checkpoints, before compression
  Duration average_ttl{};        // until finished records expire; those that never do are left out
  Duration oldest_pending{};     // how long the oldest pending event has been waiting; 0: none
  // Since the store was made, by all processes that had it open for writing. Of the one that has it
  // open now a Store that only reads sees what was kept when it was opened: see docs/caveats.md,
  // "Figures". A copy begins anew.
  Tally ever{};
  std::vector<LabelStats> labels{};  // by tenant and operation, `others` last

  [[nodiscard]] std::uint64_t active() const noexcept {
    return in_progress + completed + failed + in_doubt + released;
  }
  [[nodiscard]] std::uint64_t total() const noexcept { return active() + expired; }
  // Of the questions that were answered since this Store was opened: how many from the store, 0
  // to 1.
  [[nodiscard]] double hit_rate() const noexcept {
    const std::uint64_t answered = executions + replays;
    return answered == 0 ? 0.0 : static_cast<double>(replays) / static_cast<double>(answered);
  }
};

struct VerifyReport {
  std::uint64_t rows = 0;    // checked
  std::uint64_t bytes = 0;   // on disk, every checksum read
  std::uint64_t blocks = 0;  // of a store in one file: each is used once or free
  std::uint64_t blocks_free = 0;
  std::vector<std::string> problems;  // empty: all is well. At most 1,000 are listed
  std::uint64_t problem_count = 0;
};

}  // namespace once
