// A store in memory: it comes and goes with whoever opened it, and nobody else sees it.
#include "base/error.h"
#include "engine/embedded/place.h"
#include "engine/embedded/threads_env.h"

namespace once::engine {
namespace {

class MemoryPlace final : public Place {
 public:
  const std::string& name() const override { return name_; }
  rocksdb::Env* env() override { return env_.get(); }
  const std::string& database() const override { return database_; }

  Result<void> open_for_writing() override { return {}; }
  bool fresh() const override { return fresh_; }
  Result<void> mark_created() override {
    fresh_ = false;
    return {};
  }
  std::size_t logs() const override { return 0; }
  Result<void> note_closed() override { return {}; }
  Result<void> move_to(const std::string& path) override {
    return fail(ErrorCode::unsupported, "a store in memory cannot be put at {}", path);
  }
  void unlock() override {}

  Result<void> begin_reading() override {
    return fail(ErrorCode::store_missing,
                "a store in memory is new whenever it is opened, so that there is nothing to read "
                "in it");
  }
  bool saw_one_state(bool) override { return true; }

  Result<void> admit(std::size_t, bool, const Unflushed&) override { return {}; }
  Result<void> admit_flush(const Unflushed&) override { return {}; }
  bool knows_room() const override { return false; }

  std::uint64_t bytes() override { return 0; }
  FreeBytes free_bytes() override { return {}; }
  Result<void> give_back() override { return {}; }
  Result<void> compact(const Progress&) override { return {}; }
  std::shared_ptr<void> clean_up() override { return nullptr; }
  Result<CheckedBytes> check_bytes(const Progress&, const Problem&) override {
    return CheckedBytes();
  }
  std::string advice_on_damage() const override { return "Check the memory of this machine"; }

 private:
  const std::string name_ = "the store in memory";
  const std::string database_ = "/once";
  bool fresh_ = true;
  const std::unique_ptr<rocksdb::Env> env_ =
      make_threads_env(std::unique_ptr<rocksdb::Env>(rocksdb::NewMemEnv(rocksdb::Env::Default())));
};

}  // namespace

std::unique_ptr<Place> make_memory_place() {
  return std::make_unique<MemoryPlace>();
}

}  // namespace once::engine
