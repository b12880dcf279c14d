// The embedded engine in a directory, on a disk that fails: at every call of opening, writing and
// sweeping.
#include "engine/embedded/embedded_engine.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "base/manual_clock.h"
#include "ledger/transitions.h"
#include "model/meta.h"
#include "support/check_result.h"
#include "support/fault_file_system.h"
#include "support/files.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

struct Place {
  TemporaryDirectory directory{quick_place()};
  std::string path = directory.file("store");
  std::shared_ptr<FaultFileSystem> disk = std::make_shared<FaultFileSystem>();
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();

  [[nodiscard]] Result<std::unique_ptr<EmbeddedEngine>> open() const {
    Options options;
    options.open_timeout_ms = 0ms;
    options.clock = clock;
    options.layout = Layout::directory;
    return EmbeddedEngine::open(path, {.options = options, .file_system = disk});
  }
};

// Completes `key` in one commit, as a transaction does.
Result<Token> finish(Engine& engine, const Key& key, Durability durability = Durability::synced,
                     const DataChanges* data = nullptr) {
  Result<Provenance> answer;
  auto updated = engine.update(
      key,
      [&](const Current& current) {
        auto decision =
            ledger::transact({.key = key,
                              .record = current.record,
                              .now = current.now,
                              .fresh = current.fresh,
                              .self = {}},
                             {.retention = 1h}, Outcome::success("value"), std::nullopt);
        answer = std::move(decision.answer);
        decision.change.apply_data = data != nullptr;
        return std::move(decision.change);
      },
      durability, data);
  if (!updated) return std::unexpected(updated.error());
  if (!answer) return std::unexpected(answer.error());
  return answer->token;
}

std::size_t count(Engine& engine) {
  std::size_t rows = 0;
  value_of(engine.rows({.table = Table::keys}, [&](const Result<Row>& row) {
    CHECK(row.has_value());
    ++rows;
    return true;
  }));
  return rows;
}

constexpr std::array calls = {Call::append, Call::sync,   Call::create,
                              Call::rename, Call::remove, Call::open};

}  // namespace

TEST_CASE_FIXTURE(Place, "whatever fails while a store is made, it can be made afterwards") {
  for (const Call call : calls) {
    int nth = 1;
    for (bool failed = true; failed && nth < 200; nth += 1 + nth / 2) {
      path = directory.file("store" + std::to_string(static_cast<int>(call)) + "-" +
                            std::to_string(nth));
      CAPTURE(static_cast<int>(call));
      CAPTURE(nth);
      const int before = disk->failures();
      disk->fail(call, "", nth);
      {
        auto opened = open();
        failed = disk->failures() > before;
        if (opened) (void)finish(**opened, "first");
      }
      disk->heal();
      auto again = value_of(open());
      value_of(finish(*again, "second"));
    }
  }
}

TEST_CASE_FIXTURE(Place, "whatever fails while a store is opened, nothing in it is lost") {
  for (int i = 0; i < 5; ++i) {
    auto engine = value_of(open());
    value_of(finish(*engine, "key " + std::to_string(i)));
    if (i == 2) value_of(engine->sweep({}));
  }
  for (const Call call : calls) {
    int nth = 1;
    for (bool failed = true; failed && nth < 200; nth += 1 + nth / 2) {
      CAPTURE(static_cast<int>(call));
      CAPTURE(nth);
      const int before = disk->failures();
      disk->fail(call, "", nth);
      {
        auto opened = open();
        failed = disk->failures() > before;
        if (!opened) CHECK_FALSE(opened.error().message.empty());
      }
      disk->heal();
      CHECK(count(*value_of(open())) == 5);
    }
  }
}

TEST_CASE_FIXTURE(Place, "a failed log write: unknown, then poisoned; its owner finds out later") {
  for (const Call call : {Call::append, Call::sync}) {
    for (const bool full : {false, true}) {
      const auto status = full ? rocksdb::IOStatus::NoSpace("No space left on device")
                               : rocksdb::IOStatus::IOError("EIO");
      path = directory.file(std::to_string(static_cast<int>(call)) + (full ? "full" : "broken"));
      Token before;
      {
        auto engine = value_of(open());
        before = value_of(finish(*engine, "before"));
        disk->fail(call, ".log", 1, status);
        const auto failed = finish(*engine, "failed");
        CHECK(error_of(failed) == ErrorCode::unknown);
        if (full) CHECK(failed.error().message.find("space") != std::string::npos);
        disk->heal();
        CHECK(error_of(finish(*engine, "after")) == ErrorCode::poisoned);
        CHECK(error_of(engine->sweep({})) == ErrorCode::poisoned);
        CHECK(value_of(engine->find("before"))->record.token == before);
        CHECK(value_of(engine->find("before"))->outcome->value == "value");
        CHECK_FALSE(value_of(engine->find("after")).has_value());
      }
      auto again = value_of(open());
      CHECK(value_of(again->find("before"))->record.token == before);
      CHECK_FALSE(value_of(again->find("after")).has_value());
      // There as a whole, or not at all.
      const auto found = value_of(again->find("failed"));
      if (found) CHECK(found->outcome->value == "value");
      CHECK(value_of(finish(*again, "next")) > before);
    }
  }
}

