// The embedded engine: rows in RocksDB column families, wherever their files are (place.h).
//
//   auto engine = engine::EmbeddedEngine::open("payments.once", {.options = options}).value();
//
// A write takes this way: stripe lock of the key -> record read -> transition -> rows
// (row_writes.h) -> commit queue (numbering, validation, grouping) -> one WriteBatch -> log, sync.
//
// Lock order, outermost first: stripes (ascending), resuming, commit queue, numbering. The clock's
// mark and the counters are atomics.
#pragma once

#include <rocksdb/db.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "engine/embedded/commit_queue.h"
#include "engine/embedded/full_disk.h"
#include "engine/embedded/merge_in_pieces.h"
#include "engine/embedded/numbering.h"
#include "engine/embedded/place.h"
#include "engine/embedded/rocksdb_options.h"
#include "engine/embedded/store_clock.h"
#include "engine/embedded/stripes.h"
#include "engine/engine.h"

namespace once::engine {

class EmbeddedEngine final : public Engine {
 public:
  // Errors: see Store::open().
  static Result<std::unique_ptr<EmbeddedEngine>> open(std::unique_ptr<Place> place,
                                                      const Options& options);
  static Result<std::unique_ptr<EmbeddedEngine>> open(const std::string& path,
                                                      const PlaceConfig& config);
  // A store of its own in memory.
  static Result<std::unique_ptr<EmbeddedEngine>> open_memory(const Options& options);
  ~EmbeddedEngine() override;

  Time now() const override { return clock_->now(); }
  Duration since_boot_at(Time time) const override { return clock_->since_boot_at(time); }

  Result<void> update(const Key& key, const Transition& transition, Durability durability,
                      const DataChanges* data) override;
  Result<void> update_many(std::span<const Update> updates, Durability durability) override;
  Result<void> update_outbox(const Key& key, std::span<const std::uint64_t> sequences,
                             const Transition& transition, Durability durability) override;
  Result<void> append(std::span<Event> events, Durability durability) override;
  Result<std::optional<Found>> find(const Key& key) override;
  FoundMany find_many(std::span<const Key* const> keys) override;
  Result<std::optional<Record>> record(const Key& key) override;
  Result<std::optional<Checkpoint>> checkpoint(const Key& key, ByteView name) override;
  Result<std::unique_ptr<DataView>> view() override;
  Result<std::unique_ptr<Reading>> read() override;
  Result<SweepReport> sweep(const Progress& progress) override;
  Result<Stats> stats() override;
  [[nodiscard]] CommitCounts commit_counts() const override {
    return queue_ ? queue_->counts() : CommitCounts{};
  }
  void keep_tallies(std::function<std::vector<LabelTally>()> current) override;
  Result<std::vector<LabelTally>> tallies() override;
  Result<CompactReport> compact(const Progress& progress) override;
  Result<CheckedBytes> verify_bytes(const Progress& progress,
                                    const std::function<void(std::string)>& problem) override;
  Result<void> import_rows(std::span<const Row> rows) override;
  Result<void> finish_import() override;
  Result<void> close() override;
  // Closes all but the lock: nobody else opens the store before close() or destruction.
  Result<void> close_database();
  // After close_database(): gives the store its place. See Place::move_to().
  Result<void> move_to(const std::string& path);

 private:
  EmbeddedEngine(std::unique_ptr<Place> place, const Options& options, bool importing);

  // Opening, in embedded_open.cc.
  static Result<std::unique_ptr<EmbeddedEngine>> start(std::unique_ptr<EmbeddedEngine> engine);
  Result<void> open_for_writing();
  Result<void> open_for_reading();
  Result<void> try_open_for_reading();
  // RocksDB aborts when a database goes before its handles.
  void drop_families();
  Result<void> open_database(bool read_only);
  Result<void> read_meta();
  Result<void> start_writing();
  // Closing: writes what stands in logs only into tables, if it is much and there is room, so that
  // the next opening is quick. What fails is in the logs still.
  void shorten_logs();
  [[nodiscard]] Error refused(const rocksdb::Status& status) const;

