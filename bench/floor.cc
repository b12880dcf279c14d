#include "floor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace once::bench {

namespace {

constexpr std::size_t file_bytes = std::size_t{16} << 20;

void require(bool holds, const char* what) {
  if (!holds) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Floor::Floor(const std::filesystem::path& folder, std::size_t bytes)
    : block_(bytes, 'x'),
      file_(open((folder / "floor").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
  require(file_ >= 0, "making the file of the floor");
  const std::string zeros(std::size_t{1} << 20, '\0');
  for (std::size_t at = 0; at < file_bytes; at += zeros.size()) {
    const auto written = pwrite(file_, zeros.data(), zeros.size(), static_cast<off_t>(at));
    require(written == static_cast<ssize_t>(zeros.size()), "filling the file of the floor");
  }
  require(fsync(file_) == 0, "syncing the file of the floor");
}

Floor::~Floor() {
  close(file_);
}

Sample Floor::run(std::chrono::nanoseconds length) {
  return measure(1, length, [&] {
    if (offset_ + block_.size() > file_bytes) offset_ = 0;
    const auto written = pwrite(file_, block_.data(), block_.size(), static_cast<off_t>(offset_));
    require(written == static_cast<ssize_t>(block_.size()), "writing the floor");
    require(fdatasync(file_) == 0, "syncing the floor");
    offset_ += block_.size();
  });
}

}  // namespace once::bench
