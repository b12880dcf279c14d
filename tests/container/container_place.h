// A container on a simulated device, with RocksDB's file system over it.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>
#include <string>

#include "container/container.h"
#include "container/file_model.h"
#include "support/simulated_device.h"

namespace once::testing {

struct ContainerPlace {
  std::shared_ptr<SimulatedDevice> device{};
  std::shared_ptr<container::Container> container{};
  std::shared_ptr<rocksdb::FileSystem> files{};
};

// The same bytes in every run; a journal that turns often.
[[nodiscard]] container::ContainerOptions test_options();

// Makes it if the device is empty.
Result<ContainerPlace> open_place(std::shared_ptr<SimulatedDevice> device,
                                  const container::ContainerOptions& options = test_options());
Result<ContainerPlace> open_place(const DiskImage& image,
                                  const container::ContainerOptions& options = test_options());

// Makes `runner` take care of the container's own calls: restart replaces what is in `place`.
void attach(Runner& runner, ContainerPlace& place);

// What is wrong with an open container by itself; empty: nothing.
std::string problem_with(ContainerPlace& place);

// Opens what a power cut has left, in every way, and compares it with what may be there. Gives what
// is wrong, or nothing:
//   - it opens to read without changing a byte, and to write, and both show what `floor` to
//     `ceiling` allow; every block is accounted for;
//   - what has been shown stays, closed in good order or not, through further power cuts;
//   - it can be written on.
std::string problem_after(const DiskImage& image, const FileModel& floor, const FileModel& ceiling);

}  // namespace once::testing
