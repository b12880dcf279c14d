// Reports: what a store tells of itself.
//
//   const once::Stats stats = store.stats().value();
//   if (stats.in_doubt > 0) page_somebody();
//
// All are values; times are the store's (see once/clock.h), sizes bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "once/outcome.h"
#include "once/record.h"

namespace once {

// What find() and scan() give.
struct Found {
  Record record{};
  std::optional<Outcome> outcome{};  // when completed or failed
};

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

struct Stats {
  std::uint64_t in_progress = 0;  // live records by status
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t in_doubt = 0;
  std::uint64_t released = 0;
  std::uint64_t expired = 0;  // records past retention that no sweep has removed yet
  std::uint64_t events_pending = 0;
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
