#include "patterns/timeline.h"

#include <algorithm>
#include <utility>

namespace once::testing::patterns {

// Hands every call on, and keeps what it changed. One call at a time, over all disks, so that there
// is one order.
class Timeline::Watched final : public container::Device {
 public:
  Watched(Timeline& timeline, std::size_t disk, std::shared_ptr<SimulatedDevice> target)
      : timeline_(timeline), disk_(disk), target_(std::move(target)) {}

  Result<void> read(std::uint64_t offset, std::size_t length, char* buffer) override {
    return target_->read(offset, length, buffer);
  }
  Result<void> write(std::uint64_t offset, std::string_view bytes) override {
    return changing([&] { return target_->write(offset, bytes); });
  }
  Result<void> sync() override {
    return changing([&] { return target_->sync(); });
  }
  Result<void> resize(std::uint64_t bytes) override {
    return changing([&] { return target_->resize(bytes); });
  }
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override {
    return changing([&] { return target_->punch(offset, length); });
  }
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override {
    return changing([&] { return target_->allocate(offset, length); });
  }
  void will_be_written(std::uint64_t offset, std::uint64_t length) override {
    target_->will_be_written(offset, length);
  }
  void start_writing(std::uint64_t offset, std::uint64_t length) override {
    target_->start_writing(offset, length);
  }
  Result<std::uint64_t> size() override { return target_->size(); }
  Result<std::uint64_t> space_left() override { return target_->space_left(); }
  const std::string& name() const override { return target_->name(); }

 private:
  template <class Call>
  Result<void> changing(Call call) {
    MutexLock lock(timeline_.mutex_);
    auto done = call();
    if (timeline_.recording_) {
      timeline_.entries_.push_back(
          {.disk = disk_, .moment = std::make_shared<const Moment>(target_->moment())});
    }
    return done;
  }

  Timeline& timeline_;
  const std::size_t disk_;
  const std::shared_ptr<SimulatedDevice> target_;
};

std::shared_ptr<container::Device> Timeline::add(std::shared_ptr<SimulatedDevice> device) {
  MutexLock lock(mutex_);
  disks_.push_back(device);
  return std::make_shared<Watched>(*this, disks_.size() - 1, std::move(device));
}

void Timeline::change(const std::function<void(World&)>& change) {
  MutexLock lock(mutex_);
  change(world_);
  if (recording_) entries_.push_back({.world = std::make_shared<const World>(world_)});
}

World Timeline::world() const {
  MutexLock lock(mutex_);
  return world_;
}

void Timeline::record() {
  MutexLock lock(mutex_);
  recording_ = true;
  entries_.clear();
  base_ = {.disks = {}, .world = world_};
  for (const auto& disk : disks_) base_.disks.push_back(disk->moment());
}

void Timeline::stop() {
  MutexLock lock(mutex_);
  recording_ = false;
}

std::size_t Timeline::size() const {
  MutexLock lock(mutex_);
  return entries_.size() + 1;
}

Cut Timeline::at(std::size_t index) const {
  MutexLock lock(mutex_);
  Cut cut = base_;
  const World* world = nullptr;
  std::vector<const Moment*> moments(cut.disks.size(), nullptr);
  for (std::size_t i = 0; i < std::min(index, entries_.size()); ++i) {
    const Entry& entry = entries_[i];
    if (entry.world) {
      world = entry.world.get();
    } else {
      moments[entry.disk] = entry.moment.get();
    }
  }
  if (world != nullptr) cut.world = *world;
  for (std::size_t disk = 0; disk < moments.size(); ++disk) {
    if (moments[disk] != nullptr) cut.disks[disk] = *moments[disk];
  }
  return cut;
}

}  // namespace once::testing::patterns
