// RocksDB itself on a container: all that it does with files, and what it finds after power cuts.
#include <doctest/doctest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/backup_engine.h>
#include <rocksdb/utilities/checkpoint.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "container/container_place.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using rocksdb::DB;
using rocksdb::Status;

namespace {

class Silent final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// A database on a container.
struct Database {
  explicit Database(ContainerPlace on) : place(std::move(on)) {
    env = rocksdb::NewCompositeEnv(place.files);
    options.env = env.get();
    options.create_if_missing = true;
    options.info_log = std::make_shared<Silent>();
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    options.write_buffer_size = 64 << 10;
    options.keep_log_file_num = 1;
    options.stats_dump_period_sec = 0;
    options.max_background_jobs = 2;
  }
  Status open(const std::string& path = "/db") {
    DB* opened = nullptr;
    Status status = DB::Open(options, path, &opened);
    db.reset(opened);
    return status;
  }
  std::string get(const std::string& key) {
    std::string value;
    const Status status = db->Get({}, key, &value);
    return status.ok() ? value : "(" + status.ToString() + ")";
  }
  ContainerPlace place;
  std::unique_ptr<rocksdb::Env> env;
  rocksdb::Options options;
  std::unique_ptr<DB> db;  // goes first
};

void check_ok(const Status& status) {
  CAPTURE(status.ToString());
  REQUIRE(status.ok());
}

rocksdb::WriteOptions synced() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

std::string key_of(int i) {
  return "key" + std::to_string(1000 + i);
}
std::string value_of_key(int i) {
  return bytes_of(static_cast<std::uint64_t>(i), 200 + static_cast<std::size_t>(i) % 300);
}

void put(Database& at, int from, int to) {
  for (int i = from; i < to; ++i) check_ok(at.db->Put(synced(), key_of(i), value_of_key(i)));
}

void check_keys(Database& at, int from, int to) {
  for (int i = from; i < to; ++i) {
    if (at.get(key_of(i)) != value_of_key(i)) FAIL("key " << i << " is " << at.get(key_of(i)));
  }
}

ContainerPlace fresh() {
  return value_of(open_place(std::make_shared<SimulatedDevice>()));
}

// What is durable now, and nothing else.
ContainerPlace after_power_cut(const Database& at) {
  return value_of(open_place(at.place.device->moment().crash({CrashPlan::Kind::none})));
}

}  // namespace

TEST_CASE("a database is written, flushed, compacted, closed and opened again") {
  Database at(fresh());
  check_ok(at.open());
  put(at, 0, 500);
  check_ok(at.db->Flush({}));
  put(at, 400, 1000);
  check_ok(at.db->CompactRange({}, nullptr, nullptr));
  check_keys(at, 0, 1000);
  for (int i = 0; i < 500; ++i) check_ok(at.db->Delete({}, key_of(i)));
  check_ok(at.db->CompactRange({}, nullptr, nullptr));
  check_ok(at.db->Close());
  at.db.reset();
  CHECK(problem_with(at.place) == "");
  check_ok(at.open());
  check_keys(at, 500, 1000);
  CHECK(at.get(key_of(0)).starts_with("(NotFound"));
  Database after(after_power_cut(at));
  check_ok(after.open());
  check_keys(after, 500, 1000);
}

TEST_CASE("values in blob files") {
  Database at(fresh());
  at.options.enable_blob_files = true;
  at.options.min_blob_size = 100;
  at.options.enable_blob_garbage_collection = true;
  check_ok(at.open());
  put(at, 0, 600);
  check_ok(at.db->Flush({}));
  put(at, 0, 600);
  check_ok(at.db->CompactRange({}, nullptr, nullptr));
  check_keys(at, 0, 600);
  std::vector<std::string> names;
  check_ok(at.env->GetChildren("/db", &names));
  CHECK(std::ranges::any_of(names, [](const auto& name) { return name.ends_with(".blob"); }));
  Database after(after_power_cut(at));
  after.options.enable_blob_files = true;
  check_ok(after.open());
  check_keys(after, 0, 600);
}

TEST_CASE("a checkpoint is a database of its own, of links") {
  Database at(fresh());
  check_ok(at.open());
  put(at, 0, 300);
  check_ok(at.db->Flush({}));
  put(at, 300, 400);
  rocksdb::Checkpoint* made = nullptr;
  check_ok(rocksdb::Checkpoint::Create(at.db.get(), &made));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  // 0: the log is copied while it is being written, not flushed; tables are linked.
  check_ok(checkpoint->CreateCheckpoint("/copy", 1 << 30));
  put(at, 400, 500);
  Database after(after_power_cut(at));
  check_ok(after.open("/copy"));
  check_keys(after, 0, 400);
  CHECK(after.get(key_of(400)).starts_with("(NotFound"));
  after.db.reset();
  check_ok(after.open("/db"));
  check_keys(after, 0, 500);
  after.db.reset();
  check_ok(rocksdb::DestroyDB("/copy", after.options));
  CHECK(problem_with(after.place) == "");
  check_ok(after.open("/db"));
  check_keys(after, 0, 500);
}

