// Leases, tokens, waiting, and owners that die.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a lease that lapses lets another take over; the first completion is fenced") {
  const Simulation simulation;
  Store store = simulation.open();
  const ReserveOptions options{.lease = 1min, .on_abandon = OnAbandon::rerun};
  const Reservation first = reserved(store.reserve("k", options));
  simulation.clock->advance(59s);
  CHECK(error_of(store.reserve("k", options)) == ErrorCode::busy);
  simulation.clock->advance(1s);
  const Reservation second = reserved(store.reserve("k", options));
  CHECK(second.taken_over);
  CHECK(second.attempt == 2);
  CHECK(second.token > first.token);
  CHECK(error_of(store.complete(first, Outcome::success("first"))) == ErrorCode::fenced);
  CHECK(error_of(store.renew(first, 1min)) == ErrorCode::fenced);
  CHECK(error_of(store.release(first)) == ErrorCode::fenced);
  value_of(store.complete(second, Outcome::success("second")));
  CHECK(error_of(store.complete(first, Outcome::success("first"))) == ErrorCode::fenced);
  CHECK(replayed(store.reserve("k", options)).outcome.value == "second");
  value_of(store.complete(second, Outcome::success("second")));  // sent twice: done
  CHECK(error_of(store.complete(second, Outcome::success("other"))) == ErrorCode::fenced);
}

TEST_CASE("work that outlives its lease without heartbeat is taken over and fenced") {
  const Simulation simulation;
  Store store = simulation.open();
  const ExecuteOptions options{.lease = 1min, .heartbeat = false, .on_abandon = OnAbandon::rerun};
  const auto first = store.execute(
      "k",
      [&] {
        simulation.clock->advance(2min);
        CHECK(value_of(store.execute(
                           "k", [] { return Bytes("second"); }, options))
                  .value() == "second");
        return Bytes("first");
      },
      options);
  CHECK(error_of(first) == ErrorCode::fenced);
  CHECK(value_of(store.execute("k", [] { return Bytes("third"); })).value() == "second");
}

TEST_CASE("with heartbeat it is not taken over, however long it works") {
  const Simulation simulation;
  Store store = simulation.open();
  const ExecuteOptions options{.lease = 3min, .on_abandon = OnAbandon::rerun, .wait = 0ms};
  const auto first = store.execute(
      "k",
      [&] {
        for (int minute = 0; minute < 10; ++minute) {
          const Time before = value_of(store.find("k"))->record.lease_until;
          simulation.clock->advance(1min);
          while (value_of(store.find("k"))->record.lease_until == before) std::this_thread::yield();
          CHECK(error_of(store.execute("k", [] { return Bytes(); }, options)) == ErrorCode::busy);
        }
        return Bytes("first");
      },
      options);
  CHECK(value_of(first).value() == "first");
}

TEST_CASE("a lapsed lease without a successor may still complete") {
  const Simulation simulation;
  Store store = simulation.open();
  const Reservation mine = reserved(store.reserve("k", {.lease = 1min}));
  simulation.clock->advance(1h);
  value_of(store.complete(mine, Outcome::success("late")));
  CHECK(replayed(store.reserve("k")).outcome.value == "late");
}

TEST_CASE("a dead owner is found out at once, and by the policy of its own reservation") {
  const TemporaryDirectory directory;
  const Simulation theirs;
  {
    Store store = theirs.open(directory.file("s"));
    reserved(store.reserve("rerun", {.lease = 24h, .on_abandon = OnAbandon::rerun}));
    reserved(store.reserve("doubt", {.lease = 24h, .on_abandon = OnAbandon::in_doubt}));
  }
  const Simulation mine = as_process(theirs, 200);
  Store store = mine.open(directory.file("s"));
  mine.processes->set(100, Liveness::running);
  CHECK(error_of(store.reserve("rerun")) == ErrorCode::busy);
  mine.processes->set(100, Liveness::unknown);  // another namespace: only the lease counts
  CHECK(error_of(store.reserve("doubt")) == ErrorCode::busy);
  mine.processes->set(100, Liveness::dead);
  CHECK(reserved(store.reserve("rerun")).taken_over);
  CHECK(error_of(store.reserve("doubt", {.on_abandon = OnAbandon::rerun})) == ErrorCode::in_doubt);
  CHECK(value_of(store.find("doubt"))->record.status == Status::in_doubt);
}

