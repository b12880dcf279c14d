// SQLite: one table, one connection a thread, write-ahead log, synchronous=FULL. Writers take turns
// by a mutex, which wakes them sooner than SQLite's own busy handler, that sleeps.
#include <sqlite3.h>

#include <mutex>

#include "measure.h"
#include "rivals/rival.h"

namespace once::bench {
namespace {

constexpr const char* settings = R"(
  PRAGMA journal_mode=WAL;
  PRAGMA synchronous=FULL;
  PRAGMA cache_size=-32768;
  PRAGMA mmap_size=8589934592;
)";
constexpr const char* schema = R"(
  CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, status INTEGER NOT NULL, lease_until INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, token INTEGER NOT NULL, attempt INTEGER NOT NULL,
    owner TEXT NOT NULL, outcome BLOB) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, delivered INTEGER NOT NULL, aggregate TEXT NOT NULL,
    type TEXT NOT NULL, payload BLOB NOT NULL);
  CREATE INDEX IF NOT EXISTS pending ON events (sequence) WHERE delivered = 0;
  INSERT INTO rows VALUES ('opening', 1) ON CONFLICT DO UPDATE SET value = value + 1;
)";
// Takes what is free: never seen, past its retention, or left by an owner whose lease lapsed.
constexpr const char* reserve_sql = R"(
  INSERT INTO keys VALUES (?1, 1, ?2, ?3, ?4, 1, ?5, NULL)
  ON CONFLICT (key) DO UPDATE SET status = 1, lease_until = ?2, expires_at = ?3, token = ?4,
    attempt = attempt + 1, owner = ?5, outcome = NULL
  WHERE CASE status WHEN 2 THEN expires_at ELSE lease_until END <= ?6)";
constexpr const char* complete_sql =
    "UPDATE keys SET status = 2, outcome = ?1, expires_at = ?2 WHERE key = ?3 AND token = ?4 AND "
    "status = 1";
constexpr const char* finish_sql = R"(
  INSERT INTO keys VALUES (?1, 2, ?2, ?3, ?4, 1, ?5, ?6)
  ON CONFLICT (key) DO UPDATE SET status = 2, expires_at = ?3, token = ?4, outcome = ?6
  WHERE CASE status WHEN 2 THEN expires_at ELSE lease_until END <= ?2)";
constexpr const char* count_sql =
    "INSERT INTO rows VALUES ('count', 1) ON CONFLICT DO UPDATE SET value = value + 1 "
    "RETURNING value";

[[noreturn]] void fail(sqlite3* database, const char* what) {
  throw std::runtime_error(std::string("sqlite: ") + what + ": " + sqlite3_errmsg(database));
}

class Statement {
 public:
  Statement(sqlite3* database, const char* sql) : database_(database) {
    if (sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr)) {
      fail(database, sql);
    }
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& bind(int at, std::int64_t value) {
    sqlite3_bind_int64(statement_, at, value);
    return *this;
  }
  Statement& bind(int at, const std::string& value, bool blob = false) {
    const int size = static_cast<int>(value.size());
    if (blob) {
      sqlite3_bind_blob(statement_, at, value.data(), size, SQLITE_STATIC);
    } else {
      sqlite3_bind_text(statement_, at, value.data(), size, SQLITE_STATIC);
    }
    return *this;
  }
  // False: no row any more, and the statement is as new.
  bool step() {
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    sqlite3_reset(statement_);
    if (result != SQLITE_DONE) fail(database_, "step");
    return false;
  }
  void reset() { sqlite3_reset(statement_); }
  // Runs it to its end, and says how many rows it changed.
  int run() {
    while (step()) {
    }
    return sqlite3_changes(database_);
  }
  std::int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string bytes(int column) {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return data == nullptr ? std::string() : std::string(data, size);
  }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
};

struct Shared {
  std::mutex writing;
  std::atomic<std::uint64_t> token = 0;
};

class Connection {
 public:
  explicit Connection(const std::filesystem::path& path) {
    if (sqlite3_open(path.c_str(), &database_)) fail(database_, "open");
    sqlite3_busy_timeout(database_, 60'000);
    run(settings);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { sqlite3_close(database_); }
  void run(const char* sql) {
    if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr)) fail(database_, sql);
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
    Statement some(connection_.get(),
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
    Statement pending(connection_.get(),
                      "SELECT sequence, payload FROM events WHERE delivered = 0 ORDER BY sequence "
                      "LIMIT ?1");
    Statement delivered(connection_.get(),
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
  Statement begin_{connection_.get(), "BEGIN IMMEDIATE"};
  Statement commit_{connection_.get(), "COMMIT"};
  Statement reserve_{connection_.get(), reserve_sql};
  Statement complete_{connection_.get(), complete_sql};
  Statement finish_{connection_.get(), finish_sql};
  Statement count_{connection_.get(), count_sql};
  Statement find_{connection_.get(), "SELECT status, expires_at, outcome FROM keys WHERE key = ?1"};
  Statement publish_{connection_.get(),
                     "INSERT INTO events (delivered, aggregate, type, payload) "
                     "VALUES (0, ?1, 'order.placed', ?2)"};
};

class Sqlite final : public Rival {
 public:
  explicit Sqlite(const OpenRival& open) : path_(open.folder / "store.sqlite"), connection_(path_) {
    connection_.run(schema);
    Statement opening(connection_.get(), "SELECT value FROM rows WHERE key = 'opening'");
    check(opening.step(), "no opening");
    shared_.token = static_cast<std::uint64_t>(opening.number(0)) << 40;
  }
  std::unique_ptr<Session> session() override {
    return std::make_unique<SqliteSession>(path_, shared_);
  }
  std::uint64_t finished() override {
    Statement count(connection_.get(), "SELECT count(*) FROM keys WHERE status = 2");
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