  [[nodiscard]] rocksdb::ColumnFamilyHandle* family(Table table) const {
    return families_[static_cast<std::size_t>(table)];
  }
  Result<std::optional<Bytes>> get(Table table, ByteView key) const;
  // False: it is not there.
  Result<bool> get(Table table, ByteView key, rocksdb::PinnableSlice& value) const;
  Result<std::optional<std::uint64_t>> get_meta_number(std::string_view name) const;
  Result<void> put_meta(std::string_view name, ByteView value, bool sync);
  // Several at once cost less than each by itself. What is returned points into `values`.
  std::vector<Result<std::optional<ByteView>>> get_many(
      Table table, std::span<const Bytes> keys, std::vector<rocksdb::PinnableSlice>& values) const;
  Result<std::optional<Record>> read_record(ByteView row_key) const;
  Result<std::vector<std::optional<Record>>> read_records(std::span<const Bytes> row_keys) const;
  // The record, unless it is past retention `now`; what was seen to be stays so.
  std::optional<Record> unless_expired(std::optional<Record> record, Time now);
  // What a commit has made of the record, for this thread's next step. The stripe is held, and the
  // change under way.
  void remember_record(ByteView row_key, const std::vector<RowWrite>& rows) const;
  Result<std::vector<Bytes>> checkpoint_keys(ByteView row_key) const;
  [[nodiscard]] Result<void> check_writable() const;
  // Adds the clock's mark to the rows; returns its time.
  Time add_mark(std::vector<RowWrite>& rows);
  // Adds the tallies to the rows, if the last time is a while ago. Another time is soon enough for
  // those of a commit that does not come about.
  void add_tallies(std::vector<RowWrite>& rows);
  // At closing. Whatever becomes of it, nothing hangs on it.
  void save_tallies();
  Result<Token> next_token();
  // Makes sure that what expired at `until` stays expired whatever the clock does.
  Result<void> mark_past(Time until);
  struct CommitOptions {
    const DataChanges* data = nullptr;
    bool with_mark = false;     // else only if the clock's last mark is a while ago
    bool from_reserve = false;  // see Change
  };
  Result<void> commit(std::vector<RowWrite>& rows, Durability durability,
                      const CommitOptions& options);
  // Once there is room.
  Result<void> commit_admitted(std::vector<RowWrite>& rows, Durability durability,
                               const CommitOptions& options);
  // One update, with the events `sequences` at hand.
  Result<void> update_one(const Key& key, const Transition& transition, Durability durability,
                          const DataChanges* data, std::span<const std::uint64_t> sequences);
  Result<std::vector<std::optional<Event>>> read_events(
      std::span<const std::uint64_t> sequences) const;
  // Of what stands in the logs, in no table yet, at most.
  [[nodiscard]] std::uint64_t unflushed_bytes() const;
  // Whether a commit of so many bytes finds room; see Place::admit(). What may take of the reserve
  // makes room before it is refused: it writes tables, so that logs go, and merges them, so that
  // what was removed goes.
  Result<void> admit(std::size_t bytes, bool from_reserve);
  // Lets RocksDB go on that stopped on a full disk. Errors: no_space.
  Result<void> resume();

  // Counting, in embedded_rows.cc.
  using CountRow = std::function<void(const Row&, bool expired, std::size_t bytes)>;
  Result<void> count_rows(Table table, Time now, const CountRow& count);

  // Sweeping, in embedded_sweep.cc.
  Result<void> remove_expired(std::span<const Table> tables, const Progress& progress,
                              SweepReport& report);
  // Makes as much room as there is to be made by writing and merging tables.
  void make_room();
  // Leaves no row in the logs only.
  rocksdb::Status flush();
  // Merges what there is of these tables. What finds no room gets a second chance when the others
  // are done. Errors: no_space, and what reading and writing fails with.
  Result<void> rewrite_all(std::span<const Table> tables, const Progress& progress,
                           SweepReport& report);
  // All tables at once, or piece by piece if there is no room for that.
  rocksdb::Status rewrite(Table table, SweepReport& report);
  [[nodiscard]] std::uint64_t table_bytes(Table table) const;
  void forget_old_files();
  Result<std::uint64_t> remove_orphan_checkpoints();

  const std::uint64_t number_;  // of this one, in this process
  const std::unique_ptr<Place> place_;
  const Options options_;
  const bool importing_;  // no store before finish_import()
  const std::shared_ptr<const Clock> machine_clock_;
  const std::shared_ptr<FullDisk> full_disk_ = std::make_shared<FullDisk>(place_->knows_room());
  std::unique_ptr<rocksdb::Env> env_;  // the place's, watched, and without options files
  const ExpiryFilters filters_ = make_expiry_filters();
  const std::shared_ptr<TableCuts> cuts_ = std::make_shared<TableCuts>();
  Mutex rewriting_;  // held while tables are rewritten, of which cuts_ may be part
  std::unique_ptr<rocksdb::DB> db_;
  ColumnFamilies families_{};
  std::shared_ptr<StoreClock> clock_;
  std::optional<Numbering> numbering_;
  Mutex resuming_;
  std::unique_ptr<CommitQueue> queue_;
  Stripes stripes_;
  std::uint64_t opening_ = 0;                   // as read; the numbering's when writing
  std::atomic<std::uint64_t> history_gap_ = 0;  // the last opening without history; 0: none
  std::atomic<std::uint64_t> outbox_from_ = 0;  // as in the store; see model/meta.h
  std::function<std::vector<LabelTally>()> current_tallies_{};
  std::atomic<Duration::rep> tallies_due_ = 0;  // when to keep them again, since boot
  std::uint64_t import_outbox_ = 0;             // greatest sequence of an imported event
  std::uint64_t import_opening_ = 0;            // greatest opening number among imported rows
  Time import_time_{};                          // latest time among imported rows
};

}  // namespace once::engine
