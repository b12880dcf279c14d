// On a full disk, in a store opened again, the space kept in reserve was not found behind a hole:
// nothing could be removed, and so no room be made.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "base/mutex.h"
#include "container/container_place.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using container::Extents;

namespace {

constexpr std::uint64_t bytes = std::uint64_t{8} << 20;

// A killed container with that many bytes free, in one run; returns where.
Extents leave_free(const std::shared_ptr<SimulatedDevice>& device) {
  const ContainerPlace place = value_of(open_place(device, test_options()));
  const auto file = value_of(place.container->create("/large"));
  value_of(place.container->append(*file, std::string(bytes, 'x')));
  value_of(place.container->sync(*file));
  value_of(place.container->remove("/large"));
  value_of(place.container->sync_names());
  MutexLock lock(file->mutex);
  return *file->extents;
}

}  // namespace

TEST_CASE("on a full disk what is free counts wherever the holes are") {
  for (const std::uint64_t hole : {std::uint64_t{0}, bytes / 8, bytes / 2}) {
    CAPTURE(hole);
    const auto device = std::make_shared<SimulatedDevice>();
    const Extents free = leave_free(device);
    REQUIRE(free.size() == 1);
    value_of(device->punch(free[0].offset + hole, container::block_bytes));
    device->set_capacity(device->image().space());
    ContainerPlace place = value_of(open_place(device, test_options()));
    constexpr std::uint64_t admitted = bytes / 4 + 12'345;
    value_of(place.container->admit(admitted, true, {}));
    // Nor is more said to be there than there is.
    CHECK_FALSE(place.container->admit(bytes / 2, true, {}).has_value());
    const auto file = value_of(place.container->create("/small.log"));
    value_of(place.container->append(*file, std::string(admitted, 'y')));
    value_of(place.container->sync(*file));
    CHECK(problem_with(place) == "");
  }
}