TEST_CASE_FIXTURE(Place, "a poisoned store answers what has expired as absent") {
  auto engine = value_of(open());
  value_of(finish(*engine, "key"));
  disk->fail(Call::append, ".log");
  CHECK(error_of(finish(*engine, "failed")) == ErrorCode::unknown);
  clock->advance(2h);
  CHECK_FALSE(value_of(engine->find("key")).has_value());
}

TEST_CASE_FIXTURE(Place, "a full disk at a sweep: a clear error, and all is there when reopened") {
  for (const Call call : {Call::create, Call::append, Call::sync}) {
    path = directory.file("sweep" + std::to_string(static_cast<int>(call)));
    {
      auto engine = value_of(open());
      for (int i = 0; i < 10; ++i) {
        value_of(finish(*engine, "key " + std::to_string(i), Durability::buffered));
      }
      disk->fail(call, ".sst", 1, rocksdb::IOStatus::NoSpace("No space left on device"));
      const auto swept = engine->sweep({});
      CHECK(error_of(swept) == ErrorCode::no_space);
      CHECK(swept.error().message.find("free some space") != std::string::npos);
      CHECK(count(*engine) == 10);
      disk->heal();
    }
    auto again = value_of(open());
    CHECK(count(*again) == 10);
    value_of(again->sweep({}));
    CHECK(count(*again) == 10);
  }
}

TEST_CASE_FIXTURE(Place, "closing leaves little in logs for the next opening to replay") {
  const auto bytes_of_logs = [&] {
    std::uintmax_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == ".log") bytes += entry.file_size();
    }
    return bytes;
  };
  const Bytes value(100'000, 'x');
  const DataChanges data{.writes = {{"row", value}}};
  auto engine = value_of(open());
  for (int i = 0; i < 30; ++i) {
    const Key key("", "", std::to_string(i));
    REQUIRE(finish(*engine, key, Durability::buffered, &data).has_value());
  }
  CHECK(bytes_of_logs() > 2'500'000);
  REQUIRE(engine->close().has_value());
  CHECK(bytes_of_logs() < 1 << 20);
  engine = value_of(open());
  CHECK(value_of(engine->find(Key("", "", "0"))).has_value());
  CHECK(value_of(value_of(engine->view())->get("row")) == value);
}

TEST_CASE_FIXTURE(Place, "a conflict does not lose the clock's mark") {
  auto engine = value_of(open());
  const DataChanges first{.writes = {{"a", Bytes("1")}}};
  value_of(finish(*engine, "first", Durability::buffered, &first));
  clock->advance(1h);
  const Time conflict_at = engine->now();
  const DataChanges late{.version = 0, .read = {"a"}};
  CHECK(error_of(finish(*engine, "late", Durability::buffered, &late)) == ErrorCode::conflict);

  // As after a kill and a start of the machine with the wall clock turned back.
  const std::string copy = directory.file("copy");
  std::filesystem::copy(path, copy);
  path = copy;
  clock->reboot();
  clock->set_wall(conflict_at - 24h);
  CHECK(value_of(open())->now() >= conflict_at);
}

TEST_CASE_FIXTURE(Place, "openings and tokens grow across reopenings, kills and faults") {
  Token last;
  for (int i = 0; i < 12; ++i) {
    auto engine = value_of(open());
    const Token token = value_of(finish(*engine, "key " + std::to_string(i), Durability::buffered));
    CHECK(token > last);
    last = token;
    if (i % 3 != 0) continue;
    const std::string copy = directory.file("copy" + std::to_string(i));
    std::filesystem::copy(path, copy);
    path = copy;
  }
  CHECK(count(*value_of(open())) == 12);
}
