// The cache of replays: that it never answers what the engine would not, and stays within its
// bytes.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "engine/caching/replay_cache.h"
#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;
using engine::ReplayCache;

namespace {

constexpr Time start{1000ms};

Found finished(const Bytes& value, Time expires_at = start + 1h) {
  Record record;
  record.status = Status::completed;
  record.expires_at = expires_at;
  return {.record = record, .outcome = Outcome::success(value)};
}

// What is there, or "" if nothing is.
Bytes look(ReplayCache& cache, const Key& key, Time now = start) {
  Found found;
  ReplayCache::Ticket ticket = 0;
  return cache.find(key, now, found, ticket) ? *found.outcome->value : Bytes();
}

void fill(ReplayCache& cache, const Key& key, const Bytes& value) {
  cache.fill(key, cache.ticket(key), finished(value));
}

}  // namespace

TEST_CASE("what was filled in is found, by its whole key, until its retention is over") {
  ReplayCache cache(1 << 20);
  const Key key("t", "o", "k");
  CHECK(look(cache, key).empty());
  fill(cache, key, "value");
  CHECK(look(cache, key) == "value");
  CHECK(look(cache, {"t", "", "k"}).empty());
  CHECK(look(cache, {"", "o", "k"}).empty());
  CHECK(look(cache, "k").empty());
  CHECK(look(cache, key, start + 1h - 1ms) == "value");
  CHECK(look(cache, key, start + 1h).empty());
  CHECK(look(cache, key).empty());  // it went
  CHECK(cache.bytes() == 0);
  fill(cache, key, "value");
  cache.clear();
  CHECK(look(cache, key).empty());
  CHECK(cache.bytes() == 0);
}

TEST_CASE("while a key changes there is no entry, and none comes of what was read before the end") {
  ReplayCache cache(1 << 20);
  const Key key("k");
  fill(cache, key, "old");
  const ReplayCache::Ticket before = cache.ticket(key);
  ReplayCache::Ticket during = 0;
  {
    const ReplayCache::Change change(cache, key);
    CHECK(look(cache, key).empty());
    during = cache.ticket(key);
    fill(cache, key, "old");
    CHECK(look(cache, key).empty());
    {
      const ReplayCache::Change other(cache, key);
    }
    fill(cache, key, "old");  // the first is still under way
    CHECK(look(cache, key).empty());
  }
  CHECK(look(cache, key).empty());
  cache.fill(key, before, finished("old"));
  cache.fill(key, during, finished("old"));
  CHECK(look(cache, key).empty());
  fill(cache, key, "new");
  CHECK(look(cache, key) == "new");
}

TEST_CASE("a look in vain gives a ticket as good as one that was asked for") {
  ReplayCache cache(1 << 20);
  const Key key("k");
  Found found;
  ReplayCache::Ticket early = 0;
  REQUIRE_FALSE(cache.find(key, start, found, early));
  {
    const ReplayCache::Change change(cache, key);
  }
  ReplayCache::Ticket late = 0;
  REQUIRE_FALSE(cache.find(key, start, found, late));
  cache.fill(key, early, finished("old"));
  CHECK(look(cache, key).empty());
  cache.fill(key, late, finished("new"));
  CHECK(look(cache, key) == "new");
}

TEST_CASE("it stays within its bytes, and keeps what was asked for last") {
  constexpr std::size_t most = 256 << 10;
  ReplayCache cache(most);
  const Bytes value(500, 'x');
  fill(cache, "kept", value);
  for (int i = 0; i < 5000; ++i) {
    fill(cache, std::to_string(i), value);
    REQUIRE(cache.bytes() <= most);
    REQUIRE(look(cache, "kept") == value);
  }
  CHECK(cache.bytes() > most / 2);
  CHECK(look(cache, "0").empty());
  CHECK(look(cache, "4999") == value);
  // One that would push all others out is not kept.
  fill(cache, "large", Bytes(most / 16, 'x'));
  CHECK(look(cache, "large").empty());
  ReplayCache none(0);
  fill(none, "k", "v");
  CHECK(look(none, "k").empty());
}

TEST_CASE(
    "whatever is filled in, changed and pushed out, what is found is what was filled in last") {
  // Small, so that answers go all the time, and few keys, so that they meet.
  for (const std::size_t bytes : {std::size_t{40} << 10, std::size_t{1} << 20}) {
    ReplayCache cache(bytes);
    std::map<std::string, std::pair<Bytes, Time>> model;  // values, and when they expire
    std::mt19937_64 random(bytes);
    Time now = start;
    std::uint64_t hits = 0;
    for (int step = 0; step < 100'000; ++step) {
      const std::string name = std::to_string(random() % 500);
      const Key key(name.size() % 2 == 0 ? "t" : "", "", name);
      switch (random() % 8) {
        case 0: {
          const ReplayCache::Change change(cache, key);
          model.erase(name);
          break;
        }
        case 1:
        case 2:
          if (!model.contains(name)) {
            const Bytes value = name + ":" + Bytes(random() % 300, 'x');
            const Time expires_at = now + std::chrono::minutes(1 + random() % 120);
            cache.fill(key, cache.ticket(key), finished(value, expires_at));
            model[name] = {value, expires_at};
          }
          break;
        case 3:
          if (random() % 100 == 0) now += 1min;
          break;
        default: {
          const Bytes seen = look(cache, key, now);
          if (const auto at = model.find(name); at != model.end() && at->second.second <= now) {
            model.erase(at);
          }
          if (seen.empty()) {
            model.erase(name);  // it may have been pushed out, and be filled in again
            break;
          }
          ++hits;
          REQUIRE(model.contains(name));
          REQUIRE(seen == model[name].first);
        }
      }
      REQUIRE(cache.bytes() <= bytes);
    }
    CHECK(hits > 1000);
  }
}

