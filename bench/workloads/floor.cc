// F: what one durable write costs on this disk at this moment; see floor.h.
#include "floor.h"

#include <memory>

#include "content.h"
#include "once/once.h"
#include "workloads/workload.h"

namespace once::bench {

void add_floor(std::vector<Workload>& all) {
  all.push_back({.id = "F",
                 .variant = "",
                 .what = "the floor: pwrite + fdatasync, as much as a commit of Once appends",
                 .beside = [floor = std::make_shared<std::unique_ptr<Floor>>()](
                               Stage& stage, Length length) -> Samples {
                   if (!*floor) *floor = std::make_unique<Floor>(stage.folder, stage.commit_bytes);
                   const Usage before = usage_now({}, {});
                   Sample sample = (*floor)->run(length);
                   sample.used = usage_now({}, {}) - before;
                   return {{"floor", sample}};
                 }});
}

std::size_t commit_bytes(const std::filesystem::path& folder) {
  // In a directory, where the log can be looked at.
  auto store = check(Store::open(folder.string(), {.layout = Layout::directory}));
  const auto log_bytes = [&] {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() == ".log") bytes += entry.file_size();
    }
    return bytes;
  };
  constexpr std::uint64_t executions = 100;
  const auto before = log_bytes();
  for (std::uint64_t i = 0; i < executions; ++i) {
    check(store.execute(fresh_key("charge", i), [&] { return random_value(i); }));
  }
  const auto after = log_bytes();
  check(after > before, "commits leave nothing in the log");
  return static_cast<std::size_t>((after - before) / (2 * executions));
}

}  // namespace once::bench
