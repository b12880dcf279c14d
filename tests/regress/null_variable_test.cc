// A variable that was set to null came back as empty bytes, which is another value, or none at all
// of its type.
#include <doctest/doctest.h>

#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

using MaybeInt = std::optional<std::int64_t>;
using MaybeBytes = std::optional<Bytes>;

template <class Context>
void set_all(Context& context) {
  context.set("number", MaybeInt{});
  context.set("nothing", std::monostate{});
  context.set("text", MaybeBytes{});
  context.set("empty", MaybeBytes{Bytes()});
  context.set("seven", MaybeInt{7});
}

template <class Context>
void check_all(const Context& context) {
  CHECK(value_of(context.template get<MaybeInt>("number")) == std::make_optional(MaybeInt{}));
  CHECK(value_of(context.template get<std::monostate>("nothing")).has_value());
  CHECK(value_of(context.template get<MaybeBytes>("text")) == std::make_optional(MaybeBytes{}));
  CHECK(value_of(context.template get<MaybeBytes>("empty")) ==
        std::make_optional(MaybeBytes{Bytes()}));
  CHECK(value_of(context.template get<MaybeInt>("seven")) == std::make_optional(MaybeInt{7}));
  CHECK(error_of(context.template get<std::int64_t>("number")) == ErrorCode::wrong_type);
  CHECK(!value_of(context.template get<MaybeInt>("none")).has_value());
}

}  // namespace

TEST_CASE("null variables of a graph come back, in the run and after its process ended") {
  for (const bool in_transaction : {false, true}) {
    CAPTURE(in_transaction);
    const Simulation simulation;
    Store store = simulation.open();
    Workflow workflow("w");
    if (in_transaction) {
      workflow.transact("set", {}, [](Transaction&, NodeContext& node) { set_all(node); });
    } else {
      workflow.node("set", {}, [](NodeContext& node) {
        set_all(node);
        check_all(node);
      });
    }
    int looks = 0;
    workflow.node("look", {"set"}, [&](NodeContext& node) -> Result<void> {
      check_all(node);
      if (++looks == 1) return std::unexpected(work_retryable("later"));
      return {};
    });
    CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
    value_of(workflow.run(store, "1"));
    CHECK(looks == 2);
    const auto shown = state_of(store, workflow, "1").variables;
    REQUIRE(shown.contains("number"));
    CHECK(shown.at("number") == std::nullopt);
    CHECK(problems_of(store) == 0);
  }
}

TEST_CASE("null variables of steps come back, in the run and after its process ended") {
  const Simulation simulation;
  Store store = simulation.open();
  int looks = 0;
  const Workflow workflow("w", [&](StepContext& run) -> Result<void> {
    set_all(run);
    check_all(run);
    if (auto done = run.step("a", [](NodeContext& node) { check_all(node); }); !done) return done;
    check_all(run);
    run.set("seven", MaybeInt{});
    auto set = run.step("set", [](NodeContext& node) { set_all(node); });
    if (!set) return set;
    check_all(run);
    run.set("last", MaybeInt{});  // by no step, in the row of progress
    if (++looks == 1) return std::unexpected(work_retryable("later"));
    return {};
  });
  CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
  const auto shown = state_of(store, workflow, "1").variables;
  REQUIRE(shown.contains("last"));
  CHECK(shown.at("last") == std::nullopt);
  value_of(workflow.run(store, "1"));
  CHECK(looks == 2);
  CHECK(problems_of(store) == 0);
}
