// Where something is, as losses and lists of files name it.
#pragma once

#include <fmt/format.h>
#include <rocksdb/metadata.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/file_name.h"

namespace once::engine {

[[nodiscard]] inline std::string in_directory(const rocksdb::LiveFileMetaData& file) {
  return std::string(file_name_of(file.name));
}

// The first and the last of these bytes, for people.
[[nodiscard]] inline std::string bytes_from(std::uint64_t offset, std::uint64_t length) {
  return fmt::format("bytes {} to {}", offset, offset + std::max<std::uint64_t>(length, 1) - 1);
}

}  // namespace once::engine
