// Ends a process at every step of a transaction over two banks: before and after each write and
// each call of a participant, and inside of these; then ends the recovery at its steps too. What
// is left, recovered, must be all of it or nothing in both ledgers, each part applied exactly once.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>

#include "bank.h"
#include "once/coordinator.h"
#include "support/child.h"
#include "support/temporary_directory.h"

namespace once::testing {
namespace {

constexpr int ended_here = 42;

// Ends the process when it is passed for the n-th time. -1: never.
class Countdown {
 public:
  explicit Countdown(int left) : left_(left) {}
  void pass() {
    if (left_ >= 0 && left_-- == 0) ::_exit(ended_here);
  }

 private:
  int left_;
};

// The work, with steps inside: the transaction of the bank has done its part and is not committed.
StoreWork passing(StoreWork work, Countdown& countdown) {
  const auto settle = [&countdown](auto inner) {
    return [&countdown, inner](Transaction& tx, const ParticipantCall& call) {
      auto done = inner(tx, call);
      countdown.pass();
      return done;
    };
  };
  StoreWork passed{.prepare = settle(work.prepare), .commit = {}, .abort = settle(work.abort)};
  if (work.commit) passed.commit = settle(work.commit);
  return passed;
}

struct Path {
  const char* name;
  bool saga;
  std::vector<Part> parts;
  bool commits;  // when nothing goes wrong
};

const Path paths[] = {
    {"commit", false, {{"debit", "alice 30"}, {"credit", "bob 30"}}, true},
    {"abort", false, {{"credit", "bob 130"}, {"debit", "alice 130"}}, false},
    {"saga", true, {{"debit", "alice 30"}, {"credit", "bob 30"}}, true},
    {"compensated saga", true, {{"debit", "alice 30"}, {"credit", "!eve 30"}}, false},
};

// Two banks and a coordinator, each with a store of its own.
class World {
 public:
  World(const std::string& directory, const Path& path, Countdown& countdown)
      : north(open(directory + "/north.once")),
        south(open(directory + "/south.once")),
        own_(open(directory + "/coordinator.once")),
        coordinator(own_, {.first_pause = Duration(1),
                           .observer = [&](const CoordinatorMoment&) { countdown.pass(); }}) {
    const auto make = path.saga ? store_saga_step : store_participant;
    const StoreWork debit = path.saga ? saga_work(-1) : debit_work();
    const StoreWork credit = path.saga ? saga_work(1) : credit_work();
    value_of(coordinator.add(make("debit", north, passing(debit, countdown), {})));
    value_of(coordinator.add(make("credit", south, passing(credit, countdown), {})));
  }

  Store north;
  Store south;

 private:
  static Store open(const std::string& path) {
    // Small, so that making one costs little.
    return value_of(Store::open(path, {.memory_budget = 1 << 20}));
  }
  Store own_;

 public:
  Coordinator coordinator;
};

// True when it ended at the n-th step, false when it came to its end before.
bool ended(const std::string& directory, const Path& path, int step,
           const std::function<void(World&)>& work) {
  Child child([&](Child&) {
    Countdown countdown(step);
    World world(directory, path, countdown);
    work(world);
    return 0;
  });
  const int status = child.end();
  REQUIRE((status == 0 || status == ended_here));
  return status == ended_here;
}

void transfer(World& world, const Path& path) {
  if (!world.coordinator.run("tx-9", path.parts)) ::_exit(1);
}

void recover(World& world) {
  const auto recovered = world.coordinator.recover_all();
  if (!recovered || !recovered->failed.empty() || !recovered->pending.empty()) ::_exit(1);
}

std::int64_t done(World& world, const char* part, const char* ask) {
  Store& store = std::string(part) == "debit" ? world.north : world.south;
  return number_in(store, fmt::format("done/tx-9-{}:{}", part, ask), 0);
}

void check_ledgers(World& world, bool committed, bool saga) {
  CHECK(balance(world.north, "alice") == (committed ? 70 : 100));
  CHECK(balance(world.south, "bob") == (committed ? 130 : 100));
  CHECK(balance(world.south, "!eve") == 100);
  CHECK(number_in(world.north, "held/alice", 0) == 0);
  CHECK(number_in(world.south, "expected/bob", 0) == 0);
  CHECK(prepared_rows(world.north) == 0);
  CHECK(prepared_rows(world.south) == 0);
  for (const char* part : {"debit", "credit"}) {
    const std::int64_t prepared = done(world, part, "prepare");
    CHECK(prepared <= 1);
    CHECK(done(world, part, "commit") == (committed && !saga ? 1 : 0));
    CHECK(done(world, part, "abort") == (committed ? 0 : prepared));
    if (committed) CHECK(prepared == 1);
  }
}

// Recovers what was left, for good, and checks it.
void settle_and_check(const std::string& directory, const Path& path) {
  Countdown never(-1);
  World world(directory, path, never);
  const auto left = value_of(world.coordinator.report("tx-9"));
  const RecoveryReport recovered = value_of(world.coordinator.recover_all());
  CHECK(recovered.failed.empty());
  CHECK(recovered.pending.empty());
  CHECK(recovered.busy.empty());
  const auto settled = value_of(world.coordinator.report("tx-9"));
  REQUIRE(settled.has_value() == left.has_value());
  if (left) {
    CHECK(settled->finished());
    // What was decided, or not, before it was recovered.
    CHECK(settled->commits() == left->commits());
    if (!path.commits) CHECK_FALSE(settled->commits());
    check_ledgers(world, settled->commits(), path.saga);
  } else {
    check_ledgers(world, false, path.saga);
  }
  // Who asks again gets that answer, and nothing happens; or it happens now, if it never began.
  const TransactionReport again = value_of(world.coordinator.run("tx-9", path.parts));
  CHECK(again.replayed == left.has_value());
  CHECK(again.finished());
  CHECK(again.commits() == (left ? settled->commits() : path.commits));
  check_ledgers(world, again.commits(), path.saga);
  for (Store* store : {&world.north, &world.south}) {
    CHECK(value_of(store->verify()).problem_count == 0);
  }
}

// Ends a transfer at its step `first`, and then, from some step on, the recovery at every fourth.
// So often it ended; 0 when the transfer came to its end.
int end_at(const Path& path, int first) {
  CAPTURE(first);
  int ends = 0;
  // -1: recovered at leisure.
  for (int second = -1;; second = second < 0 ? first % 4 : second + 4) {
    CAPTURE(second);
    const TemporaryDirectory directory(quick_place());
    const auto run = [&](World& world) { transfer(world, path); };
    if (!ended(directory.path(), path, first, run)) return 0;
    const bool again = second >= 0 && ended(directory.path(), path, second, recover);
    ends += again ? 2 : 1;
    settle_and_check(directory.path(), path);
    if (second >= 0 && !again) return ends;
  }
}

}  // namespace

TEST_CASE("ended at every step, and again while recovering: all or nothing, exactly once") {
  for (const Path& path : paths) {
    CAPTURE(path.name);
    int ends = 0;
    int first = 0;
    while (const int times = end_at(path, first)) {
      ends += times;
      ++first;
    }
    // Every write and call has a step before, one after, and most one inside.
    CHECK(first >= 18);
    fmt::print("transaction crash: {}: {} steps, ended {} times\n", path.name, first, ends);
  }
}

}  // namespace once::testing
