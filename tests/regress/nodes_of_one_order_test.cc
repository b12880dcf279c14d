// Nodes in transactions that ended at the same time got the same order, and a node that had failed
// kept the order of that when it succeeded at last. When the run was gone on with, the variables
// that such nodes had set stood in another order than before.
#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <thread>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// What a node that depends on all others saw of the variable, in the lives of a run until it ended.
using Seen = std::vector<int>;

}  // namespace

TEST_CASE("nodes that end at the same time have orders of their own, and set variables in it") {
  constexpr int nodes = 4;
  const TemporaryDirectory directory;
  const Simulation simulation;
  Store store = simulation.open(directory.file("store"));
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> at_work = 0;
    Seen seen;
    Workflow workflow("w", {.threads = nodes});
    std::vector<std::string> names;
    for (int i = 0; i < nodes; ++i) {
      names.push_back("n" + std::to_string(i));
      workflow.transact(names.back(), {},
                        [&, i](Transaction& tx, NodeContext& node) -> Result<void> {
                          node.set("last", i);
                          auto put = tx.put("row" + std::to_string(i), "x");
                          // So that all commit at once.
                          for (++at_work; at_work < nodes;) std::this_thread::yield();
                          return put;
                        });
    }
    workflow.node("after", names, [&](NodeContext& node) -> Result<void> {
      seen.push_back(value_of(node.get<int>("last")).value_or(-1));
      if (seen.size() < 2) return std::unexpected(work_retryable("not yet"));
      return {};
    });
    const std::string id = std::to_string(round);
    CHECK(error_of(workflow.run(store, id)) == ErrorCode::work_retryable);
    CHECK(value_of(workflow.run(store, id)).finished());
    std::set<std::uint32_t> orders;
    for (const NodeState& node : state_of(store, workflow, id).nodes) orders.insert(node.order);
    CHECK(orders.size() == nodes + 1);
    CHECK(orders.count(0) == 0);
    REQUIRE(seen.size() == 2);
    CHECK(seen[0] == seen[1]);
  }
}

TEST_CASE("a node that failed and is done at last comes after those that were done before") {
  for (const bool transact : {false, true}) {
    CAPTURE(transact);
    const Simulation simulation;
    Store store = simulation.open();
    int tries = 0;
    Seen seen;
    Workflow workflow("w");
    const auto late = [&](NodeContext& node) -> Result<void> {
      if (++tries == 1) return std::unexpected(work_retryable("not yet"));
      node.set("last", 1);
      return {};
    };
    if (transact) {
      workflow.transact("late", {}, [&](Transaction&, NodeContext& node) { return late(node); });
    } else {
      workflow.node("late", {}, late);
    }
    workflow.node("early", {}, [](NodeContext& node) { node.set("last", 2); });
    workflow.node("after", {"late", "early"}, [&](NodeContext& node) -> Result<void> {
      seen.push_back(value_of(node.get<int>("last")).value_or(-1));
      if (seen.size() < 2) return std::unexpected(work_retryable("not yet"));
      return {};
    });
    for (int life = 0; life < 2; ++life) {
      CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
    }
    CHECK(value_of(workflow.run(store, "1")).finished());
    CHECK(seen == Seen{1, 1});
  }
}
