// Runs a fuzz target without a fuzzer: once for every file named as an argument and for every file
// in a folder named as an argument. So the corpora, past finds included, are part of the tests
// under any compiler.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void try_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(1);
  }
  // Named before it is tried, so that a crash tells by which file.
  std::printf("%s\n", path.c_str());
  std::fflush(stdout);
  const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t tried = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      try_file(argv[i]);
      ++tried;
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      if (entry.is_regular_file()) {
        try_file(entry.path());
        ++tried;
      }
    }
  }
  std::printf("%zu files\n", tried);
  return tried > 0 ? 0 : 1;  // a corpus that is missing must not look like one that passed
}
