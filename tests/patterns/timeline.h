// What happened to several disks and to the world outside, in one order, so that the power can be
// cut, or the process killed, between any two of these.
//
//   Timeline timeline;
//   const auto device = timeline.add(std::make_shared<SimulatedDevice>());   // under a store
//   timeline.record();
//   ...
//   timeline.change([](World& world) { world.received("o1"); });
//   const Cut cut = timeline.at(random % timeline.size());
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "container/device.h"
#include "patterns/world.h"
#include "support/simulated_device.h"

namespace once::testing::patterns {

// Everything between two things that happened.
struct Cut {
  std::vector<Moment> disks{};
  World world{};
};

// Thread-safe.
class Timeline {
 public:
  explicit Timeline(World world = {}) : world_(std::move(world)) {}
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  // Disks are counted in the order in which they come. The timeline must outlive what is returned.
  [[nodiscard]] std::shared_ptr<container::Device> add(std::shared_ptr<SimulatedDevice> device);

  // Changes the world: one thing that happens.
  void change(const std::function<void(World&)>& change);
  [[nodiscard]] World world() const;

  // Keeps what happens from now on, and forgets what was kept.
  void record();
  void stop();
  // How many cuts there are: one more than things that happened.
  [[nodiscard]] std::size_t size() const;
  // After the first `index` of them.
  [[nodiscard]] Cut at(std::size_t index) const;

 private:
  class Watched;
  // Either a disk or the world.
  struct Entry {
    std::size_t disk = 0;
    std::shared_ptr<const Moment> moment{};
    std::shared_ptr<const World> world{};
  };

  mutable Mutex mutex_;
  World world_ ONCE_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<SimulatedDevice>> disks_ ONCE_GUARDED_BY(mutex_);
  bool recording_ ONCE_GUARDED_BY(mutex_) = false;
  Cut base_ ONCE_GUARDED_BY(mutex_);
  std::vector<Entry> entries_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::testing::patterns
