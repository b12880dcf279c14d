// Steps whose effect is in the store's own data commit together with their checkpoint.
#include <thread>
#include <utility>

#include "fixture.h"

using namespace once;
using namespace once::testing;

namespace {

Result<void> add(Transaction& tx, std::string_view account, int amount) {
  auto before = tx.get(account);
  if (!before) return std::unexpected(before.error());
  const int balance = *before ? std::stoi(**before) : 0;
  return tx.put(account, std::to_string(balance + amount));
}

std::string balance(Store& store, std::string_view account) {
  return value_of(store.data(account)).value_or("0");
}

constexpr NodeMoment moments[] = {NodeMoment::before_effect, NodeMoment::after_effect,
                                  NodeMoment::before_checkpoint, NodeMoment::after_checkpoint};

}  // namespace

TEST_CASE("whenever the run dies, the effect of a transact step happens exactly once") {
  for (const bool in_steps : {false, true}) {
    for (const char* node : {"debit", "credit"}) {
      for (const NodeMoment moment : moments) {
        const std::string_view at = to_string(moment);
        CAPTURE(in_steps);
        CAPTURE(node);
        CAPTURE(at);
        const Simulation simulation;
        Store store = simulation.open();
        Workflow graph("transfer");
        graph
            .transact("debit", {},
                      [](Transaction& tx) -> Result<Bytes> {
                        if (auto done = add(tx, "alice", -5); !done) {
                          return std::unexpected(done.error());
                        }
                        if (auto sent = tx.publish({.type = "debited"}); !sent) {
                          return std::unexpected(sent.error());
                        }
                        return "5";
                      })
            .transact("credit", {"debit"}, [](Transaction& tx, NodeContext& run) -> Result<void> {
              return add(tx, "bob", value_of(run.input<int>("debit")));
            });
        const Workflow steps("transfer", [](StepContext& run) -> Result<void> {
          auto moved = run.transact("debit", [](Transaction& tx) -> Result<int> {
            if (auto done = add(tx, "alice", -5); !done) return std::unexpected(done.error());
            if (auto sent = tx.publish({.type = "debited"}); !sent) {
              return std::unexpected(sent.error());
            }
            return 5;
          });
          if (!moved) return std::unexpected(moved.error());
          return run.transact("credit", [&](Transaction& tx) { return add(tx, "bob", *moved); });
        });
        const Workflow& workflow = in_steps ? steps : graph;
        auto faults = std::make_shared<WorkflowFaults>();
        faults->die(node, moment);
        CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
        CHECK(faults->struck() == 1);
        // What is there belongs together: the effect if and only if its checkpoint.
        const bool debited =
            node_of(state_of(store, workflow, "1"), "debit").status == NodeStatus::done;
        CHECK(balance(store, "alice") == (debited ? "-5" : "0"));
        let_leases_lapse(simulation);
        value_of(workflow.run(store, "1"));
        CHECK(balance(store, "alice") == "-5");
        CHECK(balance(store, "bob") == "5");
        int events = 0;
        value_of(store.events({}, [&](const Event&) {
          ++events;
          return true;
        }));
        CHECK(events == 1);
        CHECK(problems_of(store) == 0);
      }
    }
  }
}

TEST_CASE("a transact step that fails writes nothing; one that met a conflict runs again") {
  const Simulation simulation;
  Store store = simulation.open();
  int tries = 0;
  bool interfere = true;
  Workflow workflow("w");
  workflow.transact("a", {}, [&](Transaction& tx, NodeContext& node) -> Result<void> {
    ++tries;
    node.set("tries", tries);
    if (auto done = add(tx, "x", 1); !done) return done;
    if (std::exchange(interfere, false)) {
      // Another process' worth of writing between read and commit.
      std::thread other([&] {
        value_of(store.transact("other", [](Transaction& theirs) { return add(theirs, "x", 10); }));
      });
      other.join();
    }
    return {};
  });
  value_of(workflow.run(store, "1"));
  CHECK(tries == 2);
  CHECK(balance(store, "x") == "11");
  CHECK(state_of(store, workflow, "1").variables.at("tries") == "2");

  Workflow failing("failing");
  failing.transact("a", {}, [&](Transaction& tx) -> Result<void> {
    if (auto done = add(tx, "x", 100); !done) return done;
    return std::unexpected(work_failed("no", "no"));
  });
  CHECK(error_of(failing.run(store, "1")) == ErrorCode::work_failed);
  CHECK(balance(store, "x") == "11");
}

TEST_CASE("a transact step of a run that was taken over writes nothing") {
  const Simulation simulation;
  Store store = simulation.open();
  bool zombie = true;
  Workflow workflow("w", {.heartbeat = false});
  workflow.transact("a", {}, [&](Transaction& tx) -> Result<void> {
    if (std::exchange(zombie, false)) {
      std::thread other([&] {
        let_leases_lapse(simulation);
        value_of(workflow.run(store, "1"));
      });
      other.join();
    }
    return add(tx, "x", 1);
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::fenced);
  CHECK(balance(store, "x") == "1");
}

TEST_CASE("what waited for a checkpoint goes along with a transact step") {
  const Simulation simulation;
  Store store = simulation.open();
  Workflow workflow("w", {.strategy = CheckpointStrategy::critical_only()});
  Book book;
  workflow.node("plain", {}, [&] { book.ran("plain"); })
      .transact("tx", {"plain"}, [](Transaction& tx) { return add(tx, "x", 1); })
      .node("last", {"tx"}, [&] { book.ran("last"); });
  auto faults = std::make_shared<WorkflowFaults>();
  faults->die("last", NodeMoment::before_effect);
  CHECK(error_of(workflow.run(store, "1", {.faults = faults})) == ErrorCode::unknown);
  let_leases_lapse(simulation);
  value_of(workflow.run(store, "1"));
  CHECK(book.count("plain") == 1);
  CHECK(balance(store, "x") == "1");
}
