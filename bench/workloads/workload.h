// Workloads: what is asked of every rival. Each checks every answer that it times.
//
// A rival lives in a process of its own (worker.h), so that memory, processor time and writes are
// its own too, and `run` is called there. `beside` is called in the benchmark's own process, for
// what is measured from outside: processes that open and end, the bare disk.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "measure.h"
#include "rivals/rival.h"

namespace once::bench {

using Length = std::chrono::nanoseconds;

// A rival at work, in its process.
struct Bench {
  Rival& rival;
  std::filesystem::path folder;  // of the rival
  std::uint64_t filled = 0;      // finished keys that were there at the start
  std::atomic<std::uint64_t> executed = 0;
  std::atomic<std::uint64_t> transacted = 0;
  std::atomic<std::uint64_t> published = 0;
  std::atomic<std::uint64_t> reserved = 0;
  std::atomic<std::uint64_t> others = 0;  // finished in another way
  std::atomic<std::uint64_t> turn = 0;
  std::uint64_t delivered = 0;            // of what was published
  std::map<std::string, double> notes{};  // from one workload to the next
};

// The benchmark's own side.
struct Stage {
  std::filesystem::path folder;  // scratch
  std::filesystem::path tool;    // the command-line tool
  std::vector<std::string> rivals;
  std::uint64_t keys = 0;
  std::size_t commit_bytes = 0;                   // of a commit of Once
  std::map<std::string, bool> prepared{};         // what was made in `folder` already
  std::map<std::string, std::string> left_out{};  // rival and why, told at the end
};

using Samples = std::map<std::string, Sample>;  // by rival

struct Workload {
  std::string id;       // "B2"
  std::string variant;  // "16 threads"
  std::string what;
  bool takes_long = false;
  int rounds = 0;                     // at most so many; 0: as many as there are
  std::vector<std::string> rivals{};  // empty: all but the variants of Once
  std::function<Sample(Bench&, Length)> run{};
  std::function<Samples(Stage&, Length)> beside{};

  [[nodiscard]] std::string name() const { return variant.empty() ? id : id + ", " + variant; }
  [[nodiscard]] bool takes(const std::string& rival) const;
};

[[nodiscard]] const std::vector<Workload>& all_workloads();
[[nodiscard]] const Workload* find_workload(std::string_view name);

// A group of workloads a file.
void add_floor(std::vector<Workload>& all);        // F
void add_executing(std::vector<Workload>& all);    // B1, B2, B3
void add_replaying(std::vector<Workload>& all);    // B4, B5
void add_hot_key(std::vector<Workload>& all);      // B6
void add_batches(std::vector<Workload>& all);      // B7
void add_expiring(std::vector<Workload>& all);     // B8
void add_events(std::vector<Workload>& all);       // B9
void add_checkpoints(std::vector<Workload>& all);  // B10
void add_opening(std::vector<Workload>& all);      // B11, B12
void add_growing(std::vector<Workload>& all);      // B13
void add_lasting(std::vector<Workload>& all);      // B14
void add_running(std::vector<Workload>& all);      // B15

// How many bytes a synced commit of an execution by Once appends to its log: the mean of the
// two. Makes a store in `folder`.
[[nodiscard]] std::size_t commit_bytes(const std::filesystem::path& folder);
// Whether the rival still has what it acknowledged. Throws if it has not.
void check_all(Bench& bench);
// Finishes the keys from `begin` to `end` in large commits.
void fill(Rival& rival, std::uint64_t begin, std::uint64_t end, std::int64_t expires_at_ms);
// The same with keys that `name` gives in the place of filled ones.
void fill(Rival& rival, const std::function<std::string(std::uint64_t)>& name, std::uint64_t begin,
          std::uint64_t end, std::int64_t expires_at_ms);

}  // namespace once::bench
