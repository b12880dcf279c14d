// LMDB: a map for keys, one for rows, one for events. It has one writer at a time, which its own
// lock sees to. A commit is an fdatasync of the data and a synced write of the page that makes them
// count.
#include <lmdb.h>

#include <optional>
#include <utility>

#include "measure.h"
#include "rivals/lmdb_access.h"
#include "rivals/record.h"
#include "rivals/rival.h"

namespace once::bench {
namespace {

class LmdbSession final : public Session {
 public:
  explicit LmdbSession(LmdbShared& shared) : shared_(shared) {
    lmdb_require(mdb_txn_begin(shared_.env, nullptr, MDB_RDONLY, &reading_), "begin to read");
    mdb_txn_reset(reading_);
  }
  ~LmdbSession() override { mdb_txn_abort(reading_); }

  void execute(const std::string& key, const std::string& outcome) override {
    const std::uint64_t token = ++shared_.token;
    {
      LmdbWriting writing(shared_);
      check(reserve(writing, key, token), "a fresh key was taken");
      writing.commit();
    }
    LmdbWriting writing(shared_);
    const auto kept = writing.get(shared_.keys, key);
    check(kept.has_value(), "the reservation is gone");
    Record record = decode(*kept);
    check(record.token == token && record.status == Kept::in_progress, "fenced");
    record.status = Kept::finished;
    record.expires_at = retention_end();
    record.outcome = outcome;
    writing.put(shared_.keys, key, encode(record));
    writing.commit();
  }

  std::uint64_t transact(const std::string& key, const std::string& outcome) override {
    LmdbWriting writing(shared_);
    const auto count =
        std::stoull(std::string(writing.get(shared_.rows, counter_row).value_or("0"))) + 1;
    writing.put(shared_.rows, counter_row, std::to_string(count));
    finish(writing, key, outcome, retention_end());
    writing.commit();
    return count;
  }

  std::string replay(const std::string& key) override {
    std::string outcome;
    const bool there = read(key, [&](const Record& record) {
      check(record.status == Kept::finished && record.expires_at > now_ms(), "not finished");
      outcome = record.outcome;
    });
    check(there, "a finished key is gone");
    return outcome;
  }

  bool seen(const std::string& key) override {
    return read(key, [](const Record&) {});
  }

  Reserved reserve_many(std::span<const std::string> keys) override {
    Reserved reserved;
    LmdbWriting writing(shared_);
    for (const auto& key : keys) {
      if (const auto kept = writing.get(shared_.keys, key)) {
        const Record record = decode(*kept);
        if (record.status == Kept::finished && record.expires_at > now_ms()) {
          reserved.outcomes.emplace_back(record.outcome);
          continue;
        }
      }
      check(reserve(writing, key, ++shared_.token), "a fresh key was taken");
      ++reserved.granted;
    }
    if (reserved.granted > 0) writing.commit();
    return reserved;
  }

  void fill(std::span<const Filled> keys, std::int64_t expires_at_ms) override {
    LmdbWriting writing(shared_);
    for (const auto& filled : keys) finish(writing, filled.key, filled.outcome, expires_at_ms);
    writing.commit();
  }

  // In steps, so that others get in between.
  void expire() override {
    std::string next;
    for (bool more = true; more;) {
      LmdbWriting writing(shared_);
      MDB_cursor* cursor = nullptr;
      lmdb_require(mdb_cursor_open(writing.get(), shared_.keys, &cursor), "cursor");
      MDB_val key = value_of(next);
      MDB_val value{};
      int result = mdb_cursor_get(cursor, &key, &value, next.empty() ? MDB_FIRST : MDB_SET_RANGE);
      const auto now = now_ms();
      for (int looked = 0; result == MDB_SUCCESS && looked < 4000; ++looked) {
        const Record record = decode(view(value));
        if (record.status == Kept::finished && record.expires_at <= now) {
          lmdb_require(mdb_cursor_del(cursor, 0), "del");
        }
        result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
      }
      more = result == MDB_SUCCESS;
      if (more) next = view(key);
      mdb_cursor_close(cursor);
      writing.commit();
    }
  }

  void publish(const std::string& key, const std::string& outcome,
               const std::string& payload) override {
    LmdbWriting writing(shared_);
    MDB_cursor* cursor = nullptr;
    lmdb_require(mdb_cursor_open(writing.get(), shared_.events, &cursor), "cursor");
    MDB_val last{};
    MDB_val value{};
    std::uint64_t sequence = 1;
    if (mdb_cursor_get(cursor, &last, &value, MDB_LAST) == MDB_SUCCESS) {
      sequence = number(last) + 1;
    }
    mdb_cursor_close(cursor);
    writing.put(shared_.events, bytes(sequence), payload, MDB_APPEND);
    finish(writing, key, outcome, retention_end());
    writing.commit();
  }

