// B10: keeping finished steps of a workflow, against writing the same bytes to a file; and taking
// them up again.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <variant>

#include "content.h"
#include "once/once.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

constexpr std::uint64_t names =
    16;  // of steps, kept again and again, so that the store stays small
constexpr std::size_t resumed_bytes = 100;

Reservation reserved(Store& store, const std::string& key) {
  const auto answer = check(store.reserve(key, {.lease = std::chrono::hours(1)}));
  check(std::holds_alternative<Reservation>(answer), "a fresh key was finished");
  return std::get<Reservation>(answer);
}

Store& store_in(Bench& bench) {
  Store* store = store_of(bench.rival);
  if (store == nullptr) throw Unable("it has no checkpoints");
  return *store;
}

Sample save(Bench& bench, std::size_t bytes, Length length) {
  Store& store = store_in(bench);
  const auto mine = reserved(store, fresh_key("workflow", bench.turn.fetch_add(1)));
  std::uint64_t number = 0;
  Sample sample = timed(1, length, [&](int) {
    return [&](Stopwatch& watch) {
      const auto name = fmt::format("step-{}", number % names);
      const auto data = random_value(number, bytes);
      watch.start();
      check(store.save_checkpoint(mine, name, data));
      watch.stop();
      ++number;
    };
  });
  const auto kept = check(store.load_checkpoints(mine.key));
  check(kept.size() == std::min(number, names), "how many checkpoints there are");
  check(kept.back().data == random_value(number - 1, bytes), "the last checkpoint");
  check(store.release(mine));
  return sample;
}

// A file that grows, as one who writes checkpoints to files would do it.
Sample save_plain(const std::filesystem::path& path, std::size_t bytes, Length length) {
  const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  check(file >= 0, "making a file");
  std::uint64_t number = 0;
  Sample sample = timed(1, length, [&](int) {
    return [&](Stopwatch& watch) {
      const auto data = random_value(number++, bytes);
      watch.start();
      check(write(file, data.data(), data.size()) == static_cast<ssize_t>(data.size()), "a write");
      check(fdatasync(file) == 0, "a sync");
      watch.stop();
    };
  });
  close(file);
  std::filesystem::remove(path);
  return sample;
}

Sample resume(Bench& bench, std::uint64_t count, Length length) {
  Store& store = store_in(bench);
  const auto key = fmt::format("resumed-{}", count);
  if (!bench.notes.contains(key)) {
    const auto mine = reserved(store, key);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto last = i + 1 == count ? Durability::synced : Durability::buffered;
      const auto name = fmt::format("step-{}", i);
      check(store.save_checkpoint(mine, name, random_value(i, resumed_bytes), last));
    }
  }
  Sample sample = timed(1, length, [&](int) {
    return [&](Stopwatch& watch) {
      watch.start();
      const auto kept = check(store.load_checkpoints(key));
      watch.stop();
      check(kept.size() == count, "how many checkpoints there are");
      const auto some = bench.turn.fetch_add(1) % count;
      check(kept[some].data == random_value(some, resumed_bytes), "a checkpoint");
    };
  });
  const double us = sample.p50_us / static_cast<double>(count);
  bench.notes[key] = us;
  sample.figures["us a checkpoint"] = us;
  if (const auto less = bench.notes.find("resumed-1000");
      count > 1000 && less != bench.notes.end()) {
    sample.figures["us a checkpoint, to 1000"] = us / less->second;
  }
  return sample;
}

}  // namespace

void add_checkpoints(std::vector<Workload>& all) {
  struct Size {
    const char* name;
    std::size_t bytes;
  };
  for (const auto& [name, bytes] :
       {Size{"1 KiB", 1 << 10}, {"64 KiB", 64 << 10}, {"1 MiB", 1 << 20}}) {
    all.push_back(
        {.id = "B10",
         .variant = fmt::format("save {}", name),
         .what = "a checkpoint; plain file: write + fdatasync",
         .rivals = {"once"},
         .run = [bytes](Bench& bench, Length length) { return save(bench, bytes, length); },
         .beside = [bytes](Stage& stage, Length length) -> Samples {
           return {{"plain file", save_plain(stage.folder / "plain", bytes, length)}};
         }});
  }
  for (const std::uint64_t count : {10UL, 1000UL, 100'000UL}) {
    all.push_back(
        {.id = "B10",
         .variant = fmt::format("resume {}", count),
         .what = "reading all checkpoints of a run",
         .rivals = {"once"},
         .run = [count](Bench& bench, Length length) { return resume(bench, count, length); }});
  }
}

}  // namespace once::bench
