#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>

#include "fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("work runs once, and everyone who asks again gets the first answer") {
  Store store = Simulation().open();
  int runs = 0;
  for (int i = 0; i < 3; ++i) {
    const auto answer =
        value_of(store.execute("k", [&] { return "answer " + std::to_string(++runs); }));
    CHECK(answer.value() == "answer 1");
    CHECK(answer.replayed() == (i > 0));
    CHECK(answer.provenance().attempt == 1);
  }
  CHECK(runs == 1);
}

TEST_CASE("an answer outlives the process") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  {
    Store store = simulation.open(directory.file("s"));
    value_of(store.execute("k", [] { return Bytes("first"); }));
  }
  Store store = simulation.open(directory.file("s"));
  const auto again = value_of(store.execute("k", [] { return Bytes("second"); }));
  CHECK(again.value() == "first");
  CHECK(again.replayed());
}

TEST_CASE("empty, 0, false and null replay as what they are") {
  Store store = Simulation().open();
  for (int i = 0; i < 2; ++i) {
    CAPTURE(i);
    const bool replay = i > 0;
    const auto empty = value_of(store.execute("empty", [] { return Bytes(); }));
    CHECK(empty.value().empty());
    CHECK(empty.replayed() == replay);
    CHECK(value_of(store.execute("zero", [] { return std::int64_t{0}; })).value() == 0);
    CHECK(value_of(store.execute("false", [] { return false; })).value() == false);
    CHECK(value_of(store.execute("double", [] { return 0.1; })).value() == 0.1);
    const auto null = value_of(store.execute("null", [] { return std::optional<Bytes>(); }));
    CHECK_FALSE(null.value().has_value());
    CHECK(null.replayed() == replay);
    CHECK(value_of(store.execute("some", [] { return std::optional<Bytes>(""); })).value() == "");
    CHECK(value_of(store.execute("void", [] {})).replayed() == replay);
  }
  CHECK(value_of(store.find("empty"))->outcome->value == Bytes());
  CHECK(value_of(store.find("null"))->outcome->value == std::nullopt);
  CHECK(value_of(store.find("zero"))->outcome->value == "0");
  CHECK(value_of(store.find("false"))->outcome->value == "false");
}

TEST_CASE("an outcome of another type is an error, not another value") {
  Store store = Simulation().open();
  value_of(store.execute("k", [] { return Bytes("text"); }));
  CHECK(error_of(store.execute("k", [] { return std::int64_t{1}; })) == ErrorCode::wrong_type);
}

TEST_CASE("work sees its reservation, with the token to hand on") {
  Store store = Simulation().open();
  std::uint64_t token = 0;
  const auto first = value_of(store.execute("k", [&](const Reservation& mine) {
    token = mine.token.value;
    CHECK(mine.attempt == 1);
  }));
  CHECK(token != 0);
  CHECK(first.provenance().token.value == token);
  CHECK(value_of(store.execute("k", [] {})).provenance().token.value == token);
}

TEST_CASE("another question under the same key is refused, before busy") {
  Store store = Simulation().open();
  const ExecuteOptions one{.fingerprint = Fingerprint::of("1"), .wait = 0ms};
  const ExecuteOptions two{.fingerprint = Fingerprint::of("2"), .wait = 0ms};
  value_of(store.execute(
      "k",
      [&] {
        CHECK(error_of(store.execute("k", [] {}, two)) == ErrorCode::mismatch);
        CHECK(error_of(store.execute("k", [] {}, one)) == ErrorCode::busy);
      },
      one));
  CHECK(error_of(store.execute("k", [] {}, two)) == ErrorCode::mismatch);
  CHECK(value_of(store.execute("k", [] {}, one)).replayed());
}

TEST_CASE("a definite failure is kept for its own time, and replayed with its code") {
  const Simulation simulation;
  Store store = simulation.open();
  const ExecuteOptions options{.failure_retention = 5min};
  const auto decline = [&]() -> Result<Bytes> {
    return std::unexpected(work_failed("declined", "the card was declined"));
  };
  for (int i = 0; i < 2; ++i) {
    const auto answer = store.execute("k", decline, options);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == ErrorCode::work_failed);
    CHECK(answer.error().failure_code == "declined");
    CHECK(answer.error().message == "the card was declined");
    CHECK(answer.error().replayed == (i > 0));
  }
  simulation.clock->advance(5min);
  CHECK(value_of(store.execute("k", [] { return Bytes("paid"); })).value() == "paid");
}

TEST_CASE("what other failures leave") {
  const Simulation simulation;
  Store store = simulation.open();
  const auto status = [&](const Key& key) { return value_of(store.find(key))->record.status; };
  const auto failing = [&](const Key& key, const Error& error, OnAbandon on_abandon) {
    const auto answer = store.execute(key, [&]() -> Result<void> { return std::unexpected(error); },
                                      {.on_abandon = on_abandon});
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == error.code);
    CHECK(answer.error().message == error.message);
    return status(key);
  };
  CHECK(failing("not started", work_not_started("no"), OnAbandon::in_doubt) == Status::released);
  CHECK(failing("retryable", work_retryable("no"), OnAbandon::in_doubt) == Status::released);
  CHECK(failing("unknown", work_unknown("no"), OnAbandon::rerun) == Status::in_doubt);
  const Error theirs{.code = ErrorCode::io, .message = "their own"};
  CHECK(failing("other, in doubt", theirs, OnAbandon::in_doubt) == Status::in_doubt);
  CHECK(failing("other, rerun", theirs, OnAbandon::rerun) == Status::released);
  CHECK(error_of(store.execute("unknown", [] {})) == ErrorCode::in_doubt);
  const auto again = value_of(store.execute("retryable", [] {}));
  CHECK(again.provenance().attempt == 2);
}

TEST_CASE("an exception reaches the caller and leaves the key as the policy says") {
  Store store = Simulation().open();
  const auto thrower = []() -> Bytes { throw std::runtime_error("theirs"); };
  CHECK_THROWS_WITH(store.execute("doubt", thrower), "theirs");
  CHECK(value_of(store.find("doubt"))->record.status == Status::in_doubt);
  CHECK_THROWS_WITH(store.execute("rerun", thrower, {.on_abandon = OnAbandon::rerun}), "theirs");
  CHECK(value_of(store.find("rerun"))->record.status == Status::released);
  CHECK(value_of(store.execute("rerun", [] { return Bytes("x"); })).value() == "x");
}

TEST_CASE("retention: an answer is given until it is over, then the work runs anew") {
  const Simulation simulation;
  Store store = simulation.open();
  int runs = 0;
  const auto run = [&] {
    return value_of(store.execute("k", [&] { return ++runs; }, {.retention = 1h})).value();
  };
  CHECK(run() == 1);
  simulation.clock->advance(59min);
  CHECK(run() == 1);
  simulation.clock->advance(1min);
  CHECK_FALSE(value_of(store.find("k")));
  CHECK(run() == 2);
  CHECK(value_of(store.find("k"))->record.attempt == 1);  // a new life
}

TEST_CASE("after close every call says so") {
  Store store = Simulation().open();
  value_of(store.close());
  CHECK(error_of(store.execute("k", [] {})) == ErrorCode::closed);
  CHECK(error_of(store.find("k")) == ErrorCode::closed);
  value_of(store.close());
}