TEST_CASE("accesses are counted, of large outcomes too") {
  ReplayCache cache(256 << 10);
  for (const Bytes& value : {Bytes("small"), Bytes(8 << 10, 'x')}) {
    const Key key(value.substr(0, 5));
    for (std::uint64_t n = 1; n <= 3; ++n) {
      std::uint64_t accesses = 0;
      Found found;
      ReplayCache::Ticket ticket = 0;
      if (!cache.find(key, start, found, ticket, &accesses)) {
        cache.fill(key, ticket, finished(value), &accesses);
      }
      CHECK(accesses == n);
    }
  }
}

TEST_CASE("a store with a cache answers as one without, whatever happens to a key") {
  const Simulation simulation;
  Options with = simulation.options();
  Options without = with;
  without.replay_cache_bytes = 0;
  for (const Options& options : {with, without}) {
    Store store = value_of(Store::open("memory:", options));
    Executor executor(store);
    int runs = 0;
    const auto run = [&] {
      return value_of(store.execute("k", [&] { return ++runs; }, {.retention = 1h})).value();
    };
    CHECK(run() == 1);
    CHECK(run() == 1);
    value_of(store.remove("k"));
    CHECK(run() == 2);
    CHECK(run() == 2);
    simulation.clock->advance(1h);
    CHECK(value_of(store.status("k")) == KeyStatus::expired);
    CHECK(run() == 3);
    CHECK(run() == 3);
    simulation.clock->advance(1h);
    value_of(store.sweep());
    CHECK(run() == 4);
    CHECK(run() == 4);
    CHECK(value_of(executor.refresh("k", [&] { return ++runs; })).value() == 5);
    CHECK(run() == 5);
    value_of(store.remove("k"));
    value_of(store.doubt(reserved(store.reserve("k"))));
    CHECK(error_of(store.execute("k", [] { return 0; })) == ErrorCode::in_doubt);
    value_of(store.resolve("k", Verdict::success, Outcome::success("6")));
    CHECK(run() == 6);
    const Reservation mine = reserved(
        value_of(store.reserve_many(std::vector<ReserveRequest>{{.key = "b", .options = {}}}))[0]);
    const std::vector<CompleteRequest> done{
        {.reservation = mine, .outcome = Outcome::success("7")}};
    value_of(value_of(store.complete_many(done))[0]);
    CHECK(value_of(store.execute("b", [] { return 0; })).value() == 7);
    CHECK(value_of(store.transact("t", [](Transaction&) { return 8; })).value() == 8);
    CHECK(value_of(store.execute("t", [] { return 0; })).value() == 8);
    // Another question is refused as it is without.
    value_of(store.execute("f", [] { return 9; }, {.fingerprint = Fingerprint::of("a")}));
    value_of(store.execute("f", [] { return 0; }, {.fingerprint = Fingerprint::of("a")}));
    CHECK(error_of(store.execute("f", [] { return 0; }, {.fingerprint = Fingerprint::of("b")})) ==
          ErrorCode::mismatch);
  }
}

TEST_CASE("threads never see an outcome that was replaced or removed before they asked") {
  Store store = value_of(Store::open("memory:"));
  Executor executor(store);
  constexpr int keys = 3;
  std::atomic<int> last = 0;                        // every outcome is a greater number
  std::array<std::atomic<int>, keys> acknowledged;  // what is known to be there, or gone below
  std::atomic<bool> stopping = false;
  std::atomic<int> stale = 0;
  std::atomic<int> looks = 0;
  const ExecuteOptions quick{.durability = Durability::buffered};
  const auto next = [&] { return ++last; };
  const auto name = [](int k) { return Key("key-" + std::to_string(k)); };
  const auto raise = [](std::atomic<int>& to, int value) {
    for (int seen = to; value > seen && !to.compare_exchange_weak(seen, value);) {
    }
  };
  std::vector<std::thread> threads;
  for (int k = 0; k < keys; ++k) {
    threads.emplace_back([&, k] {
      for (int n = 0; n < 1500; ++n) {
        // Behind a finish of this thread's, so that no other one is at work on the key.
        if (n % 3 == 2) {
          // What was kept before is gone when this returns: who asks later sees a greater number.
          const auto before = value_of(store.find(name(k)));
          value_of(store.remove(name(k)));
          if (before && before->outcome) {
            raise(acknowledged[static_cast<std::size_t>(k)],
                  std::stoi(*before->outcome->value) + 1);
          }
        } else {
          const int value = value_of(executor.refresh(name(k), next, quick)).value();
          raise(acknowledged[static_cast<std::size_t>(k)], value);
        }
      }
    });
  }
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int n = 0; !stopping; ++n) {
        const auto k = static_cast<std::size_t>(n % keys);
        const int floor = acknowledged[k];
        const int value = value_of(store.execute(name(n % keys), next, quick)).value();
        if (value < floor) ++stale;
        ++looks;
      }
    });
  }
  for (std::size_t t = 0; t < keys; ++t) threads[t].join();
  stopping = true;
  for (std::size_t t = keys; t < threads.size(); ++t) threads[t].join();
  CHECK(stale == 0);
  CHECK(looks > 0);
}
