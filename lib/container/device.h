// Device: the bytes that a container lives in, reduced to what can fail.
//
// All of a container's reading and writing goes through these few calls, so that a test can put a
// simulated device in their place that loses, tears and fails at will (tests/support).
//
// Invariants a device keeps:
//   1. What was written before sync() was called, and sync() answered ok, survives a power cut.
//   2. What was written since may survive whole, in part (in sectors of 512 bytes, in any order,
//   the
//      last one torn) or not at all. Bytes that were not written are not changed.
//   3. Space that resize() has added, or allocate() has been given, can be written without meeting
//   a
//      full disk.
// Fault model: any call may fail. A failed write may have happened in part. After a failed sync
// nothing that was written since the last good one can be relied on, and trying again proves
// nothing (the kernel marks the pages clean).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "once/error.h"

namespace once::container {

// Thread-safe.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  // Reads exactly `length` bytes into `buffer`. Errors: io; damaged if the device ends before.
  virtual Result<void> read(std::uint64_t offset, std::size_t length, char* buffer) = 0;
  // Writes all of it, within the device's size. Errors: io, no_space.
  virtual Result<void> write(std::uint64_t offset, std::string_view bytes) = 0;
  // Makes durable what was written, and the size. Errors: io.
  virtual Result<void> sync() = 0;
  // Grows with space that is really there (and reads as zeros), or cuts the end off. Not durable
  // before sync(). Errors: no_space (nothing was changed), io.
  virtual Result<void> resize(std::uint64_t bytes) = 0;
  // Takes the space of a range back from the disk; it reads as zeros afterwards. May do nothing.
  // Errors: io.
  virtual Result<void> punch(std::uint64_t offset, std::uint64_t length) = 0;
  // Makes sure that there is real space under a range that may have been punched.
  // Errors: no_space, io.
  virtual Result<void> allocate(std::uint64_t offset, std::uint64_t length) = 0;
  // Says that small writes are going to fill a range from its start, and that nothing that is in it
  // is needed: a hint, which changes no byte.
  virtual void will_be_written(std::uint64_t offset, std::uint64_t length) = 0;
  // Begins to bring a range to the disk, so that there is less left to do for sync(): a hint, too.
  virtual void start_writing(std::uint64_t offset, std::uint64_t length) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size() = 0;
  // Bytes that the device could still grow by, as far as it knows.
  [[nodiscard]] virtual Result<std::uint64_t> space_left() = 0;
  // For messages.
  [[nodiscard]] virtual const std::string& name() const = 0;
};

}  // namespace once::container
