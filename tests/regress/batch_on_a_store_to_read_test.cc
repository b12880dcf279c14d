// A batch on a store that was opened to read replayed what it found in the cache, if that was all
// of it, and was refused as a whole otherwise: the answer depended on what had been asked for
// before.
#include <doctest/doctest.h>

#include <vector>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a batch on a store opened to read replays what is finished, cached or not") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  const std::string where = directory.path() + "/store";
  const std::vector<Key> finished{"a", "b"};
  const std::vector<Key> keys{"a", "fresh", "b"};
  int runs = 0;
  const auto work = [&](std::span<const Reservation> mine) {
    ++runs;
    return std::vector<int>(mine.size(), 7);
  };
  {
    Store store = simulation.open(where);
    (void)value_of(Executor(store).execute_many(finished, work));
    value_of(store.close());
  }
  CHECK(runs == 1);
  Options options = simulation.options();
  options.read_only = true;
  Store store = value_of(Store::open(where, options));
  Executor executor(store);
  for (const char* cached : {"nothing", "one", "all"}) {
    CAPTURE(cached);
    const auto answers = value_of(executor.execute_many(keys, work));
    REQUIRE(answers.size() == 3);
    CHECK(value_of(answers[0]).value() == 7);
    CHECK(value_of(answers[0]).replayed());
    CHECK(error_of(answers[1]) == ErrorCode::unsupported);
    CHECK(error_of(answers[1]) == error_of(store.execute("fresh", [] { return 7; })));
    CHECK(value_of(answers[2]).value() == 7);
    (void)value_of(store.execute("a", [] { return 7; }));
  }
  CHECK(value_of(value_of(executor.execute_many(finished, work))[0]).replayed());
  CHECK(runs == 1);
}
