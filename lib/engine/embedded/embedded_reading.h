// All of an embedded store as of one moment: a snapshot of RocksDB and a time.
#pragma once

#include <rocksdb/db.h>

#include <memory>
#include <string>

#include "engine/embedded/commit_queue.h"
#include "engine/embedded/store_clock.h"
#include "engine/engine.h"

namespace once::engine {

// Takes a row apart. Errors: damaged, newer_format.
[[nodiscard]] Result<Row> decode_row(Table table, ByteView key, ByteView value);

// For messages: "reading table keys of payments.once".
[[nodiscard]] std::string place_of(Table table, const std::string& store);

class EmbeddedReading final : public Reading {
 public:
  // `name` is the store's, for messages; `store` is the store's own row.
  EmbeddedReading(rocksdb::DB& db, const ColumnFamilies& families, std::string name,
                  std::shared_ptr<StoreClock> clock, const StoreRow& store)
      : db_(db),
        families_(families),
        name_(std::move(name)),
        clock_(std::move(clock)),
        now_(clock_->now()),
        store_(store),
        hold_(*clock_, now_),
        snapshot_(&db) {}

  Time now() const override { return now_; }
  Result<std::optional<Found>> find(const Key& key) override;
  Result<std::optional<HistoryEntry>> history_at(std::uint64_t sequence) override;
  Result<std::optional<Event>> event_at(std::uint64_t sequence) override;
  Result<void> events(std::span<const std::uint64_t> sequences, std::uint64_t after,
                      const EventVisitor& visit) override;
  Result<OutboxCursor> outbox_cursor() override;
  Result<void> rows(const RowRange& range, const RowVisitor& visit) override;

 private:
  [[nodiscard]] rocksdb::ColumnFamilyHandle* family(Table table) const {
    return families_[static_cast<std::size_t>(table)];
  }
  Result<std::optional<Bytes>> get(Table table, ByteView key);
  // The read options of who visits a range of rows, `few` or all of a table.
  [[nodiscard]] rocksdb::ReadOptions range_options(bool few);
  Result<void> visit_table(Table table, const RowRange& range, const RowVisitor& visit,
                           bool& go_on);

  rocksdb::DB& db_;
  const ColumnFamilies families_;
  const std::string name_;
  const std::shared_ptr<StoreClock> clock_;
  const Time now_;
  const StoreRow store_;
  // A compaction filter ignores snapshots: what expires from now on must stay where it is.
  struct Hold {
    Hold(StoreClock& held, Time at) : clock(held), time(at) { clock.hold(time); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { clock.let_go(time); }
    StoreClock& clock;
    const Time time;
  };
  const Hold hold_;
  rocksdb::ManagedSnapshot snapshot_;
};

}  // namespace once::engine
