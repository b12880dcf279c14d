// What a thread remembers of a record that it has read or written: never more than what is there.
#include "engine/embedded/last_row.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/stripes.h"
#include "ledger/transitions.h"
#include "model/row_header.h"
#include "support/check_result.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

// Finishes `key` with `value`, or removes it where there is none.
void change(EmbeddedEngine& engine, const Key& key, const std::optional<Bytes>& value) {
  const auto updated = engine.update(
      key,
      [&](const Current& current) {
        Change made;
        if (value) {
          made = ledger::transact({.key = key,
                                   .record = current.record,
                                   .now = current.now,
                                   .fresh = current.fresh,
                                   .self = {}},
                                  {.retention = 1h}, Outcome::success(*value), std::nullopt)
                     .change;
        } else {
          made.remove = true;
        }
        return made;
      },
      Durability::buffered, nullptr);
  CHECK(updated.has_value());
}

std::optional<Bytes> value_at(EmbeddedEngine& engine, const Key& key) {
  const auto found = value_of(engine.find(key));
  return found ? found->outcome->value : std::nullopt;
}

// What a transition is told.
bool is_there(EmbeddedEngine& engine, const Key& key) {
  bool there = false;
  CHECK(engine
            .update(
                key,
                [&](const Current& current) {
                  there = current.record.has_value();
                  return Change();
                },
                Durability::synced, nullptr)
            .has_value());
  return there;
}

}  // namespace

TEST_CASE("a stripe counts when a change begins and when it has ended") {
  const auto stripes = std::make_unique<Stripes>();
  const std::array<Bytes, 2> keys{"a", "b"};
  const std::uint64_t before = stripes->changes("a");
  CHECK(Stripes::is_quiet(before));
  {
    const Stripes::Guard reading(*stripes, keys);
  }
  CHECK(stripes->changes("a") == before);
  {
    Stripes::Guard writing(*stripes, keys);
    CHECK(stripes->changes("a") == before);
    writing.begin_change();
    CHECK_FALSE(Stripes::is_quiet(stripes->changes("a")));
    CHECK_FALSE(Stripes::is_quiet(stripes->changes("b")));
  }
  CHECK(stripes->changes("a") == before + 2);
  CHECK(stripes->changes("b") == before + 2);
}

TEST_CASE("a row is found for the engine, the count and the key that it was read at") {
  LastRow row;
  CHECK(row.find(1, 0, "") == nullptr);
  const auto bytes = [](bool removable) {
    Bytes value;
    Writer out(value);
    model::write_header(out, {.version = 1, .removable = removable});
    return value;
  };
  const Bytes value = bytes(false);
  row.keep(1, 4, "key", value);
  REQUIRE(row.find(1, 4, "key") != nullptr);
  CHECK(*row.find(1, 4, "key") == value);
  CHECK(row.find(2, 4, "key") == nullptr);
  CHECK(row.find(1, 6, "key") == nullptr);
  CHECK(row.find(1, 4, "other") == nullptr);
  row.keep(1, 4, "other", std::nullopt);
  REQUIRE(row.find(1, 4, "other") != nullptr);
  CHECK_FALSE(row.find(1, 4, "other")->has_value());
  CHECK(row.find(1, 4, "key") == nullptr);
  // Read while a change was under way: it may be the one or the other.
  row.keep(1, 5, "key", value);
  CHECK(row.find(1, 5, "key") == nullptr);
  // What has expired goes without a change.
  row.keep(1, 6, "key", bytes(true));
  CHECK(row.find(1, 6, "key") == nullptr);
}

TEST_CASE("what another thread has changed is seen, by reading and under the stripe") {
  const auto engine = value_of(EmbeddedEngine::open_memory({}));
  const Key key("k");
  const auto elsewhere = [&](const std::optional<Bytes>& value) {
    std::thread([&] { change(*engine, key, value); }).join();
  };
  CHECK_FALSE(value_at(*engine, key).has_value());  // and is remembered
  CHECK_FALSE(is_there(*engine, key));
  elsewhere("1");
  CHECK(is_there(*engine, key));
  CHECK(value_at(*engine, key) == "1");
  elsewhere(std::nullopt);
  CHECK_FALSE(value_at(*engine, key).has_value());
  CHECK_FALSE(is_there(*engine, key));
  change(*engine, key, "2");  // and is remembered
  CHECK(is_there(*engine, key));
  elsewhere(std::nullopt);
  CHECK_FALSE(is_there(*engine, key));
  change(*engine, key, "3");
  change(*engine, key, std::nullopt);
  CHECK_FALSE(value_at(*engine, key).has_value());
}

TEST_CASE("another store in the place of one that was closed has nothing of it") {
  const Key key("k");
  for (int i = 0; i < 3; ++i) {
    const auto engine = value_of(EmbeddedEngine::open_memory({}));
    CHECK_FALSE(value_at(*engine, key).has_value());
    change(*engine, key, "value");
    CHECK(value_at(*engine, key) == "value");
  }
}

// A value is written by one thread at a time, in order; whoever reads must not go back, nor behind
// what was told by another thread.
TEST_CASE("threads that read and write the same keys never see them go back") {
  const auto engine = value_of(EmbeddedEngine::open_memory({}));
  constexpr std::size_t keys = 4;
  constexpr int writes = 400;
  std::array<std::atomic<int>, keys> acknowledged{};
  std::atomic<bool> wrong = false;
  const auto number_at = [&](std::size_t at) {
    const auto value = value_at(*engine, Key(std::to_string(at)));
    return value ? std::stoi(*value) : 0;
  };
  const auto write = [&](std::size_t at) {
    for (int i = 1; i <= writes; ++i) {
      change(*engine, Key(std::to_string(at)), std::nullopt);
      change(*engine, Key(std::to_string(at)), std::to_string(i));
      acknowledged[at] = i;
      if (number_at(at) != i) wrong = true;
    }
  };
  const auto read = [&](unsigned seed) {
    std::mt19937 random(seed);
    while (acknowledged[0] < writes && !wrong) {
      const std::size_t at = random() % keys;
      const int least = acknowledged[at];
      const int seen = number_at(at);
      // Absent between two of them.
      if (seen != 0 && seen < least) wrong = true;
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t at = 0; at < keys; ++at) threads.emplace_back(write, at);
  for (unsigned seed = 0; seed < 3; ++seed) threads.emplace_back(read, seed);
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(wrong);
}
