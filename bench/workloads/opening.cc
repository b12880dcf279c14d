// B11, B12: opening what was closed in order, and what was killed with its log full; and the memory
// that takes. Each opening is in a process of its own.
#include <unistd.h>

#include "content.h"
#include "worker.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint64_t most_keys = 1'000'000;
constexpr std::uint64_t small_commits = 50;  // of 100 keys each, which stand in the log
constexpr std::uint64_t keys_of_a_commit = 100;

bool embedded(const std::string& rival) {
  return rival != "redis" && rival != "postgres" && rival != "once-cached" &&
         rival != "once-uncached";
}

std::uint64_t keys_of(const Stage& stage) {
  return std::min(stage.keys, most_keys);
}
std::uint64_t keys_after_kill(const Stage& stage) {
  return keys_of(stage) + small_commits * keys_of_a_commit;
}

// Made once: a folder with all keys, closed or killed.
fs::path prepared(Stage& stage, const std::string& rival, bool killed) {
  const fs::path folder = stage.folder / (rival + (killed ? "-killed" : "-closed"));
  if (!stage.prepared.emplace(folder.string(), true).second) return folder;
  Worker worker(rival, folder);
  worker.ask({{"do", "open"}});
  const auto keys = keys_of(stage);
  worker.ask({{"do", "fill"}, {"begin", 0}, {"end", keys}});
  if (!killed) {
    worker.close();
    return folder;
  }
  for (std::uint64_t at = keys; at < keys_after_kill(stage); at += keys_of_a_commit) {
    worker.ask({{"do", "fill"}, {"begin", at}, {"end", at + keys_of_a_commit}});
  }
  worker.kill();
  return folder;
}

Sample opened(const std::string& rival, const fs::path& folder, std::uint64_t keys, bool look) {
  Worker worker(rival, folder);
  const double us = worker.ask({{"do", "open"}}).at("us");
  Sample sample{.operations = 1, .per_second = 1e6 / us, .p50_us = us, .p99_us = us};
  sample.memory_bytes = worker.ask({{"do", "memory"}}).at("bytes");
  worker.ask({{"do", "expect"}, {"keys", keys}});
  worker.ask({{"do", "replay"}, {"times", 100}});
  if (look) worker.ask({{"do", "check"}});  // counts all, which takes long
  worker.close();
  return sample;
}

Samples open_closed(Stage& stage, Length) {
  Samples samples;
  for (const auto& rival : stage.rivals) {
    if (!embedded(rival)) continue;
    samples[rival] = opened(rival, prepared(stage, rival, false), keys_of(stage), false);
  }
  return samples;
}

Samples open_killed(Stage& stage, Length) {
  Samples samples;
  for (const auto& rival : stage.rivals) {
    if (!embedded(rival)) continue;
    const fs::path image = prepared(stage, rival, true);
    const fs::path copy = image.string() + "-copy";
    fs::copy(image, copy, fs::copy_options::recursive);
    sync();  // else the disk would be busy with the copy
    const bool first = stage.prepared.emplace(copy.string(), true).second;
    samples[rival] = opened(rival, copy, keys_after_kill(stage), first);
    fs::remove_all(copy);
  }
  return samples;
}

// After opening, or after as many random replays as there are keys, up to a million.
Samples memory(Stage& stage, bool replays) {
  Samples samples;
  for (const auto& rival : stage.rivals) {
    if (!embedded(rival)) continue;
    Worker worker(rival, prepared(stage, rival, false));
    const double us = worker.ask({{"do", "open"}}).at("us");
    Sample sample{.operations = 1, .per_second = 1e6 / us, .p50_us = us, .p99_us = us};
    if (replays) {
      worker.ask({{"do", "expect"}, {"keys", keys_of(stage)}});
      worker.ask({{"do", "replay"}, {"times", keys_of(stage)}});
    }
    sample.memory_bytes = worker.ask({{"do", "memory"}}).at("bytes");
    sample.figures["MiB"] = static_cast<double>(sample.memory_bytes) / (1 << 20);
    worker.close();
    samples[rival] = sample;
  }
  return samples;
}

}  // namespace

void add_opening(std::vector<Workload>& all) {
  all.push_back({.id = "B11",
                 .variant = "clean",
                 .what = "opening, with a first question",
                 .beside = open_closed});
  all.push_back({.id = "B11",
                 .variant = "after kill -9",
                 .what = "opening, with a first question",
                 .beside = open_killed});
  all.push_back({.id = "B12",
                 .variant = "after opening",
                 .what = "memory",
                 .rounds = 3,
                 .beside = [](Stage& stage, Length) { return memory(stage, false); }});
  all.push_back({.id = "B12",
                 .variant = "after replays",
                 .what = "memory after as many random replays as there are keys",
                 .rounds = 3,
                 .beside = [](Stage& stage, Length) { return memory(stage, true); }});
}

}  // namespace once::bench
