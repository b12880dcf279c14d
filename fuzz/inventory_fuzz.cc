// Any bytes as the list of a directory's files (ONCE.files): damage is told, and what is read of it
// is what is found again when it has been written anew.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <set>
#include <string>

#include "check.h"
#include "engine/embedded/inventory.h"
#include "support/temporary_directory.h"

namespace {

using once::engine::Inventory;

// The tables that it may tell of.
std::set<std::string> names_in(const std::string& text) {
  std::set<std::string> names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;
    const std::string name = line.substr(1, line.find(' ') - 1);
    const bool can_be = name.ends_with(".sst") && name.size() < 200 &&
                        name.find_first_of(std::string("/\0", 2)) == std::string::npos;
    if (can_be) names.insert(name);
  }
  return names;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const testing::TemporaryDirectory directory{testing::quick_place()};
  const std::string text(view(data, size));
  const std::string path = directory.file("ONCE.files");
  std::ofstream(path, std::ios::binary) << text;
  Inventory read(directory.path());
  const auto loaded = read.load();
  if (!loaded) {
    ONCE_CHECK(loaded.error().code == ErrorCode::damaged);
    return 0;
  }
  const auto checked = read.check();
  // There is no log: whichever it lists is missing.
  ONCE_CHECK(checked || checked.error().code == ErrorCode::damaged);
  if (!checked) return 0;
  // What is noted of tables that are not there is forgotten.
  const auto names = names_in(text);
  for (const std::string& name : names) std::ofstream(directory.file(name)) << "x";
  ONCE_CHECK(read.start_writing().has_value());
  Inventory again(directory.path());
  ONCE_CHECK(again.load().has_value());
  ONCE_CHECK(again.check().has_value());
  for (const std::string& name : names) ONCE_CHECK(again.seen(name) == read.seen(name));
  return 0;
}
