#include "recovery/quick_place.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <utility>

namespace once::testing {

namespace {

class QuickEnv final : public rocksdb::EnvWrapper {
 public:
  explicit QuickEnv(Env* target) : EnvWrapper(target) {
    // Or else there would be a wrapper for old ones in between, which drops the options of files,
    // and with them which tables are rewrites: those would take what a full disk keeps in reserve.
    file_system_ = target->GetFileSystem();
  }
  void SleepForMicroseconds(int micros) override {
    EnvWrapper::SleepForMicroseconds(std::min(micros, 200));
  }
};

class QuickPlace final : public engine::Place {
 public:
  explicit QuickPlace(std::unique_ptr<Place> target) : target_(std::move(target)) {}
  ~QuickPlace() override { env_.reset(); }

  const std::string& name() const override { return target_->name(); }
  rocksdb::Env* env() override { return env_.get(); }
  const std::string& database() const override { return target_->database(); }
  Result<void> open_for_writing() override { return with_env(target_->open_for_writing()); }
  bool fresh() const override { return target_->fresh(); }
  Result<void> mark_created() override { return target_->mark_created(); }
  std::size_t logs() const override { return target_->logs(); }
  Result<void> note_closed() override { return target_->note_closed(); }
  Result<void> move_to(const std::string& path) override { return target_->move_to(path); }
  void unlock() override {
    env_.reset();
    target_->unlock();
  }
  Result<void> begin_reading() override {
    env_.reset();
    return with_env(target_->begin_reading());
  }
  bool saw_one_state(bool opened) override { return target_->saw_one_state(opened); }
  Result<void> admit(std::size_t bytes, bool from_reserve, const Unflushed& unflushed) override {
    return target_->admit(bytes, from_reserve, unflushed);
  }
  Result<void> admit_flush(const Unflushed& unflushed) override {
    return target_->admit_flush(unflushed);
  }
  bool knows_room() const override { return target_->knows_room(); }
  std::uint64_t bytes() override { return target_->bytes(); }
  Result<void> give_back() override { return target_->give_back(); }
  engine::FreeBytes free_bytes() override { return target_->free_bytes(); }
  Result<void> compact(const Progress& progress) override { return target_->compact(progress); }
  std::shared_ptr<void> clean_up() override { return target_->clean_up(); }
  Result<engine::CheckedBytes> check_bytes(const Progress& progress,
                                           const engine::Problem& problem) override {
    return target_->check_bytes(progress, problem);
  }
  std::string advice_on_damage() const override { return target_->advice_on_damage(); }

 private:
  Result<void> with_env(Result<void> opened) {
    if (opened) env_ = std::make_unique<QuickEnv>(target_->env());
    return opened;
  }

  const std::unique_ptr<Place> target_;
  std::unique_ptr<QuickEnv> env_;
};

}  // namespace

std::unique_ptr<engine::Place> make_quick(std::unique_ptr<engine::Place> place) {
  return std::make_unique<QuickPlace>(std::move(place));
}

}  // namespace once::testing
