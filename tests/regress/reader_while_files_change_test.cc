// A reader that had to look again, because the writer changed the files while it was opening them,
// aborted the process: it dropped the database before the handles of its column families.
// And one that met torn files at each try, because the writer changed them all the time, said that
// the store was damaged.
#include <doctest/doctest.h>
#include <rocksdb/file_system.h>

#include <condition_variable>
#include <fstream>
#include <thread>

#include "engine/embedded/embedded_engine.h"
#include "store/fixture.h"
#include "support/layouts.h"

using namespace once;
using namespace once::testing;

namespace {

// No file can be read as it should; and a manifest grows at each try, if a writer is to be at work.
class TornFiles final : public rocksdb::FileSystemWrapper {
 public:
  TornFiles(std::string path, bool busy)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), path_(std::move(path)), busy_(busy) {}
  const char* Name() const override { return "once.TornFiles"; }
  rocksdb::IOStatus NewSequentialFile(const std::string& name, const rocksdb::FileOptions&,
                                      std::unique_ptr<rocksdb::FSSequentialFile>*,
                                      rocksdb::IODebugContext*) override {
    if (busy_) std::ofstream(path_ + "/MANIFEST-999999", std::ios::app) << "more";
    return rocksdb::IOStatus::Corruption(name, "torn");
  }

 private:
  const std::string path_;
  const bool busy_;
};

ErrorCode code_of_reading(const std::string& path, bool busy) {
  const engine::PlaceConfig config{.options = {.layout = Layout::directory, .read_only = true},
                                   .file_system = std::make_shared<TornFiles>(path, busy)};
  const auto opened = engine::EmbeddedEngine::open(path, config);
  REQUIRE_FALSE(opened);
  return opened.error().code;
}

// Sweeps a few times whenever it is asked to.
class Sweeper {
 public:
  explicit Sweeper(Store& store) : store_(store), thread_([this] { run(); }) {}
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;
  ~Sweeper() {
    ask(-1);
    thread_.join();
  }
  void ask(int times) {
    const std::scoped_lock lock(mutex_);
    left_ = times;
    asked_.notify_one();
  }

 private:
  void run() {
    for (std::unique_lock lock(mutex_);;) {
      asked_.wait(lock, [&] { return left_ != 0; });
      if (left_ < 0) return;
      --left_;
      lock.unlock();
      value_of(store_.sweep());
      lock.lock();
    }
  }
  Store& store_;
  std::mutex mutex_;
  std::condition_variable asked_;
  int left_ = 0;
  std::thread thread_;
};

}  // namespace

TEST_CASE("what a reader meets while the files change at each try is no damage") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s");
  value_of(value_of(Store::open(path, {.layout = Layout::directory})).close());
  CHECK(code_of_reading(path, true) == ErrorCode::store_locked);
  CHECK(code_of_reading(path, false) == ErrorCode::damaged);
}

TEST_CASE_TEMPLATE("opening to read goes on while the writer makes and removes files", L, LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s");
  Store store = value_of(Store::open(path, {.layout = L::layout}));
  value_of(store.execute("k", [] { return Bytes("kept"); }));
  Sweeper sweeper(store);
  for (int i = 0; i < 30; ++i) {
    sweeper.ask(20);
    Store reader = value_of(Store::open(path, {.read_only = true}));
    CHECK(value_of(reader.find("k"))->outcome->value == "kept");
  }
}