TEST_CASE("the backup engine backs up and restores") {
  Database at(fresh());
  check_ok(at.open());
  put(at, 0, 300);
  check_ok(at.db->Flush({}));
  put(at, 300, 350);
  rocksdb::BackupEngineOptions options("/backup", at.env.get());
  options.info_log = at.options.info_log.get();
  options.share_files_with_checksum = true;
  rocksdb::BackupEngine* made = nullptr;
  check_ok(rocksdb::BackupEngine::Open(options, at.env.get(), &made));
  std::unique_ptr<rocksdb::BackupEngine> engine(made);
  check_ok(engine->CreateNewBackup(at.db.get(), false));
  put(at, 350, 400);
  check_ok(engine->CreateNewBackup(at.db.get(), true));
  check_ok(engine->VerifyBackup(1, true));
  check_ok(engine->VerifyBackup(2, true));
  check_ok(engine->RestoreDBFromBackup(1, "/restored", "/restored"));
  check_ok(engine->PurgeOldBackups(1));
  engine.reset();
  Database after(after_power_cut(at));
  check_ok(after.open("/restored"));
  check_keys(after, 0, 350);
  CHECK(after.get(key_of(350)).starts_with("(NotFound"));
}

TEST_CASE("tables from outside are ingested, linked or copied") {
  Database at(fresh());
  check_ok(at.open());
  put(at, 0, 10);
  for (const bool move : {true, false}) {
    const int from = move ? 100 : 200;
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), at.options);
    const std::string path = "/outside" + std::to_string(from) + ".sst";
    check_ok(writer.Open(path));
    for (int i = from; i < from + 50; ++i) check_ok(writer.Put(key_of(i), value_of_key(i)));
    check_ok(writer.Finish());
    rocksdb::IngestExternalFileOptions options;
    options.move_files = move;
    options.write_global_seqno = !move;  // written over in the middle of the file
    check_ok(at.db->IngestExternalFile({path}, options));
  }
  put(at, 10, 20);
  Database after(after_power_cut(at));
  check_ok(after.open());
  check_keys(after, 0, 20);
  check_keys(after, 100, 150);
  check_keys(after, 200, 250);
  CHECK(problem_with(after.place) == "");
}

TEST_CASE("a database that is opened to read changes no byte") {
  Database at(fresh());
  check_ok(at.open());
  put(at, 0, 300);
  check_ok(at.db->Flush({}));
  put(at, 300, 350);
  container::ContainerOptions options = test_options();
  options.read_only = true;
  const Moment now = at.place.device->moment();
  Database reader(value_of(open_place(now.crash({CrashPlan::Kind::all}), options)));
  DB* opened = nullptr;
  check_ok(DB::OpenForReadOnly(reader.options, "/db", &opened));
  reader.db.reset(opened);
  check_keys(reader, 0, 350);
  reader.db.reset();
  const CallCounts calls = reader.place.device->calls();
  CHECK(calls.total == calls.of(CallKind::read) + calls.of(CallKind::query));
}

TEST_CASE("a full disk stops writing, and not reading") {
  Database at(fresh());
  check_ok(at.open());
  put(at, 0, 100);
  at.place.device->set_capacity(at.place.device->image().size());
  Status status;
  int written = 100;
  while (status.ok() && written < 100'000) {
    status = at.db->Put(synced(), key_of(written), value_of_key(written));
    if (status.ok()) ++written;
  }
  CHECK(status.IsNoSpace());
  CHECK_FALSE(at.place.container->poisoned());
  check_keys(at, 0, std::min(written, 1000));
  at.place.device->set_capacity(SimulatedDevice::default_capacity);
  at.db.reset();
  check_ok(at.open());
  check_keys(at, 0, std::min(written, 1000));
  put(at, 0, 10);
}

// Synced puts, with flushes and a compaction in between; the power goes at some of the moments.
TEST_CASE("after a power cut a database has all that it acknowledged, and a prefix of the rest") {
  constexpr int keys = 260;
  Database at(fresh());
  at.options.write_buffer_size = 20 << 10;
  at.options.level0_file_num_compaction_trigger = 2;
  check_ok(at.open());
  at.place.device->keep_moments();
  std::vector<std::uint64_t> acknowledged;  // device calls, when key i was
  for (int i = 0; i < keys; ++i) {
    // Every fifth is not synced: it may be lost, but then so is all that follows.
    check_ok(
        at.db->Put(i % 5 == 4 ? rocksdb::WriteOptions() : synced(), key_of(i), value_of_key(i)));
    acknowledged.push_back(at.place.device->calls().total);
  }
  check_ok(at.db->Close());
  const std::vector<KeptMoment> moments = at.place.device->moments();
  std::uint64_t images = 0;
  for (std::size_t m = 0; m < moments.size(); m += 5) {
    int least = 0;
    for (int i = 0; i < keys; ++i) {
      if (i % 5 != 4 && acknowledged[static_cast<std::size_t>(i)] <= moments[m].calls)
        least = i + 1;
    }
    for (const CrashPlan& plan :
         {CrashPlan{.kind = CrashPlan::Kind::none}, CrashPlan{.kind = CrashPlan::Kind::all},
          CrashPlan{.kind = CrashPlan::Kind::some, .seed = m}}) {
      CAPTURE(moments[m].calls);
      CAPTURE(plan.describe());
      Database after(value_of(open_place(moments[m].moment.crash(plan))));
      check_ok(after.open());
      int found = 0;
      while (found < keys && after.get(key_of(found)) == value_of_key(found)) ++found;
      CHECK(found >= least);
      for (int i = found; i < keys; ++i) CHECK(after.get(key_of(i)).starts_with("(NotFound"));
      check_ok(after.db->Put(synced(), "after", "written"));
      check_ok(after.db->Close());
      CHECK(problem_with(after.place) == "");
      ++images;
    }
  }
  MESSAGE(moments.size() << " moments, " << images << " crash images of a database");
}
