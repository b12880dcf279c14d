// RocksDB on ordinary files: compare-and-set under a striped lock over a plain Write, which is
// faster than its transactions. One row a key, holding record and outcome. "Best" are the settings
// that Once uses, taken from where Once takes them.
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>

#include <array>
#include <mutex>
#include <numeric>

#include "engine/embedded/rocksdb_options.h"
#include "measure.h"
#include "rivals/record.h"
#include "rivals/rival.h"

namespace once::bench {
namespace {

constexpr char key_rows = 'k';
constexpr char other_rows = 'r';
constexpr char event_rows = 'e';

void require(const rocksdb::Status& status) {
  if (!status.ok()) throw std::runtime_error("rocksdb: " + status.ToString());
}
std::string row(char kind, std::string_view key) {
  return std::string(1, kind).append(key);
}
std::string event_row(std::uint64_t sequence) {
  std::string name(1, event_rows);
  for (int shift = 56; shift >= 0; shift -= 8) name += static_cast<char>(sequence >> shift);
  return name;
}

class Expired final : public rocksdb::CompactionFilter {
 public:
  const char* Name() const override { return "expired"; }
  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice& value, std::string*,
              bool*) const override {
    if (key.empty() || key[0] != key_rows) return false;
    const Record record = decode({value.data(), value.size()});
    return record.status == Kept::finished && record.expires_at <= now_ms();
  }
};

struct Shared {
  rocksdb::DB* db = nullptr;
  std::array<std::mutex, 1024> stripes;
  std::mutex counter;
  std::atomic<std::uint64_t> token = 0;
  std::atomic<std::uint64_t> event = 0;

  std::size_t stripe(std::string_view key) const {
    return std::hash<std::string_view>()(key) % stripes.size();
  }
  std::unique_lock<std::mutex> lock(std::string_view key) {
    return std::unique_lock(stripes[stripe(key)]);
  }
};

class RocksSession final : public Session {
 public:
  explicit RocksSession(Shared& shared) : shared_(shared) { synced_.sync = true; }

  void execute(const std::string& key, const std::string& outcome) override {
    const std::string name = row(key_rows, key);
    Record record{.lease_until = lease_end(),
                  .expires_at = retention_end(),
                  .token = ++shared_.token,
                  .owner = owner()};
    {
      const auto lock = shared_.lock(key);
      check(!taken(name, record.attempt), "a fresh key was taken");
      require(shared_.db->Put(synced_, name, encode(record)));
    }
    const auto lock = shared_.lock(key);
    check(get(name), "the reservation is gone");
    Record kept = decode(value());
    check(kept.token == record.token && kept.status == Kept::in_progress, "fenced");
    kept.status = Kept::finished;
    kept.expires_at = retention_end();
    kept.outcome = outcome;
    require(shared_.db->Put(synced_, name, encode(kept)));
  }

  std::uint64_t transact(const std::string& key, const std::string& outcome) override {
    const std::lock_guard counter(shared_.counter);
    const auto lock = shared_.lock(key);
    const std::string count_row = row(other_rows, counter_row);
    const std::uint64_t count = get(count_row) ? std::stoull(std::string(value())) + 1 : 1;
    rocksdb::WriteBatch batch;
    require(batch.Put(count_row, std::to_string(count)));
    finish(batch, key, outcome, retention_end());
    require(shared_.db->Write(synced_, &batch));
    return count;
  }

  std::string replay(const std::string& key) override {
    check(get(row(key_rows, key)), "a finished key is gone");
    const Record record = decode(value());
    check(record.status == Kept::finished && record.expires_at > now_ms(), "not finished");
    return std::string(record.outcome);
  }

  bool seen(const std::string& key) override { return get(row(key_rows, key)); }

  Reserved reserve_many(std::span<const std::string> keys) override {
    Reserved reserved;
    const auto locks = lock_all(keys);
    rocksdb::WriteBatch batch;
    for (const auto& key : keys) {
      const std::string name = row(key_rows, key);
      Record record{.lease_until = lease_end(),
                    .expires_at = retention_end(),
                    .token = ++shared_.token,
                    .owner = owner()};
      if (taken(name, record.attempt)) {
        const Record kept = decode(value());
        check(kept.status == Kept::finished, "a fresh key was taken");
        reserved.outcomes.emplace_back(kept.outcome);
        continue;
      }
      require(batch.Put(name, encode(record)));
      ++reserved.granted;
    }
    if (reserved.granted > 0) require(shared_.db->Write(synced_, &batch));
    return reserved;
  }

  void fill(std::span<const Filled> keys, std::int64_t expires_at_ms) override {
    rocksdb::WriteBatch batch;
    for (const auto& filled : keys) finish(batch, filled.key, filled.outcome, expires_at_ms);
    require(shared_.db->Write(synced_, &batch));
  }

  void expire() override {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    options.exclusive_manual_compaction = false;
    require(shared_.db->CompactRange(options, nullptr, nullptr));
  }

