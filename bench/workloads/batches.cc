// B7: reserving a hundred keys in one commit, some of which are finished.
#include "content.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

constexpr std::uint64_t batch = 100;

Sample reserve(Bench& bench, std::uint64_t percent_seen, Length length) {
  return timed(1, length, [&](int) {
    return [&bench, percent_seen, random = bench.turn.fetch_add(1),
            session = bench.rival.session()](Stopwatch& watch) mutable {
      // Keys that are finished come from one stretch, so that none is named twice.
      const std::uint64_t start = mix(random) % (bench.filled - batch + 1);
      std::vector<std::string> keys;
      std::vector<std::uint64_t> finished;
      for (std::uint64_t i = 0; i < batch; ++i) {
        if (i * percent_seen % 100 < percent_seen) {
          finished.push_back(start + i);
          keys.push_back(filled_key(start + i));
        } else {
          keys.push_back(fresh_key("batch", bench.reserved.fetch_add(1)));
        }
      }
      watch.start();
      const auto reserved = session->reserve_many(keys);
      watch.stop();
      check(reserved.granted == batch - finished.size(), "how many were granted");
      check(reserved.outcomes.size() == finished.size(), "how many were finished");
      for (std::size_t i = 0; i < finished.size(); ++i) {
        check(reserved.outcomes[i] == random_value(finished[i]), "a replay in a batch");
      }
    };
  });
}

}  // namespace

void add_batches(std::vector<Workload>& all) {
  for (const std::uint64_t percent : {0UL, 10UL, 100UL}) {
    all.push_back({.id = "B7",
                   .variant = fmt::format("{} % seen", percent),
                   .what = "reserve 100 keys in one commit; an operation is a batch",
                   .run = [percent](Bench& bench, Length length) {
                     return reserve(bench, percent, length);
                   }});
  }
}

}  // namespace once::bench