  // What was delivered is removed, which costs it least.
  std::uint64_t deliver(const std::function<void(std::string_view)>& take) override {
    for (std::uint64_t all = 0;;) {
      LmdbWriting writing(shared_);
      MDB_cursor* cursor = nullptr;
      lmdb_require(mdb_cursor_open(writing.get(), shared_.events, &cursor), "cursor");
      MDB_val key{};
      MDB_val value{};
      std::uint64_t some = 0;
      while (some < events_in_a_commit &&
             mdb_cursor_get(cursor, &key, &value, MDB_FIRST) == MDB_SUCCESS) {
        take(view(value));
        lmdb_require(mdb_cursor_del(cursor, 0), "del");
        ++some;
      }
      mdb_cursor_close(cursor);
      if (some == 0) return all;
      writing.commit();
      all += some;
    }
  }

 private:
  static std::string_view bytes(const std::uint64_t& number) {
    return {reinterpret_cast<const char*>(&number), sizeof(number)};  // MDB_INTEGERKEY
  }
  static std::uint64_t number(const MDB_val& key) {
    std::uint64_t number = 0;
    std::memcpy(&number, key.mv_data, sizeof(number));
    return number;
  }

  bool reserve(LmdbWriting& writing, const std::string& key, std::uint64_t token) {
    Record record{.lease_until = lease_end(),
                  .expires_at = retention_end(),
                  .token = token,
                  .owner = owner()};
    if (const auto kept = writing.get(shared_.keys, key)) {
      const Record before = decode(*kept);
      if (!before.free(now_ms())) return false;
      record.attempt = before.attempt + 1;
    }
    writing.put(shared_.keys, key, encode(record));
    return true;
  }

  void finish(LmdbWriting& writing, const std::string& key, const std::string& outcome,
              std::int64_t expires_at) {
    const auto kept = writing.get(shared_.keys, key);
    check(!kept || decode(*kept).free(now_ms()), "a fresh key was taken");
    writing.put(shared_.keys, key,
                encode({.status = Kept::finished,
                        .lease_until = now_ms(),
                        .expires_at = expires_at,
                        .token = ++shared_.token,
                        .owner = owner(),
                        .outcome = outcome}));
  }

  template <class Use>
  bool read(const std::string& key, Use use) {
    lmdb_require(mdb_txn_renew(reading_), "renew");
    MDB_val name = value_of(key);
    MDB_val value{};
    const int result = mdb_get(reading_, shared_.keys, &name, &value);
    if (result == MDB_SUCCESS) use(decode(view(value)));
    mdb_txn_reset(reading_);
    if (result != MDB_NOTFOUND) lmdb_require(result, "get");
    return result == MDB_SUCCESS;
  }

  LmdbShared& shared_;
  MDB_txn* reading_ = nullptr;
};

class Lmdb final : public Rival {
 public:
  explicit Lmdb(const OpenRival& open) {
    lmdb_require(mdb_env_create(&shared_.env), "create");
    lmdb_require(mdb_env_set_mapsize(shared_.env, map_bytes), "map size");
    lmdb_require(mdb_env_set_maxdbs(shared_.env, 3), "maps");
    lmdb_require(mdb_env_set_maxreaders(shared_.env, 1024), "readers");
    // Sessions are not bound to the thread that made them.
    lmdb_require(mdb_env_open(shared_.env, open.folder.c_str(), MDB_NOTLS, 0600), "open");
    LmdbWriting writing(shared_);
    lmdb_require(mdb_dbi_open(writing.get(), "keys", MDB_CREATE, &shared_.keys), "keys");
    lmdb_require(mdb_dbi_open(writing.get(), "rows", MDB_CREATE, &shared_.rows), "rows");
    lmdb_require(
        mdb_dbi_open(writing.get(), "events", MDB_CREATE | MDB_INTEGERKEY, &shared_.events),
        "events");
    const auto opening =
        std::stoull(std::string(writing.get(shared_.rows, "opening").value_or("0"))) + 1;
    writing.put(shared_.rows, "opening", std::to_string(opening));
    writing.commit();
    shared_.token = opening << 40;
  }
  ~Lmdb() override { mdb_env_close(shared_.env); }

  std::unique_ptr<Session> session() override { return std::make_unique<LmdbSession>(shared_); }

  std::uint64_t finished() override {
    LmdbWriting looking(shared_);
    MDB_cursor* cursor = nullptr;
    lmdb_require(mdb_cursor_open(looking.get(), shared_.keys, &cursor), "cursor");
    MDB_val key{};
    MDB_val value{};
    std::uint64_t count = 0;
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == MDB_SUCCESS) {
      if (decode(view(value)).status == Kept::finished) ++count;
    }
    mdb_cursor_close(cursor);
    return count;
  }

 private:
  LmdbShared shared_;
};

}  // namespace

std::unique_ptr<Rival> open_lmdb(const OpenRival& open) {
  return std::make_unique<Lmdb>(open);
}

}  // namespace once::bench
