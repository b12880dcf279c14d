// What SQLite is asked, and its statements as a class.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace once::bench {

inline constexpr const char* sqlite_settings = R"(
  PRAGMA journal_mode=WAL;
  PRAGMA synchronous=FULL;
  PRAGMA cache_size=-32768;
  PRAGMA mmap_size=8589934592;
)";
inline constexpr const char* sqlite_schema = R"(
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
inline constexpr const char* reserve_sql = R"(
  INSERT INTO keys VALUES (?1, 1, ?2, ?3, ?4, 1, ?5, NULL)
  ON CONFLICT (key) DO UPDATE SET status = 1, lease_until = ?2, expires_at = ?3, token = ?4,
    attempt = attempt + 1, owner = ?5, outcome = NULL
  WHERE CASE status WHEN 2 THEN expires_at ELSE lease_until END <= ?6)";
inline constexpr const char* complete_sql =
    "UPDATE keys SET status = 2, outcome = ?1, expires_at = ?2 WHERE key = ?3 AND token = ?4 AND "
    "status = 1";
inline constexpr const char* finish_sql = R"(
  INSERT INTO keys VALUES (?1, 2, ?2, ?3, ?4, 1, ?5, ?6)
  ON CONFLICT (key) DO UPDATE SET status = 2, expires_at = ?3, token = ?4, outcome = ?6
  WHERE CASE status WHEN 2 THEN expires_at ELSE lease_until END <= ?2)";
inline constexpr const char* count_sql =
    "INSERT INTO rows VALUES ('count', 1) ON CONFLICT DO UPDATE SET value = value + 1 "
    "RETURNING value";

[[noreturn]] inline void sqlite_fail(sqlite3* database, const char* what) {
  throw std::runtime_error(std::string("sqlite: ") + what + ": " + sqlite3_errmsg(database));
}

class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, const char* sql) : database_(database) {
    if (sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr)) {
      sqlite_fail(database, sql);
    }
  }
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;
  ~SqliteStatement() { sqlite3_finalize(statement_); }

  SqliteStatement& bind(int at, std::int64_t value) {
    sqlite3_bind_int64(statement_, at, value);
    return *this;
  }
  SqliteStatement& bind(int at, const std::string& value, bool blob = false) {
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
    if (result != SQLITE_DONE) sqlite_fail(database_, "step");
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

}  // namespace once::bench
