// A refresh or a merge that came without fields kept none, though it kept the fingerprint: from
// then on the key answered questions that differ in them.
#include <doctest/doctest.h>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

std::vector<FieldDigest> amount(std::string_view json) {
  return value_of(question_of(json)).fields;
}

}  // namespace

TEST_CASE("a key that is refreshed or merged without a question keeps the one it has") {
  Store store = Simulation().open();
  Executor executor(store);
  const auto one = amount(R"({"amount":1})");
  const auto two = amount(R"({"amount":2})");
  for (const bool merges : {false, true}) {
    CAPTURE(merges);
    const Key key(merges ? "merged" : "refreshed");
    const auto work = [] { return 1; };
    (void)value_of(executor.execute(key, work, {.fields = one}));
    if (merges) {
      (void)value_of(executor.merge(key, work, [](int before, int now) { return before + now; }));
    } else {
      (void)value_of(executor.refresh(key, work));
    }
    const auto other = executor.execute(key, work, {.fields = two});
    CHECK(error_of(other) == ErrorCode::mismatch);
    CHECK(other.error().differing_fields == std::vector<std::string>{"amount"});
    CHECK(value_of(executor.execute(key, work, {.fields = one})).replayed());
  }
}
