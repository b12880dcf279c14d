// The engine seam: what a place to keep rows must be able to do, and all that it may know.
//
// An engine stores rows and does one thing atomically: it shows a transition the record of a key,
// and makes the change that the transition decides on happen all or not at all, with nothing in
// between on that key. What records mean is decided above (lib/ledger), so that every engine
// behaves alike and passes one conformance suite (tests/conformance).
//
// Invariants an engine keeps:
//   1. A change is whole: record, outcome, history, events, checkpoints and data, or nothing.
//   2. What an update was answered ok for is there after a crash (synced), or after the end of the
//      process (buffered).
//   3. Sequences grow in the order in which commits become visible: who has seen one will never
//      see a smaller one appear.
//   4. Tokens grow and are never given twice, across reopenings and crashes.
//   5. A read error is an error, never "not there".
//   6. An event that is pending or dead is found by the outbox's cursor, whatever happened to it.
//   7. `no_space` says that nothing was written. As soon as there is space, writing goes on.
// All functions are safe to call from many threads at once unless they say otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "once/checkpoint.h"
#include "once/error.h"
#include "once/event.h"
#include "once/history.h"
#include "once/key.h"
#include "once/options.h"
#include "once/outcome.h"
#include "once/record.h"
#include "once/report.h"
#include "once/row.h"

namespace once::engine {

// What a transition sees.
struct Current {
  const std::optional<Record>& record;  // as stored; past retention too
  Time now{};
  Token fresh;  // for the transition to grant; lost if it does not
  // The events asked for (update_outbox), in the order asked, as stored; nullopt: gone.
  std::span<const std::optional<Event>> events{};
};

// What happens to events that are in the outbox already.
struct OutboxChange {
  std::vector<Event> put{};            // over those with their sequences
  std::vector<std::uint64_t> erase{};  // sequences
  // Moves the place from which the outbox is read (0: it stays). Every event up to it must be
  // settled (delivered or gone), or in `left`, or have been left behind before.
  std::uint64_t from = 0;
  std::vector<std::uint64_t> left{};

  [[nodiscard]] bool empty() const {
    return put.empty() && erase.empty() && from == 0 && left.empty();
  }
};

// Where to look for events that are not settled yet: behind `from`, and the ones left behind.
// Among both may be some that are.
struct OutboxCursor {
  std::uint64_t from = 0;
  std::vector<std::uint64_t> left{};  // ascending, none greater than `from`
};

// What a transition decides on. Empty: nothing is written.
struct Change {
  std::optional<Record> put{};
  bool remove = false;                    // record, outcome and checkpoints
  std::optional<Outcome> outcome{};       // stored under put's token and retention
  bool drop_outcome = false;              // of the life of the key before
  std::optional<HistoryEntry> history{};  // the engine numbers it
  std::vector<Checkpoint> checkpoints{};
  std::vector<Event> events{};  // new ones
  OutboxChange outbox{};        // only by update_outbox()
  bool apply_data = false;      // write the DataChanges given to update()
  // Removes, renews or settles: on a full disk it may use what is kept in reserve.
  bool from_reserve = false;

  [[nodiscard]] bool empty() const {
    return !put && !remove && !outcome && !drop_outcome && !history && checkpoints.empty() &&
           events.empty() && outbox.empty() && !apply_data;
  }
};

// Pure: an engine may call it more than once for one update.
using Transition = std::function<Change(const Current&)>;

struct Update {
  Key key;
  Transition transition;
};

// What a transaction read and wants to write, for validation in commit order.
struct DataChanges {
  std::uint64_t version = 0;  // DataView::version() of the view it read from
  std::vector<Bytes> read{};
  std::vector<std::pair<Bytes, Bytes>> ranges{};  // [from, to); empty `to`: to the end
  std::vector<std::pair<Bytes, std::optional<Bytes>>> writes{};  // nullopt: erase
};

// The application's rows as of one moment. Used by one thread.
class DataView {
 public:
  DataView() = default;
  DataView(const DataView&) = delete;
  DataView& operator=(const DataView&) = delete;
  virtual ~DataView() = default;
  [[nodiscard]] virtual std::uint64_t version() const = 0;
  virtual Result<std::optional<Bytes>> get(ByteView key) = 0;
  virtual Result<void> scan(ByteView from, ByteView to,
                            const std::function<bool(ByteView, ByteView)>& visit) = 0;
};

// Sees a row, or the damage that stands in its place. False stops.
using RowVisitor = std::function<bool(const Result<Row>&)>;

// Sees an event, or why its row cannot be taken apart, and the row's sequence. False stops.
using EventVisitor = std::function<bool(std::uint64_t sequence, const Result<Event>&)>;

struct RowRange {
  Table table = Table::all;  // all: the store's own row, then table by table
  std::uint64_t after = 0;   // outbox and history: only greater sequences
  std::optional<Key> key{};  // checkpoints: only of this key
  // keys: only those whose first parts are these, the last of them a prefix (at most three)
  std::vector<Bytes> key_prefix{};
  bool expired = false;  // keys: instead, only what is past retention
};

// All of a store as of one moment, and of one time: what is past retention then is absent. For
// looking at many rows that must fit together. Used by one thread, and not after the engine was
// closed.
class Reading {
 public:
  Reading() = default;
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  virtual ~Reading() = default;

