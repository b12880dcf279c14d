// HostDevice: a Device over an open file of the operating system.
//
// What it asks of the file system: pread, pwrite, fdatasync, ftruncate. Where fallocate(2) is
// known, space is reserved and given back by it; where it is not, growing writes zeros, and nothing
// is given back before the end is cut off. Fault model: that of device.h. A sync that failed is not
// tried again, not even for a signal.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/mutex.h"
#include "container/device.h"

namespace once::container {

enum class HostAccess : std::uint8_t { write, read };

class HostDevice : public Device {
 public:
  // Borrows `file`, which must be a regular one, open for as long. `name` is for messages. In a
  // forked child every call answers `forked`: the number may be another file's there.
  HostDevice(int file, std::string name, HostAccess access);

  Result<void> read(std::uint64_t offset, std::size_t length, char* buffer) override;
  Result<void> write(std::uint64_t offset, std::string_view bytes) override;
  Result<void> sync() override;
  Result<void> resize(std::uint64_t bytes) override ONCE_EXCLUDES(resizing_);
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override;
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override;
  void start_writing(std::uint64_t offset, std::uint64_t length) override;
  void will_be_written(std::uint64_t offset, std::uint64_t length) override;
  Result<std::uint64_t> size() override;
  Result<std::uint64_t> space_left() override;
  const std::string& name() const override { return name_; }

  // Whether calls that do this may be made here at all. Errors: forked, unsupported.
  [[nodiscard]] Result<void> allowed(HostAccess access) const;

 protected:
  // fallocate(2): 0, or errno. For tests, which let it fail.
  virtual int fallocate_once(int mode, std::uint64_t offset, std::uint64_t length);

 private:
  [[nodiscard]] bool is_over_the_limit(std::uint64_t end);
  int fallocate_fully(int mode, std::uint64_t offset, std::uint64_t length);
  Result<void> grow(std::uint64_t from, std::uint64_t to) ONCE_REQUIRES(resizing_);
  Result<void> write_zeros(std::uint64_t from, std::uint64_t to);

  const int file_;
  const std::string name_;
  const HostAccess access_;
  const std::uint32_t generation_;
  std::atomic<std::int64_t> limit_asked_ = -1;  // when limit_ was, in nanoseconds
  std::atomic<std::uint64_t> limit_ = 0;
  // What a failed growing takes back must not be what another one has added.
  Mutex resizing_;
};

}  // namespace once::container
