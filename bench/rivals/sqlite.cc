// SQLite: one table, one connection a thread, write-ahead log, synchronous=FULL. Writers take turns
// by a mutex, which wakes them sooner than SQLite's own busy handler, that sleeps.
#include <sqlite3.h>

#include <mutex>

#include "measure.h"
#include "rivals/rival.h"
#include "rivals/sqlite_access.h"

namespace once::bench {
namespace {

struct Shared {
  std::mutex writing;
  std::atomic<std::uint64_t> token = 0;
};

class Connection {
 public:
  explicit Connection(const std::filesystem::path& path) {
    if (sqlite3_open(path.c_str(), &database_)) sqlite_fail(database_, "open");
    sqlite3_busy_timeout(database_, 60'000);
    run(sqlite_settings);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { sqlite3_close(database_); }
  void run(const char* sql) {
    if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr)) sqlite_fail(database_, sql);
  }
  sqlite3* get() { return database_; }

 private:
  sqlite3* database_ = nullptr;
};

class SqliteSession final : public Session {
 public:
  SqliteSession(const std::filesystem::path& path, Shared& shared)
      : connection_(path), shared_(shared) {}

  void execute(const std::string& key, const std::string& outcome) override {
    const auto token = next_token();
    {
      const std::lock_guard lock(shared_.writing);
      check(reserve(key, token), "a fresh key was taken");
    }
    const std::lock_guard lock(shared_.writing);
    complete_.bind(1, outcome, true).bind(2, retention_end()).bind(3, key).bind(4, token);
    check(complete_.run() == 1, "fenced");
  }

  std::uint64_t transact(const std::string& key, const std::string& outcome) override {
    const std::lock_guard lock(shared_.writing);
    begin_.run();
    check(count_.step(), "no count");
    const auto count = static_cast<std::uint64_t>(count_.number(0));
    count_.run();
    check(finish(key, outcome, retention_end()), "a fresh key was taken");
    commit_.run();
    return count;
  }

  std::string replay(const std::string& key) override {
    find_.bind(1, key);
    check(find_.step() && find_.number(0) == 2 && find_.number(1) > now_ms(), "not finished");
    std::string outcome = find_.bytes(2);
    find_.reset();
    return outcome;
  }

  bool seen(const std::string& key) override {
    find_.bind(1, key);
    const bool there = find_.step();
    if (there) find_.reset();
    return there;
  }

  Reserved reserve_many(std::span<const std::string> keys) override {
    Reserved reserved;
    const std::lock_guard lock(shared_.writing);
    begin_.run();
    for (const auto& key : keys) {
      find_.bind(1, key);
      if (find_.step()) {
        const bool finished = find_.number(0) == 2 && find_.number(1) > now_ms();
        if (finished) reserved.outcomes.push_back(find_.bytes(2));
        find_.reset();
        if (finished) continue;
      }
      check(reserve(key, next_token()), "a fresh key was taken");
      ++reserved.granted;
    }
    commit_.run();
    return reserved;
  }

  void fill(std::span<const Filled> keys, std::int64_t expires_at_ms) override {
    const std::lock_guard lock(shared_.writing);
    begin_.run();
    for (const auto& filled : keys) {
      check(finish(filled.key, filled.outcome, expires_at_ms), "a fresh key was taken");
    }
    commit_.run();
  }

  // In steps, so that others get in between.
  void expire() override {
    SqliteStatement some(connection_.get(),
                         "DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE status = 2 AND "
                         "expires_at <= ?1 AND key > ?2 ORDER BY key LIMIT 1000) RETURNING key");
    for (std::string last;;) {
      const std::lock_guard lock(shared_.writing);
      some.bind(1, now_ms()).bind(2, last);
      std::string greatest;
      while (some.step()) greatest = std::max(greatest, some.bytes(0));
      if (greatest.empty()) return;
      last = std::move(greatest);
    }
  }

  void publish(const std::string& key, const std::string& outcome,
               const std::string& payload) override {
    const std::lock_guard lock(shared_.writing);
    begin_.run();
    publish_.bind(1, key).bind(2, payload, true).run();
    check(finish(key, outcome, retention_end()), "a fresh key was taken");
    commit_.run();
  }

  std::uint64_t deliver(const std::function<void(std::string_view)>& take) override {
    SqliteStatement pending(
        connection_.get(),
        "SELECT sequence, payload FROM events WHERE delivered = 0 ORDER BY sequence "
        "LIMIT ?1");
    SqliteStatement delivered(
        connection_.get(),
        "UPDATE events SET delivered = ?1 WHERE delivered = 0 AND sequence <= ?2");
    for (std::uint64_t all = 0;;) {
      pending.bind(1, static_cast<std::int64_t>(events_in_a_commit));
      std::int64_t last = 0;
      std::uint64_t some = 0;
      for (; pending.step(); ++some) {
        take(pending.bytes(1));
        last = pending.number(0);
      }
      if (some == 0) return all;
      const std::lock_guard lock(shared_.writing);
      delivered.bind(1, now_ms()).bind(2, last).run();
      all += some;
    }
  }

 private:
  std::int64_t next_token() { return static_cast<std::int64_t>(++shared_.token); }
  bool reserve(const std::string& key, std::int64_t token) {
    reserve_.bind(1, key).bind(2, lease_end()).bind(3, retention_end()).bind(4, token);
    return reserve_.bind(5, owner()).bind(6, now_ms()).run() == 1;
  }
  bool finish(const std::string& key, const std::string& outcome, std::int64_t expires_at) {
    finish_.bind(1, key).bind(2, now_ms()).bind(3, expires_at).bind(4, next_token());
    return finish_.bind(5, owner()).bind(6, outcome, true).run() == 1;
  }

  Connection connection_;
  Shared& shared_;
  SqliteStatement begin_{connection_.get(), "BEGIN IMMEDIATE"};
  SqliteStatement commit_{connection_.get(), "COMMIT"};
  SqliteStatement reserve_{connection_.get(), reserve_sql};
  SqliteStatement complete_{connection_.get(), complete_sql};
  SqliteStatement finish_{connection_.get(), finish_sql};
  SqliteStatement count_{connection_.get(), count_sql};
  SqliteStatement find_{connection_.get(),
                        "SELECT status, expires_at, outcome FROM keys WHERE key = ?1"};
  SqliteStatement publish_{connection_.get(),
                           "INSERT INTO events (delivered, aggregate, type, payload) "
                           "VALUES (0, ?1, 'order.placed', ?2)"};
};

class Sqlite final : public Rival {
 public:
  explicit Sqlite(const OpenRival& open) : path_(open.folder / "store.sqlite"), connection_(path_) {
    connection_.run(sqlite_schema);
    SqliteStatement opening(connection_.get(), "SELECT value FROM rows WHERE key = 'opening'");
    check(opening.step(), "no opening");
    shared_.token = static_cast<std::uint64_t>(opening.number(0)) << 40;
  }
  std::unique_ptr<Session> session() override {
    return std::make_unique<SqliteSession>(path_, shared_);
  }
  std::uint64_t finished() override {
    SqliteStatement count(connection_.get(), "SELECT count(*) FROM keys WHERE status = 2");
    check(count.step(), "no count");
    return static_cast<std::uint64_t>(count.number(0));
  }

 private:
  std::filesystem::path path_;
  Connection connection_;
  Shared shared_;
};

}  // namespace

std::unique_ptr<Rival> open_sqlite(const OpenRival& open) {
  return std::make_unique<Sqlite>(open);
}

}  // namespace once::bench
