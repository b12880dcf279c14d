// The floor: what one durable write costs on this disk at this moment, and so what no store can
// beat: one pwrite and one fdatasync into space that was written before, so that the file system
// has nothing to record but the data.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>

#include "measure.h"

namespace once::bench {

class Floor {
 public:
  // Makes a file in `folder` and writes it full, for writes of `bytes` each. Throws
  // std::system_error.
  Floor(const std::filesystem::path& folder, std::size_t bytes);
  Floor(const Floor&) = delete;
  Floor& operator=(const Floor&) = delete;
  ~Floor();

  Sample run(std::chrono::nanoseconds length);
  [[nodiscard]] std::size_t bytes() const { return block_.size(); }

 private:
  std::string block_;
  int file_;
  std::size_t offset_ = 0;
};

}  // namespace once::bench
