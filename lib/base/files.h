// Files as the operating system sees them: what it says when something fails, and names that last.
//
//   const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
//   if (file < 0) return std::unexpected(system_error(errno, "opening", path));
#pragma once

#include <string>
#include <string_view>

#include "once/error.h"

namespace once {

// An error for what a system call said (errno).
[[nodiscard]] Error system_error(int number, std::string_view doing, const std::string& path);

// Makes names in the directory durable.
[[nodiscard]] Result<void> sync_directory(const std::string& path);
// Makes the name of `path` itself durable.
[[nodiscard]] Result<void> sync_parent(const std::string& path);

// Whether the open file is still the one that is found under the name: whoever held its lock before
// may have moved or removed it.
[[nodiscard]] bool is_in_place(int file, const std::string& name);

}  // namespace once