TEST_CASE("in doubt: nobody runs it until somebody decides") {
  const Simulation simulation;
  Store store = simulation.open();
  const auto in_doubt = [&](const Key& key) {
    const Reservation mine = reserved(store.reserve(key, {.lease = 1min}));
    simulation.clock->advance(1min);
    CHECK(error_of(store.reserve(key)) == ErrorCode::in_doubt);
    CHECK(error_of(store.complete(mine, Outcome::success("late"))) == ErrorCode::fenced);
    simulation.clock->advance(24h * 365);  // never by itself
    CHECK(error_of(store.reserve(key)) == ErrorCode::in_doubt);
  };
  in_doubt("success");
  value_of(store.resolve("success", Verdict::success, Outcome::success("decided")));
  CHECK(replayed(store.reserve("success")).outcome.value == "decided");
  CHECK(error_of(store.resolve("success", Verdict::rerun)) == ErrorCode::conflict);
  in_doubt("failure");
  value_of(store.resolve("failure", Verdict::failure, Outcome::failure("no", "it did not")));
  CHECK(replayed(store.reserve("failure")).outcome.code == "no");
  in_doubt("rerun");
  value_of(store.resolve("rerun", Verdict::rerun));
  CHECK(reserved(store.reserve("rerun")).attempt == 2);
  CHECK(error_of(store.resolve("rerun", Verdict::rerun)) == ErrorCode::busy);
  CHECK(error_of(store.resolve("never", Verdict::rerun)) == ErrorCode::not_found);
  CHECK(error_of(store.resolve("rerun", Verdict::success, Outcome::failure("a", "b"))) ==
        ErrorCode::invalid_argument);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("tokens grow over all grants, reopenings and releases") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  Token last;
  for (int opening = 0; opening < 4; ++opening) {
    Store store = simulation.open(directory.file("s"));
    for (int i = 0; i < 5; ++i) {
      const Reservation mine = reserved(store.reserve("k"));
      CHECK(mine.token > last);
      last = mine.token;
      value_of(store.release(mine));
    }
  }
}

TEST_CASE("who waits is woken by the finish and replays") {
  Store store = Simulation().open();
  const Reservation mine = reserved(store.reserve("k"));
  std::atomic<bool> waiting = false;
  std::thread other([&] {
    waiting = true;
    waiting.notify_all();
    CHECK(replayed(store.reserve("k", {.wait = 24h})).outcome.value == "done");
  });
  waiting.wait(false);
  value_of(store.complete(mine, Outcome::success("done")));
  other.join();
}

TEST_CASE("a wait ends with busy when its time is over, and with the lease when that lapses") {
  const Simulation simulation;
  Store store = simulation.open();
  reserved(store.reserve("k", {.lease = 1000h, .on_abandon = OnAbandon::rerun}));
  std::atomic<bool> was_busy = false;
  std::thread impatient([&] {
    CHECK(error_of(store.reserve("k", {.wait = 1min})) == ErrorCode::busy);
    was_busy = true;
  });
  // In small steps: whoever is about to wait takes the deadline from the clock as it then is, and
  // may come to it late.
  std::atomic<bool> ended = false;
  std::thread ticking([&] {
    while (!ended) {
      simulation.clock->advance(was_busy ? Duration(1h) : Duration(1s));
      std::this_thread::yield();
    }
  });
  impatient.join();
  CHECK(reserved(store.reserve("k", {.wait = 2000h})).taken_over);
  ended = true;
  ticking.join();
}

TEST_CASE("removing: not what is held; the key is free afterwards") {
  const Simulation simulation;
  Store store = simulation.open();
  const Reservation mine = reserved(store.reserve("k"));
  CHECK(error_of(store.remove("k")) == ErrorCode::busy);
  value_of(store.save_checkpoint(mine, "step", "data"));
  value_of(store.complete(mine, Outcome::success("x")));
  CHECK(value_of(store.remove("k")) == true);
  CHECK(value_of(store.remove("k")) == false);
  CHECK_FALSE(value_of(store.find("k")));
  CHECK(value_of(store.stats()).checkpoints == 0);
  CHECK(reserved(store.reserve("k")).attempt == 1);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("a refused duplicate leaves the owner's record as it is") {
  Store store = Simulation().open();
  reserved(store.reserve("k", {.fingerprint = Fingerprint::of("1")}));
  const Record before = value_of(store.find("k"))->record;
  CHECK(error_of(store.reserve("k", {.fingerprint = Fingerprint::of("2")})) == ErrorCode::mismatch);
  CHECK(error_of(store.reserve("k", {.lease = 99h, .retention = 1h})) == ErrorCode::busy);
  CHECK(value_of(store.find("k"))->record == before);
}
