// once-bench: Once and what a user would take instead, side by side, in one run on one disk.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>

#include "comparison.h"
#include "layouts/layouts.h"
#include "report/machine.h"
#include "settings.h"
#include "worker.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

std::vector<std::string> workload_ids() {
  std::vector<std::string> ids;
  for (const Workload& workload : all_workloads()) {
    if (!contains(ids, workload.id)) ids.push_back(workload.id);
  }
  return ids;
}

std::vector<std::string> rival_names() {
  std::vector<std::string> names;
  for (const Make& make : all_rivals()) {
    if (!make.name.starts_with("once-")) names.push_back(make.name);
  }
  return names;
}

void list() {
  std::string last;
  for (const Workload& workload : all_workloads()) {
    const std::string line = fmt::format("{:<6}{}", workload.id, workload.what);
    if (line != last) fmt::print("{}{}\n", line, workload.takes_long ? " (--long)" : "");
    last = line;
  }
  fmt::print("\n");
  for (const Make& make : all_rivals()) {
    fmt::print("{:<18}{}\n", make.name, make.open ? make.about : make.missing);
  }
}

void compare(const Settings& settings) {
  if (in_memory(settings.folder)) {
    fmt::print(stderr, "once-bench: {} is in memory, where a sync costs nothing; see --dir\n",
               settings.folder.string());
  }
  const Results results = compare_rivals(settings);
  fmt::print("{}", settings.json ? json(results) : table(results));
  if (settings.report.empty()) return;
  const auto write = [](const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file) throw std::runtime_error("writing " + path.string() + " failed");
    fmt::print(stderr, "once-bench: wrote {}\n", path.string());
  };
  if (settings.report.has_parent_path()) {
    std::filesystem::create_directories(settings.report.parent_path());
  }
  write(settings.report, page_html(results));
  auto chart = settings.report;
  write(chart.replace_extension(".svg"), chart_svg(results));
}

int main_of(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "--worker") {
    return work_for_benchmark(argv[2], argv[3]);
  }
  CLI::App app("Once and what a user would take instead, side by side, in one run on one disk.");
  Settings settings;
  const auto own = std::filesystem::read_symlink("/proc/self/exe");
  settings.tool = own.parent_path().parent_path() / "once";
  settings.report = own.parent_path().parent_path() / "report.html";
  bool quick = false;
  bool layouts = false;
  bool names = false;
  app.add_option("--dir", settings.folder, "a folder on the disk to measure")
      ->capture_default_str();
  auto* rounds = app.add_option("--rounds", settings.rounds, "how often everything is run, in turn")
                     ->check(CLI::Range(1, 1000))
                     ->capture_default_str();
  auto* seconds =
      app.add_option("--seconds", settings.seconds, "how long a workload runs in a round")
          ->check(CLI::Range(0.01, 600.0))
          ->capture_default_str();
  app.add_option("--keys", settings.finished,
                 "finished keys at the start [1000000; 20000 with --quick; 10000 with --layouts]")
      ->check(CLI::Range(100, 100'000'000));
  app.add_option("--only", settings.only, "only these workloads, as in B1,B4")
      ->delimiter(',')
      ->check(CLI::IsMember(workload_ids()));
  app.add_option("--rivals", settings.rivals, "only these, as in once,sqlite")
      ->delimiter(',')
      ->check(CLI::IsMember(rival_names()));
  app.add_flag("--quick", quick, "all but the long ones in under three minutes");
  app.add_flag("--long", settings.long_ones, "the workloads that take minutes each, too");
  app.add_flag("--list", names, "list workloads and rivals");
  app.add_flag("--layouts", layouts,
               "compare one file with a directory instead; exit 2 if a ratio is below its least");
  app.add_flag("--json", settings.json, "print JSON");
  app.add_option("--report", settings.report, "where to write the page; empty: nowhere")
      ->capture_default_str();
  app.add_option("--tool", settings.tool, "the command-line tool, for B15")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    if (rounds->empty()) settings.rounds = layouts ? 3 : 5;
    if (seconds->empty()) settings.seconds = layouts ? 0.2 : 0.05;
  }
  if (settings.finished == 0) {
    settings.finished = layouts ? 10'000 : quick ? 20'000 : 1'000'000;
  }
  try {
    if (names) {
      list();
    } else if (layouts) {
      if (!compare_layouts(settings)) return 2;
    } else {
      compare(settings);
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
