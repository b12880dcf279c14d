#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace once {

Error system_error(int number, std::string_view doing, const std::string& path) {
  ErrorCode code = ErrorCode::io;
  std::string_view advice = "check the disk and the system's log";
  if (number == EACCES || number == EPERM || number == EROFS) {
    code = ErrorCode::permission;
    advice = "check who owns it and who runs this program";
  } else if (number == ENOSPC || number == EDQUOT) {
    code = ErrorCode::no_space;
    advice = "free some space and try again";
  } else if (number == EFBIG) {
    code = ErrorCode::no_space;
    advice = "check the largest file that the system lets this program have (ulimit -f)";
  } else if (number == EMFILE || number == ENFILE) {
    advice = "close some files, or allow more of them (ulimit -n)";
  } else if (number == ENOENT || number == ENOTDIR || number == ENAMETOOLONG || number == ELOOP) {
    code = ErrorCode::store_missing;
    advice = "check the path; the directory above it must exist";
  }
  return {
      .code = code,
      .message = fmt::format("{} {}: {}; {}", doing, path,
                             std::error_code(number, std::generic_category()).message(), advice)};
}

Result<void> sync_directory(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return std::unexpected(system_error(errno, "opening", path));
  const int failed = ::fsync(directory) == 0 ? 0 : errno;
  ::close(directory);
  if (failed != 0) return std::unexpected(system_error(failed, "syncing", path));
  return {};
}

Result<void> sync_parent(const std::string& path) {
  // "x/store/" has the parent "x", too.
  std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();
  const std::string parent = normal.parent_path().string();
  return sync_directory(parent.empty() ? "." : parent);
}

bool is_in_place(int file, const std::string& name) {
  struct stat opened{};
  struct stat named{};
  return ::fstat(file, &opened) == 0 && ::stat(name.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace once
