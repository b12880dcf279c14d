#include "engine/embedded/commit_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "engine/embedded/rocksdb_options.h"
#include "model/key_codec.h"
#include "support/check_result.h"
#include "support/fault_file_system.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;

namespace {

// A database with the tables of a store, on a disk that can fail.
struct Queue {
  TemporaryDirectory directory{quick_place()};
  std::shared_ptr<FaultFileSystem> disk =
      std::make_shared<FaultFileSystem>(rocksdb::FileSystem::Default());
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
  std::unique_ptr<rocksdb::DB> db;
  ColumnFamilies families{};
  Numbering numbering{[](std::uint64_t) -> Result<void> { return {}; }};
  std::unique_ptr<CommitQueue> queue;

  Queue() {
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* opened = nullptr;
    const auto status =
        rocksdb::DB::Open(database_options({}, env.get(), 0), directory.file("db"),
                          family_descriptors({}, make_expiry_filters()), &handles, &opened);
    REQUIRE(status.ok());
    db.reset(opened);
    std::ranges::copy(handles, families.begin());
    value_of(numbering.raise(1));
    queue = std::make_unique<CommitQueue>(*db, families, numbering, "/db",
                                          std::make_shared<FullDisk>(false));
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    disk->heal();
    for (auto* family : families) db->DestroyColumnFamilyHandle(family);
  }

  Result<void> put(const std::string& key, Durability durability) const {
    std::vector<RowWrite> rows;
    rows.push_back({.table = Table::data, .key = key, .value = "value"});
    return queue->commit(rows, durability);
  }
  [[nodiscard]] bool there(const std::string& key) const {
    std::string value;
    return db->Get({}, families[static_cast<std::size_t>(Table::data)], key, &value).ok();
  }
  [[nodiscard]] std::set<Bytes> sequences() const {
    std::set<Bytes> seen;
    const std::unique_ptr<rocksdb::Iterator> at(
        db->NewIterator({}, families[static_cast<std::size_t>(Table::history)]));
    for (at->SeekToFirst(); at->Valid(); at->Next()) seen.insert(at->key().ToString());
    return seen;
  }
};

// Collects the keys of each commit group, as the log has them.
class Keys final : public rocksdb::WriteBatch::Handler {
 public:
  rocksdb::Status PutCF(std::uint32_t, const rocksdb::Slice& key, const rocksdb::Slice&) override {
    keys.push_back(key.ToString());
    return rocksdb::Status::OK();
  }
  std::vector<std::string> keys;
};

}  // namespace

TEST_CASE_FIXTURE(Queue, "rows are numbered in place, and a record names the history before it") {
  std::vector<RowWrite> rows;
  rows.push_back({.table = Table::history, .value = "what", .numbered = Numbered::as_key});
  rows.push_back({.table = Table::keys,
                  .key = "key",
                  .value = Bytes(40, '\0'),
                  .numbered = Numbered::last_history});
  rows.push_back({.table = Table::outbox, .value = "event", .numbered = Numbered::as_key});
  value_of(queue->commit(rows, Durability::buffered));
  CHECK(rows[0].sequence != 0);
  CHECK(rows[1].sequence == rows[0].sequence);
  CHECK(rows[2].sequence > rows[0].sequence);
  CHECK(value_of(model::decode_sequence(rows[0].key)) == rows[0].sequence);
}

