// The ways in which a store is kept on disk, for tests of what must hold in each of them:
//
//   TEST_CASE_TEMPLATE("a promise", L, LAYOUTS) {
//     Store store = value_of(Store::open(path, {.layout = L::layout}));
//
// Only whoever makes the store says it; a store that is there is recognised.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "once/options.h"
#include "support/files.h"

namespace once::testing {

struct InFile {
  static constexpr Layout layout = Layout::file;
};
struct InDirectory {
  static constexpr Layout layout = Layout::directory;
};
#define LAYOUTS InFile, InDirectory

// All bytes of a store, by the name of the file; a store that is one file has no names.
inline std::map<std::string, std::string> content_of(const std::string& store) {
  if (std::filesystem::is_directory(store)) return files_of(store);
  return {{"", read_file(store)}};
}

}  // namespace once::testing
