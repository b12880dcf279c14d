// A step that was asked for within the work of another one took the place behind it. Once the outer
// one was done nobody asked for the inner one any more, and the run was stuck in a mismatch.
#include <doctest/doctest.h>

#include <stdexcept>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a step or timer within the work of a step is refused, and leaves nothing") {
  for (const char* inner : {"step", "transact", "sleep", "sleep_until"}) {
    for (const bool outer_in_transaction : {false, true}) {
      for (const bool passed_on : {false, true}) {
        CAPTURE(inner);
        CAPTURE(outer_in_transaction);
        CAPTURE(passed_on);
        const Simulation simulation;
        Store store = simulation.open();
        int ran = 0;
        bool nested = true;
        const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
          const auto work = [&]() -> Result<void> {
            if (!nested) return {};
            Result<void> done;
            const std::string kind = inner;
            if (kind == "step") done = run.step("inner", [&] { ++ran; });
            if (kind == "transact") done = run.transact("inner", [&](Transaction&) { ++ran; });
            if (kind == "sleep") done = run.sleep("inner", 1h);
            if (kind == "sleep_until") done = run.sleep_until("inner", run.now() + 1h);
            REQUIRE(error_of(done) == ErrorCode::invalid_argument);
            CHECK(done.error().message.find("'inner'") != std::string::npos);
            CHECK(done.error().message.find("'outer'") != std::string::npos);
            if (passed_on) return done;
            return {};
          };
          auto outer = outer_in_transaction
                           ? run.transact("outer", [&](Transaction&) { return work(); })
                           : run.step("outer", work);
          if (!outer) return outer;
          return run.step("inner", [] {});  // its own place, and its name is free
        });
        const auto first = workflow.run(store, "1");
        if (passed_on) {
          CHECK(error_of(first) == ErrorCode::invalid_argument);
          nested = false;
          value_of(workflow.run(store, "1"));
        } else {
          value_of(first);
        }
        CHECK(ran == 0);
        std::vector<std::string> names;
        for (const NodeState& node : state_of(store, workflow, "1").nodes) {
          names.push_back(node.name);
        }
        CHECK(names == std::vector<std::string>{"outer", "inner"});
      }
    }
  }
}

TEST_CASE("after a step whose work threw, others are no longer within it") {
  const Simulation simulation;
  Store store = simulation.open();
  bool works = false;
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    auto first = run.step("a", [&] {
      if (!works) throw std::runtime_error("no");
    });
    if (!first) return first;
    return run.step("b", [] {});
  });
  CHECK_THROWS_AS((void)workflow.run(store, "1"), std::runtime_error);
  works = true;
  value_of(workflow.run(store, "1"));
}
