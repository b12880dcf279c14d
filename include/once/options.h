// Options: how a store is opened, and how single requests are made.
//
//   once::Options options;
//   options.memory_budget = 8 << 20;
//   auto store = once::Store::open("payments.once", options);
//
// All durations are std::chrono milliseconds, all sizes bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "once/clock.h"
#include "once/holder.h"
#include "once/record.h"

namespace once {

enum class Durability : std::uint8_t {
  synced = 1,    // survives a power cut: on disk before the call returns
  buffered = 2,  // survives the end of the process, not of the machine
};

// How a store is kept on disk.
enum class Layout : std::uint8_t {
  file = 1,       // everything in one file
  directory = 2,  // a directory with RocksDB's own files, which its tools can read
};

// What opening does with a write-ahead log that is damaged.
enum class DamagedLog : std::uint8_t {
  refuse = 1,  // ErrorCode::damaged, naming the place. Nothing is lost silently
  // Answer with what stands before the damage. Only together with read_only: for saving what
  // can be saved into a fresh store.
  keep_prefix = 2,
};

struct Options {
  // How long open() waits for another process to let go of the store. 0: not at all.
  Duration open_timeout_ms = std::chrono::seconds(5);
  // Memory for write buffers and cache together.
  std::size_t memory_budget = std::size_t{32} << 20;
  // Larger outcomes are refused by complete() and become tombstones in execute().
  std::size_t max_outcome_bytes = std::size_t{16} << 20;
  std::size_t max_event_bytes = std::size_t{1} << 20;
  bool create_if_missing = true;
  // What a store is made as where there is none (an empty directory becomes a store in that
  // directory). One that is there is recognised, whatever this says.
  Layout layout = Layout::file;
  // A file system that other machines mount too is refused for writing, since its locks and syncs
  // may not do what they say, and since a store belongs to one machine.
  bool allow_network_file_system = false;
  // Only look: takes no lock, changes nothing on disk, works while another process holds the
  // store, and sees it as it was when open() returned.
  bool read_only = false;
  DamagedLog damaged_log = DamagedLog::refuse;
  // Keep what happened to each key.
  bool history = true;
  Duration history_retention = std::chrono::hours(24 * 7);
  // For tests; null means the machine's own.
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<const Processes> processes{};
};

struct ReserveOptions {
  // How long the reservation holds without being renewed.
  Duration lease = std::chrono::minutes(5);
  // How long the finished record answers. Weeks are fine, `once::forever` too.
  Duration retention = std::chrono::hours(24);
  // What was asked, so that the same key cannot answer a different question.
  std::optional<Fingerprint> fingerprint{};
  OnAbandon on_abandon = OnAbandon::in_doubt;
  // How long to wait while somebody else holds the key. 0: busy at once.
  Duration wait = Duration{0};
  Durability durability = Durability::synced;
  // Who carries the operation out, when that is not this process.
  std::optional<Holder> holder{};
};

struct CompleteOptions {
  // Instead of the retention given when reserving.
  std::optional<Duration> retention{};
  Durability durability = Durability::synced;
};

struct ExecuteOptions {
  Duration lease = std::chrono::minutes(5);  // renewed every third of it while the work runs
  bool heartbeat = true;                     // false: never renewed, the lease is a time limit
  Duration retention = std::chrono::hours(24);
  Duration failure_retention = std::chrono::minutes(5);  // of definite failures
  std::optional<Fingerprint> fingerprint{};
  OnAbandon on_abandon = OnAbandon::in_doubt;
  Duration wait = std::chrono::seconds(30);  // for somebody else's execution to finish
  Durability durability = Durability::synced;
};

struct TransactOptions {
  Duration retention = std::chrono::hours(24);
  Duration failure_retention = std::chrono::minutes(5);
  std::optional<Fingerprint> fingerprint{};
  Duration wait = std::chrono::seconds(30);
  Durability durability = Durability::synced;
};

}  // namespace once
