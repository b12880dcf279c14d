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

TEST_CASE("many at once, of which some are finished: from memory or not, each gets its answer") {
  for (const std::size_t cache : {std::size_t{0}, Options().replay_cache_bytes}) {
    for (const int every : {1, 2, 10, 100}) {
      CAPTURE(cache);
      CAPTURE(every);
      const TemporaryDirectory directory;
      const std::string path = directory.file("a.once");
      Options options = Simulation().options();
      options.replay_cache_bytes = cache;
      constexpr int many = 60;
      {
        Store store = value_of(Store::open(path, options));
        for (int i = 0; i < many; i += every) {
          value_of(store.execute(std::to_string(i), [&] { return Bytes(std::to_string(i)); }));
        }
      }
      Store store = value_of(Store::open(path, options));
      std::vector<ReserveRequest> requests;
      for (int i = 0; i < many; ++i) requests.push_back({.key = std::to_string(i)});
      for (int turn = 0; turn < 2; ++turn) {
        auto answers = value_of(store.reserve_many(requests));
        REQUIRE(answers.size() == requests.size());
        Token last{};
        for (int i = 0; i < many; ++i) {
          CAPTURE(i);
          auto& answer = answers[static_cast<std::size_t>(i)];
          if (i % every == 0) {
            CHECK(replayed(answer).outcome.value == std::to_string(i));
          } else if (turn == 0) {
            const Token token = reserved(answer).token;
            CHECK(token > last);
            last = token;
          } else {
            CHECK(error_of(answer) == ErrorCode::busy);
          }
        }
      }
      CHECK(problems_of(store) == 0);
    }
  }
}

TEST_CASE("a batch with bad input changes nothing at all") {
  Store store = Simulation().open();
  const std::vector<ReserveRequest> requests = {{.key = "good"}, {.key = ""}};
  CHECK(error_of(store.reserve_many(requests)) == ErrorCode::invalid_argument);
  CHECK_FALSE(value_of(store.find("good")));
  CHECK(value_of(store.reserve_many({})).empty());
}
