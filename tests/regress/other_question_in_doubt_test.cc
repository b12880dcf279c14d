// Who asked another question under a key in doubt was told of the doubt, and not that the question
// differs: with a resolver that has it run again, the work of the one ran for the doubt of the
// other.
#include <doctest/doctest.h>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("another question under a key in doubt is a mismatch, and the resolver is not asked") {
  Store store = Simulation().open();
  int asked = 0;
  Executor executor(store, {.resolver = [&](const Key&, const Record&) {
                      ++asked;
                      return Resolution::rerun();
                    }});
  const ExecuteOptions a{.fingerprint = Fingerprint::of("a")};
  const ExecuteOptions b{.fingerprint = Fingerprint::of("b")};
  const Key key("charge:42");
  const auto mine = reserved(store.reserve(key, {.fingerprint = a.fingerprint}));
  value_of(store.doubt(mine, "no answer"));
  int runs = 0;
  const auto work = [&] { return ++runs; };
  CHECK(error_of(executor.execute(key, work, b)) == ErrorCode::mismatch);
  CHECK(error_of(executor.refresh(key, work, b)) == ErrorCode::mismatch);
  const std::vector<Key> keys{key};
  const auto many = value_of(executor.execute_many(
      keys, [&](std::span<const Reservation>) { return std::vector<int>{++runs}; }, b));
  CHECK(error_of(many[0]) == ErrorCode::mismatch);
  CHECK(error_of(store.execute(key, work, b)) == ErrorCode::mismatch);
  CHECK(asked == 0);
  CHECK(runs == 0);
  CHECK(value_of(store.status(key)) == KeyStatus::in_doubt);
  // The same question, and none at all, are told of the doubt.
  CHECK(error_of(store.execute(key, work, a)) == ErrorCode::in_doubt);
  CHECK(error_of(store.execute(key, work)) == ErrorCode::in_doubt);
  CHECK(value_of(executor.execute(key, work, a)).value() == 1);
  CHECK(asked == 1);
}
