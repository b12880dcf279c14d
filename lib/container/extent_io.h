// Reading and writing a stream of bytes that lies in extents.
#pragma once

#include <cstdint>
#include <string_view>

#include "container/device.h"
#include "container/layout.h"
#include "once/bytes.h"

namespace once::container {

// Where byte `offset` of the stream stands in the device; for messages. Past the end: where it
// ends.
[[nodiscard]] std::uint64_t place_in(const Extents& extents, std::uint64_t offset);
// `offset + length` is within the extents; otherwise damaged.
Result<void> read_stream(Device& device, const Extents& extents, std::uint64_t offset,
                         std::size_t length, char* buffer);
Result<void> write_stream(Device& device, const Extents& extents, std::uint64_t offset,
                          std::string_view bytes);

// All bytes of the extents; zeros where the device does not give them.
[[nodiscard]] Bytes read_what_can_be(Device& device, const Extents& extents);

// Device::start_writing() of a piece of it.
void start_stream(Device& device, const Extents& extents, std::uint64_t offset,
                  std::uint64_t length);

}  // namespace once::container
