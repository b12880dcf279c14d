// A failure that the work gave as an outcome was kept like a success when it came from a refresh,
// and without regard to the executor's policy when it came from a batch.
#include <doctest/doctest.h>

#include <vector>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

Outcome declined() {
  return Outcome::failure("declined", "no money");
}

Duration kept(Store& store, const Key& key) {
  const auto found = value_of(store.find(key));
  if (!found || found->record.status != Status::failed) return Duration(0);
  return found->record.expires_at - found->record.updated_at;
}

void check(const FailurePolicy& policy, Duration expected) {
  Store store = Simulation().open();
  Executor executor(store, {.failures = policy});
  (void)executor.execute("executed", [] { return declined(); });
  CHECK(kept(store, "executed") == expected);

  (void)value_of(executor.execute("refreshed", [] { return Outcome::success("1"); }));
  (void)executor.refresh("refreshed", [] { return declined(); });
  CHECK(kept(store, "refreshed") == expected);

  (void)value_of(executor.execute("merged", [] { return Outcome::success("1"); }));
  (void)executor.merge(
      "merged", [] { return declined(); }, [](const Outcome&, const Outcome& now) { return now; });
  CHECK(kept(store, "merged") == expected);

  const std::vector<Key> keys{"batched"};
  (void)executor.execute_many(
      keys, [](std::span<const Reservation>) { return std::vector<Outcome>{declined()}; });
  CHECK(kept(store, "batched") == expected);

  // A success is kept as one.
  (void)value_of(executor.refresh("refreshed", [] { return Outcome::success("2"); }));
  const auto found = value_of(store.find("refreshed"));
  CHECK(found->record.expires_at - found->record.updated_at == 24h);
}

}  // namespace

TEST_CASE("a failure given as an outcome is kept as failures are") {
  check({}, 5min);
  check({.definite_retention = 1min}, 1min);
}
