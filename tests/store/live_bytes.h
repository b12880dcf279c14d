// How small a store could be.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "once/store.h"
#include "support/check_result.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace once::testing {

// What RocksDB needs for the same rows in tables that were written once. Uses `copy` and `plain` in
// the directory. `options`: whose clock it is by.
inline std::uint64_t live_bytes(Store& store, const TemporaryDirectory& directory,
                                Options options = {}) {
  const std::string copy = directory.file("copy");
  std::filesystem::remove_all(copy);
  // In the layout of the options that the store was opened with.
  std::uint64_t bytes = 0;
  value_of(store.backup(copy));
  const std::string plain = directory.file("plain");
  std::filesystem::remove_all(plain);
  options.layout = Layout::directory;
  options.read_only = true;
  Store reader = value_of(Store::open(copy, options));
  value_of(reader.backup(plain));
  for (const auto& [name, content] : files_of(plain)) {
    if (name.ends_with(".sst")) bytes += content.size();
  }
  return bytes;
}

}  // namespace once::testing
