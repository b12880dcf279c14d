// A disk that gets full under a store in one file: what would grow is refused before anything is
// written, what removes and settles goes on, and so does everything when there is space.
#include <doctest/doctest.h>

#include <chrono>
#include <random>
#include <set>
#include <thread>

#include "base/manual_clock.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/embedded/full_disk.h"
#include "ledger/transitions.h"
#include "support/check_result.h"
#include "support/simulated_device.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

// Bytes that do not compress, always the same for a number.
Bytes value_for(int number, std::size_t bytes = 20'000) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(number));
  Bytes value;
  while (value.size() < bytes) value.push_back(static_cast<char>(random()));
  return value;
}

struct SmallDisk {
  std::shared_ptr<SimulatedDevice> device = std::make_shared<SimulatedDevice>();
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::unique_ptr<EmbeddedEngine> engine;
  std::set<int> kept;
  std::size_t memory_budget = mib;

  SmallDisk() {
    device->set_capacity(4 * mib);
    engine = value_of(open());
  }
  [[nodiscard]] Options options() const {
    Options options;
    options.clock = clock;
    options.memory_budget = memory_budget;
    return options;
  }
  [[nodiscard]] Result<std::unique_ptr<EmbeddedEngine>> open() const {
    const Options opened = options();
    return EmbeddedEngine::open(
        make_file_place("simulated.once", {.options = opened, .device = device}), opened);
  }
  void reopen() {
    value_of(engine->close());
    engine.reset();
    engine = value_of(open());
  }

  static Key key_of(int number) { return Key(std::to_string(number)); }

  // Runs a decision of the ledger on `key`.
  template <class Decide>
  Result<void> decide(const Key& key, const Decide& decide) const {
    Result<void> answer;
    auto updated = engine->update(
        key,
        [&](const Current& current) {
          auto decision = decide(ledger::Moment{.key = key,
                                                .record = current.record,
                                                .now = current.now,
                                                .fresh = current.fresh,
                                                .self = {}});
          if (!decision.answer) answer = std::unexpected(decision.answer.error());
          return std::move(decision.change);
        },
        Durability::synced, nullptr);
    return updated ? answer : updated;
  }
  Result<void> finish(int number, std::size_t bytes = 20'000) const {
    return decide(key_of(number), [&](const ledger::Moment& moment) {
      return ledger::transact(moment, {.retention = 1h}, Outcome::success(value_for(number, bytes)),
                              std::nullopt);
    });
  }
  Result<void> remove(int number) const {
    return decide(key_of(number),
                  [](const ledger::Moment& moment) { return ledger::remove(moment); });
  }
  // Until it is refused.
  Error fill(int from) {
    for (int i = from; i < from + 10'000; ++i) {
      auto done = finish(i);
      if (!done) return done.error();
      kept.insert(i);
    }
    FAIL("the disk does not get full");
    return {};
  }
  void check_all() const {
    for (const int number : kept) {
      const auto found = value_of(engine->find(key_of(number)));
      REQUIRE(found);
      CHECK(found->outcome->value == value_for(number));
    }
  }
};

}  // namespace

