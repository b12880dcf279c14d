#include "workloads/workload.h"

#include <algorithm>

#include "content.h"

namespace once::bench {
namespace {

constexpr std::uint64_t fill_batch = 1000;
constexpr std::uint64_t most_looked_at = 20'000;

std::vector<Workload> make_all() {
  std::vector<Workload> all;
  for (const auto add :
       {add_floor, add_executing, add_replaying, add_hot_key, add_batches, add_expiring, add_events,
        add_checkpoints, add_opening, add_growing, add_lasting, add_running}) {
    add(all);
  }
  return all;
}

void check_keys(Session& session, std::string_view what, std::uint64_t count) {
  const std::uint64_t step = count / most_looked_at + 1;
  for (std::uint64_t i = 0; i < count; i += step) {
    check(session.replay(fresh_key(what, i)) == random_value(i),
          "the outcome of " + fresh_key(what, i));
  }
}

}  // namespace

bool Workload::takes(const std::string& rival) const {
  if (!run) return false;
  if (!rivals.empty()) return contains(rivals, rival);
  return rival != "once-cached" && rival != "once-uncached";
}

const std::vector<Workload>& all_workloads() {
  static const std::vector<Workload> all = make_all();
  return all;
}

const Workload* find_workload(std::string_view name) {
  const auto found = std::ranges::find(all_workloads(), name, &Workload::name);
  return found == all_workloads().end() ? nullptr : &*found;
}

void check_all(Bench& bench) {
  const auto session = bench.rival.session();
  check_keys(*session, "charge", bench.executed);
  check_keys(*session, "transfer", bench.transacted);
  check_keys(*session, "order", bench.published);
  const std::uint64_t expected =
      bench.filled + bench.executed + bench.transacted + bench.published + bench.others;
  const std::uint64_t finished = bench.rival.finished();
  check(finished == expected,
        fmt::format("{} keys are finished, acknowledged were {}", finished, expected));
}

void fill(Rival& rival, std::uint64_t begin, std::uint64_t end, std::int64_t expires_at_ms) {
  fill(rival, filled_key, begin, end, expires_at_ms);
}

void fill(Rival& rival, const std::function<std::string(std::uint64_t)>& name, std::uint64_t begin,
          std::uint64_t end, std::int64_t expires_at_ms) {
  const auto session = rival.session();
  std::vector<Filled> batch;
  for (std::uint64_t i = begin; i < end; ++i) {
    batch.push_back({name(i), random_value(i)});
    if (batch.size() == fill_batch || i + 1 == end) {
      session->fill(batch, expires_at_ms);
      batch.clear();
    }
  }
}

}  // namespace once::bench
