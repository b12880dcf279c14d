// Runs a fuzz target without a fuzzer:
//
//   NAME FILE...                     once for every file, and for every file in a folder. So the
//                                    corpora, past finds included, are part of the tests
//   NAME --seed N                    on the bytes that seed N stands for; those targets that can
//                                    tell every step
//   NAME --seconds S [--seed FIRST]  on those of one seed after another, for so long; from one that
//                                    the clock says, so that each time others are tried
//
// What fails tells by which file or seed.
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

// What to say when the program ends by a signal.
std::array<char, 256> last_words{};

void say_last_words(int signal) {
  [[maybe_unused]] const auto written =
      ::write(STDERR_FILENO, last_words.data(), std::strlen(last_words.data()));
  (void)std::signal(signal, SIG_DFL);
  (void)std::raise(signal);
}

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

void try_seed(const std::string& name, std::uint64_t seed) {
  std::snprintf(last_words.data(), last_words.size(),
                "failed by seed %llu; run it again: ./dev fuzz %s --seed %llu\n",
                static_cast<unsigned long long>(seed), name.c_str(),
                static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> bytes(random() % (random() % 4 == 0 ? 4096 : 1024));
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

int try_seeds(const std::string& name, std::optional<std::uint64_t> seed,
              std::optional<std::uint64_t> seconds) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    (void)std::signal(signal, say_last_words);
  }
  if (!seconds) {
    ::setenv("ONCE_FUZZ_TELL", "1", 1);
    try_seed(name, *seed);
    std::printf("seed %llu: no failure\n", static_cast<unsigned long long>(*seed));
    return 0;
  }
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(*seconds);
  std::uint64_t tried = 0;
  const std::uint64_t first = seed.value_or(static_cast<std::uint64_t>(
      std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds(1)));
  std::printf("from seed %llu on\n", static_cast<unsigned long long>(first));
  std::fflush(stdout);
  for (; Clock::now() < end; ++tried) try_seed(name, first + tried);
  std::printf("%llu executions, seeds %llu on\n", static_cast<unsigned long long>(tried),
              static_cast<unsigned long long>(first));
  return 0;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<std::uint64_t> seed;
  std::optional<std::uint64_t> seconds;
  std::size_t tried = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--seed" || argument == "--seconds") {
      auto& wanted = argument == "--seed" ? seed : seconds;
      wanted = i + 1 < argc ? number(argv[++i]) : std::nullopt;
      if (!wanted) {
        std::fprintf(stderr, "%s needs a number\n", argv[i]);
        return 2;
      }
      continue;
    }
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
  if (seed || seconds) {
    std::string name = std::filesystem::path(argv[0]).filename();
    name = name.substr(0, name.rfind('_'));
    return try_seeds(name, seed, seconds);
  }
  std::printf("%zu files\n", tried);
  return tried > 0 ? 0 : 1;  // a corpus that is missing must not look like one that passed
}