TEST_CASE_FIXTURE(SmallDisk, "what would grow is refused, and nothing of it was written") {
  const Error refused = fill(0);
  CAPTURE(refused.message);
  CHECK(refused.code == ErrorCode::no_space);
  CHECK(refused.message.find("simulated.once") != std::string::npos);
  REQUIRE(kept.size() > 20);
  // Meanwhile tables are written, and logs go: some may find room.
  const auto may_find_room = [&](const Key& key, const Result<void>& done) {
    if (!done) CHECK(done.error().code == ErrorCode::no_space);
    CHECK(value_of(engine->find(key)).has_value() == done.has_value());
  };
  for (int i = 20'000; i < 20'050; ++i) {
    const auto done = finish(i);
    may_find_room(key_of(i), done);
    if (done) kept.insert(i);
  }
  const Key waiting("waiting");
  may_find_room(waiting, decide(waiting, [](const ledger::Moment& moment) {
                  return ledger::reserve(moment, {});
                }));
  Event event{.type = "told", .payload = value_for(1, mib)};
  CHECK(error_of(engine->append(std::span(&event, 1), Durability::synced)) == ErrorCode::no_space);
  check_all();

  // Nothing but space is needed to go on.
  device->set_capacity(8 * mib);
  value_of(finish(30'000));
  kept.insert(30'000);
  check_all();
  reopen();
  check_all();
  int problems = 0;
  value_of(engine->verify_bytes({}, [&](const std::string& problem) {
    ++problems;
    FAIL_CHECK(problem);
  }));
  CHECK(problems == 0);
}

TEST_CASE_FIXTURE(SmallDisk, "what settles goes on while the disk is full") {
  const Key running("running");
  const Key doubtful("doubtful");
  Token token;
  for (const Key& key : {running, doubtful}) {
    value_of(decide(key, [&](const ledger::Moment& moment) {
      token = std::max(token, moment.fresh);
      return ledger::reserve(moment, {});
    }));
  }
  const Token first = value_of(engine->find(running))->record.token;
  (void)fill(0);
  value_of(decide(running,
                  [&](const ledger::Moment& moment) { return ledger::renew(moment, first, 1h); }));
  value_of(decide(running, [&](const ledger::Moment& moment) {
    return ledger::release(moment, first, "the disk is full");
  }));
  value_of(decide(doubtful, [&](const ledger::Moment& moment) {
    return ledger::doubt(moment, token, "the disk is full");
  }));
  value_of(decide(doubtful, [](const ledger::Moment& moment) {
    return ledger::resolve(moment, Verdict::success, Outcome::success("by hand"));
  }));
  CHECK(value_of(engine->find(doubtful))->outcome->value == "by hand");
}

TEST_CASE_FIXTURE(SmallDisk, "removing and sweeping make room, also by who opens it for that") {
  for (int round = 0; round < 5; ++round) {
    CAPTURE(round);
    const Error refused = fill(round * 20'000);
    CAPTURE(refused.message);
    CHECK(refused.code == ErrorCode::no_space);
    check_all();
    if (round % 2 == 1) reopen();
    if (round < 3) {
      for (const int number : kept) value_of(remove(number));
    } else {
      clock->advance(2h);
    }
    kept.clear();
    value_of(engine->sweep({}));
    value_of(finish(round));
    CHECK(value_of(engine->find(key_of(round)))->outcome->value == value_for(round));
    value_of(remove(round));
  }
}

TEST_CASE_FIXTURE(SmallDisk, "removing does not wait for tables that find no room to be merged") {
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    // Small outcomes: removing them takes about as much as they did, and so far more than the
    // reserve. What is removed has to make room for what is removed next.
    std::vector<int> there;
    for (int i = 0; finish(i, 500); ++i) there.push_back(i);
    CHECK(there.size() > 1000);
    for (const int number : there) {
      value_of(remove(number));
      CHECK_FALSE(value_of(engine->find(key_of(number))));
    }
    value_of(engine->compact({}));
  }
}

TEST_CASE_FIXTURE(SmallDisk, "tables that find no room stop nothing for good") {
  // Much that stands in the logs only.
  device->set_capacity(64 * mib);
  memory_budget = 32 * mib;
  reopen();
  for (int i = 0; i < 200; ++i) {
    value_of(finish(i));
    kept.insert(i);
  }
  // Somebody else takes what is left: what was counted on is not there.
  device->set_capacity(0);
  for (int i = 0; i < 3; ++i) {
    CHECK(error_of(engine->sweep({})) == ErrorCode::no_space);
    CHECK(error_of(finish(20'000 + i)) == ErrorCode::no_space);
    // Not even that: RocksDB has stopped. But nothing is unknown.
    CHECK(error_of(remove(i)) == ErrorCode::no_space);
    check_all();
  }
  device->set_capacity(64 * mib);
  value_of(finish(30'000));
  kept.insert(30'000);
  check_all();
  value_of(engine->sweep({}));
  reopen();
  check_all();
  CHECK_FALSE(value_of(engine->find(key_of(20'000))));
}

TEST_CASE(
    "a compaction that finds no room pauses before it is tried again, unless somebody hurries") {
  FullDisk disk(true);
  const auto tries = [&] {
    const auto before = std::chrono::steady_clock::now();
    rocksdb::Status error = rocksdb::Status::NoSpace();
    disk.OnBackgroundError(rocksdb::BackgroundErrorReason::kCompaction, &error);
    CHECK(error.ok());
    CHECK_FALSE(disk.stopped());
    return std::chrono::steady_clock::now() - before;
  };
  CHECK(tries() >= 1s);
  std::thread waiting([&] { (void)tries(); });
  {
    const FullDisk::Hurry hurry(disk);
    waiting.join();
    (void)tries();
  }
  CHECK(tries() >= 1s);
}
