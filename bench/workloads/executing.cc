// B1, B2, B3: an execution around an effect outside (two commits), and an effect inside (one).
#include "content.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

Sample execute(Bench& bench, int threads, Length length) {
  return timed(threads, length, [&](int) {
    return [&bench, session = bench.rival.session()](Stopwatch& watch) {
      const auto number = bench.executed.fetch_add(1);
      const auto key = fresh_key("charge", number);
      const auto outcome = random_value(number);
      watch.start();
      session->execute(key, outcome);
      watch.stop();
    };
  });
}

Sample transact(Bench& bench, Length length) {
  return timed(1, length, [&](int) {
    return [&bench, session = bench.rival.session()](Stopwatch& watch) {
      const auto number = bench.transacted.fetch_add(1);
      const auto key = fresh_key("transfer", number);
      const auto outcome = random_value(number);
      watch.start();
      const auto count = session->transact(key, outcome);
      watch.stop();
      check(count == number + 1, "the count after a transaction");
    };
  });
}

}  // namespace

void add_executing(std::vector<Workload>& all) {
  all.push_back({.id = "B1",
                 .variant = "1 thread",
                 .what = "execute around an empty outside effect (two syncs)",
                 .run = [](Bench& bench, Length length) { return execute(bench, 1, length); }});
  for (const int threads : {16, 64, 256}) {
    all.push_back({.id = "B2",
                   .variant = fmt::format("{} threads", threads),
                   .what = "execute around an empty outside effect (two syncs)",
                   .run = [threads](Bench& bench, Length length) {
                     return execute(bench, threads, length);
                   }});
  }
  all.push_back({.id = "B3",
                 .variant = "1 thread",
                 .what = "transact: effect and outcome in one commit",
                 .run = transact});
}

}  // namespace once::bench
