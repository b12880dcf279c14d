// What the tests of host files share: a place for one, and a small whole store in it.
#pragma once

#include <unistd.h>

#include <memory>
#include <string>

#include "container/host_file.h"
#include "container/host_place.h"
#include "container/layout.h"
#include "support/check_result.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace once::testing {

// Stands for a container: begins as one does, and is larger than what is before the blocks.
inline std::string whole_store(char fill = 's') {
  std::string bytes(65'536, fill);
  bytes.replace(0, container::container_magic.size(), container::container_magic);
  bytes.replace(container::holder_offset, container::block_bytes, container::block_bytes, '\0');
  return bytes;
}

// The same but for the holder page.
inline bool same_store(std::string one, std::string other) {
  for (std::string* bytes : {&one, &other}) {
    if (bytes->size() > container::holder_offset) {
      bytes->erase(container::holder_offset, container::block_bytes);
    }
  }
  return one == other;
}

inline bool is_whole(const std::string& path, char fill = 's') {
  return same_store(read_file(path), whole_store(fill));
}

struct HostPlace {
  TemporaryDirectory directory{quick_place()};
  std::string path = directory.file("x.once");
  std::string beside = path + ".new";

  using Opened = Result<std::unique_ptr<container::HostFile>>;

  [[nodiscard]] Opened open(const container::HostFileOptions& options = {}) const {
    return container::HostFile::open_for_writing(path, options, *system_clock());
  }
  [[nodiscard]] Opened open_to_read(const container::HostFileOptions& options = {}) const {
    return container::HostFile::open_for_reading(path, options);
  }
  // Makes the store that is to be in an empty() file.
  static Result<void> fill(container::HostFile& file, const std::string& bytes = whole_store()) {
    if (auto grown = file.device().resize(bytes.size()); !grown) return grown;
    if (auto written = file.device().write(0, bytes); !written) return written;
    return file.device().sync();
  }
  // A whole store under its name, open.
  [[nodiscard]] std::unique_ptr<container::HostFile> make() const {
    auto file = value_of(open());
    REQUIRE(file->empty());
    value_of(fill(*file));
    value_of(file->publish());
    value_of(file->announce());
    return file;
  }
};

inline bool says(const Error& error, const std::string& part) {
  return error.message.find(part) != std::string::npos;
}

inline std::string pid_text(pid_t pid) {
  return "pid " + std::to_string(pid) + " (";
}

}  // namespace once::testing
