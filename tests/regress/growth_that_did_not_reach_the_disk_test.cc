// A container that was to become longer, and whose sync failed, stayed longer as far as the kernel
// shows it. Who opened it next put files there, and a power cut took the end of the file away
// again: the journal then told of blocks that are not there, and nothing opened it any more.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "container/container.h"
#include "support/check_result.h"
#include "support/simulated_device.h"

using namespace once;
using namespace once::testing;

namespace {

std::unique_ptr<container::Container> open(const std::shared_ptr<SimulatedDevice>& device) {
  return value_of(container::Container::open(device, std::make_shared<container::NoPins>(), {}));
}

void append_all(container::Container& store, const std::string& path, std::size_t bytes) {
  const auto file = value_of(store.create(path));
  value_of(store.append(*file, std::string(bytes, 'x')));
  value_of(store.sync(*file));
}

}  // namespace

TEST_CASE("nothing is kept in space that a failed sync has left adrift") {
  const auto device = std::make_shared<SimulatedDevice>();
  value_of(open(device)->mark_created());
  {
    const auto store = open(device);
    const std::uint64_t before = value_of(device->size());
    const auto file = value_of(store->create("/more"));
    device->inject({.kind = CallKind::sync});
    CHECK_FALSE(store->append(*file, std::string(before, 'x')));
    CHECK(device->struck().of(CallKind::sync) == 1);
    CHECK(value_of(device->size()) == before);
  }
  {
    const auto store = open(device);
    // Fills all there was, and needs more.
    append_all(*store, "/kept", value_of(device->size()) + 100);
  }
  const auto after =
      std::make_shared<SimulatedDevice>(device->moment().crash({.kind = CrashPlan::Kind::none}));
  const auto store = open(after);
  const auto file = value_of(store->open_file("/kept"));
  REQUIRE(file != nullptr);
  CHECK(store->size(*file) > 100);
}
