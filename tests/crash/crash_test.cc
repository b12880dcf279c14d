// Kills workers with SIGKILL at random moments, at least 200 times, and checks after each kill that
// nothing acknowledged is lost, nothing that was acknowledged ran twice, batches are whole, and
// that history and records agree; and that this check notices when a promise is broken.
//
//   ONCE_CRASH_SEED=N   run the store with this seed only
//   ONCE_CRASH_KILLS=N  so many kills in all, instead of 208
//   ONCE_CRASH_LANES=N  so many stores at a time, instead of 4: most of the time goes into syncs
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "base/mutex.h"
#include "scenario.h"
#include "support/temporary_directory.h"

namespace once::crash {
namespace {

constexpr unsigned kills_a_store = 13;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::stoull(text);
}

// Runs the stores with these seeds, some at a time, and collects what they report.
class Lanes {
 public:
  Lanes(std::vector<std::uint64_t> seeds, unsigned kills)
      : seeds_(std::move(seeds)), kills_(kills) {}

  std::vector<Report> run() {
    std::vector<std::thread> lanes;
    for (std::uint64_t i = 0;
         i < std::min<std::uint64_t>(setting("ONCE_CRASH_LANES", 4), seeds_.size()); ++i) {
      lanes.emplace_back([this] {
        while (const auto seed = next()) add(run_one(*seed));
      });
    }
    for (std::thread& lane : lanes) lane.join();
    return std::move(reports_);
  }

 private:
  std::optional<std::uint64_t> next() {
    MutexLock lock(mutex_);
    if (seeds_.empty()) return std::nullopt;
    const std::uint64_t seed = seeds_.back();
    seeds_.pop_back();
    return seed;
  }
  void add(Report report) {
    MutexLock lock(mutex_);
    reports_.push_back(std::move(report));
  }
  [[nodiscard]] Report run_one(std::uint64_t seed) const {
    const testing::TemporaryDirectory directory;
    Scenario scenario(seed, directory.path());
    scenario.run(kills_);
    Report report = scenario.report();
    if (!report.problems.empty()) {
      const std::string kept = directory.path() + "-failed";
      std::error_code ignored;
      std::filesystem::rename(directory.path(), kept, ignored);
      report.problems.push_back("the store is kept in " + kept);
    }
    return report;
  }

  Mutex mutex_;
  std::vector<std::uint64_t> seeds_;
  std::vector<Report> reports_;
  const unsigned kills_;
};

std::string list(const std::map<std::string, std::uint64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  }
  return text;
}

void summarise(const std::vector<Report>& reports) {
  Report all;
  std::uint64_t acknowledged = 0;
  for (const Report& report : reports) {
    all.kills += report.kills;
    all.rows += report.rows;
    for (const auto& [name, count] : report.phases) all.phases[name] += count;
    for (const auto& [name, count] : report.counts) all.counts[name] += count;
    for (const auto& [name, count] : report.counts) acknowledged += count;
  }
  fmt::print("crash: {} kills, {} operations acknowledged, {} rows verified\n", all.kills,
             acknowledged, all.rows);
  fmt::print("crash: killed while {}\n", list(all.phases));
  fmt::print("crash: acknowledged {}\n", list(all.counts));
}

// The first problem that is found when promises are broken like that.
std::string noticed(Sabotage sabotage) {
  constexpr unsigned enough = 100;
  const testing::TemporaryDirectory directory;
  Scenario scenario(setting("ONCE_CRASH_SEED", 1), directory.path(), sabotage);
  for (unsigned i = 0; i < enough && scenario.model().problems().empty(); ++i) {
    scenario.live("load", {.phase = "loading", .delay = std::chrono::milliseconds(10 + i)});
    scenario.check();
  }
  const std::vector<std::string>& problems = scenario.model().problems();
  return problems.empty() ? std::string() : problems[0];
}

TEST_CASE("what was acknowledged survives kill -9, and nothing happens twice") {
  const std::uint64_t seed = setting("ONCE_CRASH_SEED", 0);
  const auto kills = static_cast<unsigned>(setting("ONCE_CRASH_KILLS", seed == 0 ? 208 : 13));
  std::vector<std::uint64_t> seeds{seed};
  if (seed == 0) {
    std::random_device random;
    seeds.assign((kills + kills_a_store - 1) / kills_a_store, 0);
    for (std::uint64_t& each : seeds) each = random();
  }
  const auto reports = Lanes(seeds, seed == 0 ? kills_a_store : kills).run();
  summarise(reports);
  for (const Report& report : reports) {
    std::string problems;
    for (const std::string& problem : report.problems) problems += "\n  " + problem;
    if (problems.size() > 5000) problems.resize(5000);
    const std::string again = fmt::format("ONCE_CRASH_SEED={} {}", report.seed,
                                          std::filesystem::read_symlink("/proc/self/exe").string());
    CHECK_MESSAGE(report.problems.empty(), "seed ", report.seed, ":", problems,
                  "\nrun it again: ", again);
  }
}

TEST_CASE("a broken promise is noticed") {
  constexpr Sabotage ways[] = {Sabotage::early, Sabotage::split, Sabotage::again};
  std::string found[std::size(ways)];
  std::vector<std::thread> lanes;
  for (std::size_t i = 0; i < std::size(ways); ++i) {
    lanes.emplace_back([&, i] { found[i] = noticed(ways[i]); });
  }
  for (std::thread& lane : lanes) lane.join();
  for (const std::string& problem : found) {
    CHECK(!problem.empty());
    fmt::print("crash: noticed: {}\n", problem);
  }
}

}  // namespace
}  // namespace once::crash
