#include "layouts/layouts.h"

#include <fmt/format.h>

#include <functional>
#include <string>

#include "layouts/stores.h"

namespace once::bench {
namespace {

struct Pair {
  std::string name;
  double least;  // what the ratio is to be
  std::function<Sample(Stores&, Stores::Length)> run;
  std::vector<Sample> file{};
  std::vector<Sample> directory{};
};

double rate(const std::vector<Sample>& samples) {
  return median(samples, [](const Sample& sample) { return sample.per_second; });
}

std::vector<Pair> pairs() {
  using Length = Stores::Length;
  return {
      {"synced commits, 1 thread", 1.3, [](Stores& w, Length l) { return w.transact(l); }},
      {"synced commits, 32 threads", 1.0,
       [](Stores& w, Length l) { return w.reserve_complete(32, l); }},
      {"unsynced commits, 1 thread", 0.95, [](Stores& w, Length l) { return w.buffered(l); }},
      {"point reads", 0.95, [](Stores& w, Length l) { return w.read(l); }},
  };
}

}  // namespace

bool compare_layouts(const Settings& settings) {
  const Scratch scratch(settings.folder);
  std::filesystem::create_directories(scratch.path() / "one");
  std::filesystem::create_directories(scratch.path() / "many");
  Stores file(scratch.path() / "one", settings.finished, Layout::file);
  Stores directory(scratch.path() / "many", settings.finished, Layout::directory);
  const auto length =
      std::chrono::duration_cast<Stores::Length>(std::chrono::duration<double>(settings.seconds));
  std::vector<Pair> all = pairs();
  for (int round = 0; round < settings.rounds; ++round) {
    for (Pair& pair : all) {
      // Who goes first changes, so that neither always follows the other.
      for (int turn = 0; turn < 2; ++turn) {
        const bool one = (turn + round) % 2 == 0;
        (one ? pair.file : pair.directory).push_back(pair.run(one ? file : directory, length));
      }
    }
  }
  file.check_all();
  directory.check_all();

  std::string json;
  bool reached = true;
  if (!settings.json) {
    fmt::print("median of {} rounds of {:g} s, in turn; ratio: one file to a directory\n\n",
               settings.rounds, settings.seconds);
    fmt::print("{:<32}{:>14}{:>14}{:>10}{:>10}\n", "", "file ops/s", "dir ops/s", "ratio", "least");
  }
  for (const Pair& pair : all) {
    const double ratio = median_ratio(pair.file, pair.directory);
    reached = reached && ratio >= pair.least;
    if (settings.json) {
      json +=
          fmt::format(R"({}{{"name":"{}","file_per_second":{:.1f},"directory_per_second":{:.1f},)"
                      R"("ratio":{:.3f},"least":{:g}}})",
                      json.empty() ? "" : ",", pair.name, rate(pair.file), rate(pair.directory),
                      ratio, pair.least);
    } else {
      fmt::print("{:<32}{:>14.0f}{:>14.0f}{:>10.2f}{:>10.2f}\n", pair.name, rate(pair.file),
                 rate(pair.directory), ratio, pair.least);
    }
  }
  if (settings.json) {
    fmt::print(R"({{"rounds":{},"seconds":{:g},"results":[{}]}})", settings.rounds,
               settings.seconds, json);
    fmt::print("\n");
  }
  return reached;
}

}  // namespace once::bench
