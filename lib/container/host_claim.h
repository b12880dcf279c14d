// WriterClaim: which files this process has open for writing, whatever they are called.
//
// A lock would keep the second opening out as well, but only this tells at once that waiting is of
// no use: who waits for its own process waits for itself. A forked child starts with none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace once::container {

// Of one file; gives it up when destroyed.
class WriterClaim {
 public:
  // nullopt: this process has claimed the file already. Thread-safe.
  [[nodiscard]] static std::optional<WriterClaim> take(dev_t device, ino_t inode);

  WriterClaim(WriterClaim&& other) noexcept;
  WriterClaim& operator=(WriterClaim&& other) noexcept;
  ~WriterClaim() { give_up(); }

 private:
  WriterClaim(dev_t device, ino_t inode, std::uint32_t generation)
      : device_(device), inode_(inode), generation_(generation), held_(true) {}
  void give_up();

  dev_t device_;
  ino_t inode_;
  std::uint32_t generation_;
  bool held_;
};

}  // namespace once::container