  [[nodiscard]] virtual Time now() const = 0;
  // The record and the outcome that belongs to it.
  virtual Result<std::optional<Found>> find(const Key& key) = 0;
  // One history row, nullopt if it is gone.
  virtual Result<std::optional<HistoryEntry>> history_at(std::uint64_t sequence) = 0;
  // One event, nullopt if it is gone.
  virtual Result<std::optional<Event>> event_at(std::uint64_t sequence) = 0;
  // Visits those of `sequences` that are there, in that order, then all with a sequence greater
  // than `after`. Its own error says that it could not read on.
  virtual Result<void> events(std::span<const std::uint64_t> sequences, std::uint64_t after,
                              const EventVisitor& visit) = 0;
  // Costs what was left behind, never what was delivered.
  virtual Result<OutboxCursor> outbox_cursor() = 0;
  virtual Result<void> rows(const RowRange& range, const RowVisitor& visit) = 0;
};

// What was checked.
struct CheckedBytes {
  std::uint64_t bytes = 0;   // on disk
  std::uint64_t blocks = 0;  // that must be used once or free; 0: there are none to account for
  std::uint64_t blocks_free = 0;
};

struct CommitCounts {
  std::uint64_t commits = 0;
  std::uint64_t syncs = 0;  // fewer than commits when several share one
};

class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  // The store's time: never runs back, never jumps (see once/clock.h).
  [[nodiscard]] virtual Time now() const = 0;
  // When `time` will be, as the clock's since_boot(), for waiting.
  [[nodiscard]] virtual Duration since_boot_at(Time time) const = 0;

  // Shows `transition` the record of `key` and makes its change happen. With `data` and a change
  // that applies it: ErrorCode::conflict, and nothing written, if what was read has changed since.
  virtual Result<void> update(const Key& key, const Transition& transition, Durability durability,
                              const DataChanges* data = nullptr) = 0;
  // The same for many keys in one atomic commit. Later updates see what earlier ones decided.
  virtual Result<void> update_many(std::span<const Update> updates, Durability durability) = 0;
  // As update(), for a change of events that are there already: shows the transition those with
  // `sequences` as well. All such changes of a store go by one key, so that they come one after the
  // other.
  virtual Result<void> update_outbox(const Key& key, std::span<const std::uint64_t> sequences,
                                     const Transition& transition, Durability durability) = 0;
  // Appends events by themselves; sets their sequences.
  virtual Result<void> append(std::span<Event> events, Durability durability) = 0;

  // The record and the outcome that belongs to it. Past retention: nullopt.
  virtual Result<std::optional<Found>> find(const Key& key) = 0;
  // The same of many, in their order.
  using FoundMany = std::vector<Result<std::optional<Found>>>;
  virtual FoundMany find_many(std::span<const Key* const> keys) = 0;
  // The record as it is stored, past retention too.
  virtual Result<std::optional<Record>> record(const Key& key) = 0;
  // The checkpoint `name` of `key` as it is stored, of an earlier life of the key too. A transition
  // may ask for those of its own key.
  virtual Result<std::optional<Checkpoint>> checkpoint(const Key& key, ByteView name) = 0;
  virtual Result<std::unique_ptr<DataView>> view() = 0;
  virtual Result<std::unique_ptr<Reading>> read() = 0;
  // rows() of a reading made for it.
  Result<void> rows(const RowRange& range, const RowVisitor& visit) {
    auto reading = read();
    if (!reading) return std::unexpected(std::move(reading.error()));
    return (*reading)->rows(range, visit);
  }

  virtual Result<SweepReport> sweep(const Progress& progress) = 0;
  // Counts rows and bytes; leaves the counters of Store alone.
  virtual Result<Stats> stats() = 0;
  // What was committed since this engine was opened.
  [[nodiscard]] virtual CommitCounts commit_counts() const { return {}; }
  // Tallies that outlive the process. What `current` gives takes the place of what is kept for its
  // labels: along with a commit, now and then, and when the engine is closed; so it costs no commit
  // but at closing, and no sync. To be called before anything else. `current` may be called on any
  // thread that commits, and may call tallies().
  virtual void keep_tallies(std::function<std::vector<LabelTally>()> /*current*/) {}
  // As they were kept last, by whomever. Errors: damaged, newer_format.
  virtual Result<std::vector<LabelTally>> tallies() { return std::vector<LabelTally>(); }
  // As sweep(), for what does not expire too, and leaves no gaps on disk.
  virtual Result<CompactReport> compact(const Progress& progress) = 0;
  // Reads every byte on disk against its checksum, and tells each `problem`.
  virtual Result<CheckedBytes> verify_bytes(const Progress& progress,
                                            const std::function<void(std::string)>& problem) = 0;

  // Takes rows as they are, without meaning; for filling a fresh store. Not to be mixed with
  // updates. finish_import() makes them durable.
  virtual Result<void> import_rows(std::span<const Row> rows) = 0;
  virtual Result<void> finish_import() = 0;

  virtual Result<void> close() = 0;
};

}  // namespace once::engine
