// Options: how a store is opened, and how single requests are made.
//
//   once::Options options;
//   options.memory_budget = 8 << 20;
//   options.replay_cache_bytes = 64 << 20;  // answers given again without asking the disk
//   auto store = once::Store::open("payments.once", options);
//
// All durations are std::chrono milliseconds, all sizes bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

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
  // Besides, for outcomes that are replayed without asking the disk. 0: none.
  std::size_t replay_cache_bytes = std::size_t{4} << 20;
  // Larger outcomes are refused by complete() and become tombstones in execute().
  std::size_t max_outcome_bytes = std::size_t{16} << 20;
  std::size_t max_event_bytes = std::size_t{1} << 20;
  bool create_if_missing = true;
  // What a store is made as where there is none (an empty directory becomes a store in that
  // directory). One that is there is recognised, whatever this says.
  Layout layout = Layout::file;
  // A file system that other machines mount too is refused, since its locks and syncs may not do
  // what they say, and since a store belongs to one machine. (A store in a directory can be read
  // there all the same, which takes no lock.)
  bool allow_network_file_system = false;
  // Only look: takes no lock, changes nothing on disk, works while another process holds the
  // store, and sees it as it was when open() returned.
  bool read_only = false;
  DamagedLog damaged_log = DamagedLog::refuse;
  // Keep what happened to each key.
  bool history = true;
  Duration history_retention = std::chrono::hours(24 * 7);
  // Count by tenant and operation, and how long things take (see once/figures.h). Without, only the
  // totals are counted.
  bool figures = true;
  // For tests; null means the machine's own.
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<const Processes> processes{};
};

// What becomes of a call whose key has an outcome already. Who asks while somebody holds the key
// waits for `wait` first.
enum class Conflict : std::uint8_t {
  previous = 1,  // the outcome kept is the answer, as a replay
  reject = 2,    // ErrorCode::already_done
};

struct ReserveOptions {
  // How long the reservation holds without being renewed.
  Duration lease = std::chrono::minutes(5);
  // How long the finished record answers. Weeks are fine, `once::forever` too.
  Duration retention = std::chrono::hours(24);
  // What was asked, so that the same key cannot answer a different question.
  std::optional<Fingerprint> fingerprint{};
  // Of the fields of what was asked, so that a mismatch can name those that differ. They count with
  // or without a fingerprint. At most 64, with names of at most 255 bytes that differ; see
  // once/question.h.
  std::vector<FieldDigest> fields{};
  OnAbandon on_abandon = OnAbandon::in_doubt;
  // How long to wait while somebody else holds the key. 0: busy at once.
  Duration wait = Duration{0};
  Durability durability = Durability::synced;
  // Who carries the operation out, when that is not this process.
  std::optional<Holder> holder{};
  std::stop_token stop{};  // gives a wait up at once: ErrorCode::cancelled
};

struct RemoveOptions {
  // Remove a transaction that its coordinator has not finished as well, with the decision on it.
  // What its participants have prepared stays so until somebody sees to it.
  bool unfinished_transaction = false;
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
  std::vector<FieldDigest> fields{};  // as in ReserveOptions
  OnAbandon on_abandon = OnAbandon::in_doubt;
  Duration wait = std::chrono::seconds(30);  // for somebody else's execution to finish
  Durability durability = Durability::synced;
  Conflict conflict = Conflict::previous;
  // Gives a wait up at once: ErrorCode::cancelled. Work that has begun is not stopped.
  std::stop_token stop{};
};

struct TransactOptions {
  Duration retention = std::chrono::hours(24);
  Duration failure_retention = std::chrono::minutes(5);
  std::optional<Fingerprint> fingerprint{};
  std::vector<FieldDigest> fields{};  // as in ReserveOptions
  Duration wait = std::chrono::seconds(30);
  Durability durability = Durability::synced;
  Conflict conflict = Conflict::previous;
  std::stop_token stop{};  // as in ExecuteOptions
};

}  // namespace once