TEST_CASE_FIXTURE(Queue, "who has seen a sequence never sees a smaller one appear") {
  constexpr int threads = 8;
  constexpr int commits = 60;
  std::atomic<int> running = threads;
  std::vector<std::thread> writers;
  for (int i = 0; i < threads; ++i) {
    writers.emplace_back([&, i] {
      for (int j = 0; j < commits; ++j) {
        std::vector<RowWrite> rows;
        rows.push_back({.table = Table::history, .value = "x", .numbered = Numbered::as_key});
        (void)queue->commit(rows, (i + j) % 2 == 0 ? Durability::synced : Durability::buffered);
      }
      --running;
    });
  }
  std::set<Bytes> before;
  int wrong = 0;
  while (running > 0) {
    const std::set<Bytes> now = sequences();
    if (!before.empty()) {
      const auto known = std::distance(now.begin(), now.upper_bound(*before.rbegin()));
      if (static_cast<std::size_t>(known) != before.size()) ++wrong;
    }
    before = now;
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(wrong == 0);
  CHECK(sequences().size() == threads * commits);
}

TEST_CASE_FIXTURE(Queue, "those waiting are written together, synced and buffered never") {
  constexpr int threads = 12;
  constexpr int rounds = 20;
  std::atomic<int> started = 0;
  // The first to write waits until the others stand in the queue, or are about to.
  disk->watch([&](Call call, const std::string& name) {
    if (call != Call::append || name.find(".log") == std::string::npos) return;
    while (started < threads) std::this_thread::yield();
  });
  std::vector<std::thread> writers;
  for (int i = 0; i < threads; ++i) {
    writers.emplace_back([&, i] {
      ++started;
      for (int j = 0; j < rounds; ++j) {
        const bool synced = (i + j) % 3 != 0;
        (void)put((synced ? "synced " : "buffered ") + std::to_string(i * rounds + j),
                  synced ? Durability::synced : Durability::buffered);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  disk->watch({});

  std::unique_ptr<rocksdb::TransactionLogIterator> log;
  REQUIRE(db->GetUpdatesSince(1, &log).ok());
  std::size_t groups = 0;
  std::size_t commits = 0;
  for (; log->Valid(); log->Next()) {
    Keys group;
    REQUIRE(log->GetBatch().writeBatchPtr->Iterate(&group).ok());
    if (group.keys.empty()) continue;
    ++groups;
    commits += group.keys.size();
    const auto synced = std::ranges::count_if(
        group.keys, [](const std::string& key) { return key.starts_with("synced"); });
    CHECK((synced == 0 || static_cast<std::size_t>(synced) == group.keys.size()));
  }
  CHECK(commits == threads * rounds);
  CHECK(groups < commits);
}

TEST_CASE_FIXTURE(Queue, "a failed write is unknown, later ones are refused, reading goes on") {
  for (const Call call : {Call::append, Call::sync}) {
    const Queue fresh;
    value_of(fresh.put("before", Durability::synced));
    fresh.disk->fail(call, ".log");
    const auto failed = fresh.put("failed", Durability::synced);
    CHECK(error_of(failed) == ErrorCode::unknown);
    CHECK(failed.error().message.find("opening") != std::string::npos);
    fresh.disk->heal();
    CHECK(error_of(fresh.put("after", Durability::synced)) == ErrorCode::poisoned);
    CHECK(error_of(fresh.put("after", Durability::buffered)) == ErrorCode::poisoned);
    CHECK(fresh.queue->poisoned());
    CHECK(fresh.there("before"));
    CHECK_FALSE(fresh.there("after"));
  }
}

TEST_CASE_FIXTURE(Queue, "with many writers a failure is unknown or refused, never ok and gone") {
  constexpr int threads = 8;
  disk->fail(Call::sync, ".log", 5);
  std::vector<std::vector<ErrorCode>> codes(threads);
  std::vector<std::thread> writers;
  std::atomic<int> lost = 0;
  for (std::size_t i = 0; i < threads; ++i) {
    writers.emplace_back([&, i] {
      for (int j = 0; j < 20; ++j) {
        const std::string key = std::to_string(i) + "/" + std::to_string(j);
        auto done = put(key, Durability::synced);
        if (!done) codes[i].push_back(done.error().code);
        if (done && !there(key)) ++lost;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(lost == 0);
  std::size_t unknown = 0;
  for (const auto& mine : codes) {
    CHECK_FALSE(mine.empty());
    for (std::size_t i = 0; i < mine.size(); ++i) {
      if (mine[i] == ErrorCode::unknown) ++unknown;
      // Only the first failure of a thread can be a write that was tried.
      CHECK((mine[i] == ErrorCode::poisoned || (i == 0 && mine[i] == ErrorCode::unknown)));
    }
  }
  CHECK(unknown >= 1);
}

TEST_CASE_FIXTURE(Queue,
                  "a transaction whose reads were changed is a conflict and leaves nothing") {
  const DataChanges first{.writes = {{"a", Bytes("1")}}};
  std::vector<RowWrite> none;
  value_of(queue->commit(none, Durability::buffered, &first));
  CHECK(queue->visible_version() == 1);
  const DataChanges late{.version = 0, .read = {"a"}, .writes = {{"b", Bytes("2")}}};
  std::vector<RowWrite> rows;
  rows.push_back({.table = Table::keys, .key = "key", .value = "record"});
  CHECK(error_of(queue->commit(rows, Durability::buffered, &late)) == ErrorCode::conflict);
  CHECK_FALSE(there("b"));
  std::string value;
  CHECK(db->Get({}, families[static_cast<std::size_t>(Table::keys)], "key", &value).IsNotFound());
  // It poisons nothing.
  value_of(put("c", Durability::buffered));
}

TEST_CASE_FIXTURE(Queue, "numbers that cannot be given stop the writing") {
  queue->poison("no more");
  const auto refused = put("a", Durability::buffered);
  CHECK(error_of(refused) == ErrorCode::poisoned);
  CHECK(refused.error().message == "no more");
}
