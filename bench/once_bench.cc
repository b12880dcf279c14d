// once-bench: how fast the store is, as ratios to the floor of the disk measured in the same round.
//
// Every round runs the floor and every workload once, in turn, so that a disk that slows down slows
// all of them; the table gives the median of the rounds. Every answer is checked while it is timed,
// and the whole store at the end.
#include <fmt/format.h>
#include <sys/vfs.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>

#include "floor.h"
#include "layouts.h"
#include "settings.h"
#include "workloads.h"

namespace once::bench {

namespace {

struct Line {
  std::string name;
  std::function<Sample(std::chrono::nanoseconds)> run;
  std::vector<Sample> samples;
};

bool in_memory(const std::filesystem::path& path) {
  constexpr auto tmpfs_magic = 0x01021994;
  struct statfs facts{};
  return statfs(path.c_str(), &facts) == 0 && facts.f_type == tmpfs_magic;
}

void print(const std::vector<Line>& lines, const Settings& settings, std::size_t bytes) {
  if (!settings.json) {
    fmt::print("floor F: pwrite + fdatasync of {} bytes, as much as a commit appends\n", bytes);
    fmt::print("median of {} rounds of {:g} s; ops/F: operations in the time of one F\n\n",
               settings.rounds, settings.seconds);
    fmt::print("{:<32}{:>12}{:>12}{:>12}{:>10}\n", "", "ops/s", "p50 us", "p99 us", "ops/F");
  }
  std::string json;
  for (const auto& line : lines) {
    const double rate = median(line.samples, [](const Sample& s) { return s.per_second; });
    const double p50 = median(line.samples, [](const Sample& s) { return s.p50_us; });
    const double p99 = median(line.samples, [](const Sample& s) { return s.p99_us; });
    const double ratio = median_ratio(line.samples, lines.front().samples);
    if (settings.json) {
      json +=
          fmt::format(R"({}{{"name":"{}","ops_per_second":{:.1f},"p50_us":{:.2f},"p99_us":{:.2f},)"
                      R"("ops_per_floor":{:.3f}}})",
                      json.empty() ? "" : ",", line.name, rate, p50, p99, ratio);
    } else {
      fmt::print("{:<32}{:>12.0f}{:>12.1f}{:>12.1f}{:>10.2f}\n", line.name, rate, p50, p99, ratio);
    }
  }
  if (settings.json) {
    fmt::print(R"({{"floor_bytes":{},"rounds":{},"seconds":{:g},"results":[{}]}})", bytes,
               settings.rounds, settings.seconds, json);
    fmt::print("\n");
  }
}

void run(const Settings& settings) {
  const Scratch scratch(settings.folder);
  if (in_memory(scratch.path())) {
    fmt::print(stderr, "once-bench: {} is in memory, where a sync costs nothing; see --dir\n",
               settings.folder.string());
  }
  Workloads work(scratch.path(), settings.finished, Layout::file);
  Floor floor(scratch.path(), work.commit_bytes());

  using Length = std::chrono::nanoseconds;
  std::vector<Line> lines;
  lines.push_back({"floor", [&](Length length) { return floor.run(length); }, {}});
  for (const int threads : {1, 16}) {
    lines.push_back(
        {fmt::format("reserve + complete, {} thread{}", threads, threads > 1 ? "s" : ""),
         [&work, threads](Length length) { return work.reserve_complete(threads, length); },
         {}});
  }
  lines.push_back({"transact, 1 thread", [&](Length length) { return work.transact(length); }, {}});
  lines.push_back({"replay", [&](Length length) { return work.replay(length); }, {}});
  lines.push_back({"find, never seen", [&](Length length) { return work.absent(length); }, {}});
  lines.push_back({fmt::format("open, {} keys", settings.finished),
                   [&](Length length) { return work.open(length); },
                   {}});

  const auto length =
      std::chrono::duration_cast<Length>(std::chrono::duration<double>(settings.seconds));
  for (int round = 0; round < settings.rounds; ++round) {
    for (auto& line : lines) line.samples.push_back(line.run(length));
  }
  work.check_all();
  print(lines, settings, floor.bytes());
}

int main_of(int argc, char** argv) {
  CLI::App app("How fast the store is, against the floor of this disk in the same run.");
  Settings settings;
  bool quick = false;
  bool layouts = false;
  app.add_option("--dir", settings.folder, "a folder on the disk to measure")
      ->capture_default_str();
  app.add_option("--rounds", settings.rounds, "how often everything is run, in turn")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seconds", settings.seconds, "how long a workload runs in a round")
      ->check(CLI::Range(0.01, 600.0))
      ->capture_default_str();
  app.add_option("--keys", settings.finished, "finished keys in the store at the start")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_flag("--quick", quick, "3 rounds of 0.2 seconds");
  app.add_flag("--layouts", layouts,
               "compare one file with a directory instead; exit 2 if a ratio is below its least");
  app.add_flag("--json", settings.json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    settings.rounds = 3;
    settings.seconds = 0.2;
  }
  try {
    if (layouts) {
      if (!compare_layouts(settings)) return 2;
    } else {
      run(settings);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "once-bench: {}\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace

}  // namespace once::bench

int main(int argc, char** argv) {
  return once::bench::main_of(argc, argv);
}