  void publish(const std::string& key, const std::string& outcome,
               const std::string& payload) override {
    const auto lock = shared_.lock(key);
    rocksdb::WriteBatch batch;
    finish(batch, key, outcome, retention_end());
    require(batch.Put(event_row(++shared_.event), payload));
    require(shared_.db->Write(synced_, &batch));
  }

  // Begins behind what was delivered before, so that it does not read over what was removed.
  std::uint64_t deliver(const std::function<void(std::string_view)>& take) override {
    std::string next = event_row(0);
    for (std::uint64_t all = 0;;) {
      const std::unique_ptr<rocksdb::Iterator> at(shared_.db->NewIterator({}));
      rocksdb::WriteBatch batch;
      std::uint64_t some = 0;
      for (at->Seek(next); some < events_in_a_commit && at->Valid(); at->Next(), ++some) {
        if (at->key()[0] != event_rows) break;
        take({at->value().data(), at->value().size()});
        require(batch.Delete(at->key()));
        next = at->key().ToString();
      }
      require(at->status());
      if (some == 0) return all;
      require(shared_.db->Write(synced_, &batch));
      all += some;
    }
  }

 private:
  bool get(const std::string& name) {
    value_.Reset();
    const auto status = shared_.db->Get({}, shared_.db->DefaultColumnFamily(), name, &value_);
    if (status.IsNotFound()) return false;
    require(status);
    return true;
  }
  std::string_view value() const { return {value_.data(), value_.size()}; }

  // Whether somebody has the key. If not, `attempt` is the number of the next one.
  bool taken(const std::string& name, std::uint32_t& attempt) {
    if (!get(name)) return false;
    const Record kept = decode(value());
    attempt = kept.attempt + 1;
    return !kept.free(now_ms());
  }

  void finish(rocksdb::WriteBatch& batch, const std::string& key, const std::string& outcome,
              std::int64_t expires_at) {
    const std::string name = row(key_rows, key);
    Record record{.status = Kept::finished,
                  .lease_until = now_ms(),
                  .expires_at = expires_at,
                  .token = ++shared_.token,
                  .owner = owner(),
                  .outcome = outcome};
    check(!taken(name, record.attempt), "a fresh key was taken");
    require(batch.Put(name, encode(record)));
  }

  // In one order, so that two batches do not wait for each other.
  std::vector<std::unique_lock<std::mutex>> lock_all(std::span<const std::string> keys) {
    std::vector<std::size_t> stripes;
    for (const auto& key : keys) stripes.push_back(shared_.stripe(key));
    std::ranges::sort(stripes);
    const auto twice = std::ranges::unique(stripes);
    stripes.erase(twice.begin(), twice.end());
    std::vector<std::unique_lock<std::mutex>> locks;
    for (const auto stripe : stripes) locks.emplace_back(shared_.stripes[stripe]);
    return locks;
  }

  Shared& shared_;
  rocksdb::WriteOptions synced_;
  rocksdb::PinnableSlice value_;
};

class RocksDb final : public Rival {
 public:
  RocksDb(const OpenRival& open, bool best) {
    rocksdb::Options options;
    if (best) {
      const Options once;
      const auto families = engine::family_descriptors(once, {});
      const auto keys = std::ranges::find(families, engine::family_name(Table::keys),
                                          &rocksdb::ColumnFamilyDescriptor::name);
      auto database = engine::database_options(once, rocksdb::Env::Default(), 0);
      database.max_file_opening_threads = 2;  // as Once where there are many tables
      options = rocksdb::Options(database, keys->options);
      options.compaction_filter_factory = nullptr;
    }
    options.create_if_missing = true;
    options.compaction_filter = &expired_;
    rocksdb::DB* db = nullptr;
    require(rocksdb::DB::Open(options, open.folder.string(), &db));
    db_.reset(db);
    shared_.db = db;
    std::string opening = "0";
    const auto status = db->Get({}, row(other_rows, "opening"), &opening);
    if (!status.IsNotFound()) require(status);
    const auto number = std::stoull(opening) + 1;
    rocksdb::WriteOptions synced;
    synced.sync = true;
    require(db->Put(synced, row(other_rows, "opening"), std::to_string(number)));
    shared_.token = number << 40;
    shared_.event = number << 40;
  }
  std::unique_ptr<Session> session() override { return std::make_unique<RocksSession>(shared_); }
  std::uint64_t finished() override {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    std::uint64_t count = 0;
    for (at->Seek(std::string(1, key_rows)); at->Valid() && at->key()[0] == key_rows; at->Next()) {
      if (decode({at->value().data(), at->value().size()}).status == Kept::finished) ++count;
    }
    require(at->status());
    return count;
  }

 private:
  Expired expired_;
  std::unique_ptr<rocksdb::DB> db_;
  Shared shared_;
};

}  // namespace

std::unique_ptr<Rival> open_rocksdb(const OpenRival& open, bool best) {
  return std::make_unique<RocksDb>(open, best);
}

}  // namespace once::bench
