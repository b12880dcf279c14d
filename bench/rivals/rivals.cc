#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "rivals/rival.h"

namespace once::bench {
namespace {

constexpr std::size_t default_cache = std::size_t{4} << 20;
constexpr std::size_t bytes_of_a_cached_key = 1024;  // more than it takes

Make built(std::string name, std::string about,
           std::function<std::unique_ptr<Rival>(const OpenRival&)> open) {
  return {std::move(name), std::move(about), std::move(open), {}};
}
[[maybe_unused]] Make missing(std::string name, std::string library) {
  return {std::move(name), {}, {}, "built without " + library};
}

std::vector<Make> make_all() {
  std::vector<Make> all;
  all.push_back(built("once", "Once as it comes",
                      [](const OpenRival& open) { return open_once(open, default_cache); }));
  all.push_back(
      built("once-cached", "Once with room for all replays in memory", [](const OpenRival& open) {
        return open_once(open, default_cache + open.keys * bytes_of_a_cached_key);
      }));
  all.push_back(built("once-uncached", "Once without its cache of replays",
                      [](const OpenRival& open) { return open_once(open, 0); }));
  all.push_back(built("rocksdb", "RocksDB at the settings that Once uses, ordinary files",
                      [](const OpenRival& open) { return open_rocksdb(open, true); }));
  all.push_back(built("rocksdb-default", "RocksDB as it comes, ordinary files",
                      [](const OpenRival& open) { return open_rocksdb(open, false); }));
#ifdef ONCE_BENCH_SQLITE
  all.push_back(built("sqlite", "SQLite, WAL, synchronous=FULL", open_sqlite));
#else
  all.push_back(missing("sqlite", "libsqlite3-dev"));
#endif
#ifdef ONCE_BENCH_LMDB
  all.push_back(built("lmdb", "LMDB, synced", open_lmdb));
#else
  all.push_back(missing("lmdb", "liblmdb-dev"));
#endif
#ifdef ONCE_BENCH_REDIS
  all.push_back(built("redis", "Redis, appendfsync always, Lua, Unix socket", open_redis));
#else
  all.push_back(missing("redis", "libhiredis-dev"));
#endif
#ifdef ONCE_BENCH_POSTGRES
  all.push_back(built("postgres", "PostgreSQL, ON CONFLICT, prepared, Unix socket", open_postgres));
#else
  all.push_back(missing("postgres", "libpq-dev"));
#endif
  return all;
}

}  // namespace

const std::vector<Make>& all_rivals() {
  static const std::vector<Make> all = make_all();
  return all;
}

const Make* find_rival(std::string_view name) {
  const auto found = std::ranges::find(all_rivals(), name, &Make::name);
  return found == all_rivals().end() ? nullptr : &*found;
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

const std::string& owner() {
  static const std::string text = "pid " + std::to_string(getpid());
  return text;
}

}  // namespace once::bench
