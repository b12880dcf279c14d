#include <doctest/doctest.h>

#include "fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("many at once: each is answered as it would be alone, in order") {
  const Simulation simulation;
  Store store = simulation.open();
  value_of(store.execute("done", [] { return Bytes("first"); }));
  reserved(store.reserve("held"));
  const Fingerprint one = Fingerprint::of("1");
  value_of(store.execute("asked", [] {}, {.fingerprint = one}));

  const std::vector<ReserveRequest> requests = {
      {.key = "new"},
      {.key = "done"},
      {.key = "held"},
      {.key = "new"},
      {.key = "asked", .options = {.fingerprint = Fingerprint::of("2")}}};
  auto answers = value_of(store.reserve_many(requests));
  REQUIRE(answers.size() == 5);
  const Reservation mine = reserved(answers[0]);
  CHECK(replayed(answers[1]).outcome.value == "first");
  CHECK(error_of(answers[2]) == ErrorCode::busy);
  CHECK(error_of(answers[3]) == ErrorCode::busy);  // named a second time
  CHECK(error_of(answers[4]) == ErrorCode::mismatch);

  Reservation lost = mine;
  lost.token.value -= 1;
  const std::vector<CompleteRequest> completions = {
      {.reservation = mine, .outcome = Outcome::success("a")},
      {.reservation = lost, .outcome = Outcome::success("b")}};
  const auto completed = value_of(store.complete_many(completions));
  CHECK(completed[0]);
  CHECK(error_of(completed[1]) == ErrorCode::fenced);
  CHECK(replayed(store.reserve("new")).outcome.value == "a");
  CHECK(problems_of(store) == 0);
}

TEST_CASE("a batch with bad input changes nothing at all") {
  Store store = Simulation().open();
  const std::vector<ReserveRequest> requests = {{.key = "good"}, {.key = ""}};
  CHECK(error_of(store.reserve_many(requests)) == ErrorCode::invalid_argument);
  CHECK_FALSE(value_of(store.find("good")));
  CHECK(value_of(store.reserve_many({})).empty());
}
