// A check of all bytes read a log to its end, and then looked whether something stood behind that
// end: what a writer had appended in between was told as damage.
#include <doctest/doctest.h>

#include <functional>

#include "container/container.h"
#include "support/check_result.h"
#include "support/simulated_device.h"

using namespace once;
using namespace once::testing;

namespace {

// Calls somebody before each read.
class WatchedDevice final : public container::Device {
 public:
  std::function<void()> before_read{};

  Result<void> read(std::uint64_t offset, std::size_t length, char* buffer) override {
    if (before_read) before_read();
    return device_.read(offset, length, buffer);
  }
  Result<void> write(std::uint64_t offset, std::string_view bytes) override {
    return device_.write(offset, bytes);
  }
  Result<void> sync() override { return device_.sync(); }
  Result<void> resize(std::uint64_t bytes) override { return device_.resize(bytes); }
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override {
    return device_.punch(offset, length);
  }
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override {
    return device_.allocate(offset, length);
  }
  void will_be_written(std::uint64_t, std::uint64_t) override {}
  void start_writing(std::uint64_t, std::uint64_t) override {}
  Result<std::uint64_t> size() override { return device_.size(); }
  Result<std::uint64_t> space_left() override { return device_.space_left(); }
  const std::string& name() const override { return device_.name(); }

 private:
  SimulatedDevice device_;
};

}  // namespace

TEST_CASE("a log that grows while all bytes are checked is no damage") {
  auto device = std::make_shared<WatchedDevice>();
  auto container =
      value_of(container::Container::open(device, std::make_shared<container::NoPins>(), {}));
  value_of(container->mark_created());
  auto log = value_of(container->create("/000001.log"));
  const auto commit = [&] {
    value_of(container->append(*log, "acknowledged"));
    value_of(container->sync(*log));
  };
  commit();
  bool appended = true;
  for (int at = 0; appended; ++at) {
    CAPTURE(at);
    appended = false;
    int left = at;
    device->before_read = [&] {
      if (left-- != 0) return;
      commit();
      commit();
      appended = true;
    };
    const auto report = value_of(container->fsck({}));
    device->before_read = {};
    for (const std::string& problem : report.problems) MESSAGE(problem);
    CHECK(report.problems.empty());
  }
}
