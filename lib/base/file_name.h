// The name of a file within its directory.
#pragma once

#include <string_view>

namespace once {

// What stands behind the last slash of `path`; all of it, if there is none. Borrows `path`.
[[nodiscard]] inline std::string_view file_name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace once
