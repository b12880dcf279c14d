// B13: how B1, B4 and B5 of Once change with the number of keys. Each size is a store of its own.
#include "content.h"
#include "floor.h"
#include "worker.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

constexpr int turns = 5;  // of each, in turn

struct Times {
  double execute = 0;  // in floors, since the disk is not the same from minute to minute
  double replay = 0;
  double absent = 0;
};

Sample measured(Worker& worker, const char* workload, Length length) {
  return sample_of(
      worker.ask({{"do", "run"}, {"workload", workload}, {"nanoseconds", length.count()}}));
}

Samples grow(Stage& stage, std::uint64_t keys, Length length) {
  Floor floor(stage.folder, stage.commit_bytes);
  const auto folder = stage.folder / fmt::format("grown-{}", keys);
  Worker worker("once", folder);
  worker.ask({{"do", "open"}});
  worker.ask({{"do", "fill"}, {"begin", 0}, {"end", keys}});
  Sample sample;
  std::vector<double> execute;
  std::vector<double> replay;
  std::vector<double> absent;
  for (int i = 0; i < turns; ++i) {
    const double sync = floor.run(length).p50_us;
    sample = measured(worker, "B1, 1 thread", length);
    execute.push_back(sample.p50_us / sync);
    replay.push_back(measured(worker, "B4, uniform, 1 thread", length).p50_us);
    absent.push_back(measured(worker, "B5, 1 thread", length).p50_us);
  }
  worker.ask({{"do", "check"}});
  worker.close();
  std::filesystem::remove_all(folder);
  for (auto* values : {&execute, &replay, &absent}) std::ranges::sort(*values);
  const Times times{quantile(execute, 0.5), quantile(replay, 0.5), quantile(absent, 0.5)};
  static const Times smallest = times;
  sample.figures = {{"B1 F", times.execute},
                    {"B4 us", times.replay},
                    {"B5 us", times.absent},
                    {"B1 time, to the smallest", times.execute / smallest.execute},
                    {"B4 time, to the smallest", times.replay / smallest.replay},
                    {"B5 time, to the smallest", times.absent / smallest.absent}};
  return {{"once", sample}};
}

}  // namespace

void add_growing(std::vector<Workload>& all) {
  for (const std::uint64_t keys : {10'000UL, 100'000UL, 1'000'000UL, 10'000'000UL}) {
    all.push_back(
        {.id = "B13",
         .variant = fmt::format("{} keys", keys),
         .what = "B1, B4 and B5 by the number of keys; the first line is B1",
         .takes_long = true,
         .rounds = 1,
         .beside = [keys](Stage& stage, Length length) { return grow(stage, keys, length); }});
  }
}

}  // namespace once::bench
