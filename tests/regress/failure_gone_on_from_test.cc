// A failure that a function in steps had gone on from was forgotten when nothing of a later step
// was on disk: the step was tried again, and the function went both ways. An order was refunded and
// shipped.
#include <doctest/doctest.h>

#include "engine/embedded/embedded_engine.h"
#include "store/open_on.h"
#include "support/simulated_device.h"
#include "workflow/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Charges; ships what was paid for, else gives the money back and tells.
class Orders {
 public:
  explicit Orders(const CheckpointStrategy& strategy)
      : workflow("order",
                 [this](StepContext& run) -> Result<Bytes> {
                   auto charged = run.step("charge", [this]() -> Result<void> {
                     book.ran("charge");
                     if (book.count("charge") > 1) return {};
                     return std::unexpected(work_retryable("the gateway is down"));
                   });
                   if (!charged && charged.error().code != ErrorCode::work_retryable) {
                     return std::unexpected(charged.error());
                   }
                   if (charged) return run.step("ship", [this] { return act("ship"); });
                   if (pause > 0ms) {
                     if (auto slept = run.sleep("pause", pause); !slept) {
                       return std::unexpected(slept.error());
                     }
                   }
                   auto refunded =
                       in_transaction
                           ? run.transact("refund", [this](Transaction&) { return act("refund"); })
                           : run.step("refund", [this] { return act("refund"); });
                   if (!refunded) return std::unexpected(refunded.error());
                   return run.step("tell", [this] { return act("tell"); });
                 },
                 {.strategy = strategy, .heartbeat = false}) {}

  Bytes act(const std::string& name) {
    book.ran(name);
    if (at_work) at_work(name);
    return name;
  }

  Book book{};
  bool in_transaction = false;
  Duration pause{};
  std::function<void(const std::string&)> at_work{};
  Workflow workflow;
};

const std::vector<CheckpointStrategy>& strategies() {
  static const std::vector<CheckpointStrategy> all{
      CheckpointStrategy::after_each(), CheckpointStrategy::critical_only(),
      CheckpointStrategy::timed(24h), CheckpointStrategy::adaptive()};
  return all;
}

// A store on a disk that may lose what was not synced; each opening is another process.
Store open_on_disk(const std::shared_ptr<SimulatedDevice>& device,
                   const std::shared_ptr<ManualClock>& clock, std::uint32_t pid) {
  auto processes = std::make_shared<SimulatedProcesses>(pid);
  for (std::uint32_t earlier = 100; earlier < pid; ++earlier) {
    processes->set(earlier, Liveness::dead);
  }
  Options options;
  options.clock = clock;
  options.processes = processes;
  options.open_timeout_ms = 0ms;
  return open_on(
      value_of(engine::EmbeddedEngine::open(
          engine::make_file_place("simulated.once", {.options = options, .device = device}),
          options)),
      options);
}

}  // namespace

TEST_CASE("a failure that the function went on from stays one, wherever the process dies after") {
  for (const CheckpointStrategy& strategy : strategies()) {
    for (const bool accept_changes : {false, true}) {
      for (const bool in_transaction : {false, true}) {
        for (const Duration pause : {Duration(0), Duration(1h)}) {
          for (const char* step : {"refund", "tell"}) {
            for (const NodeMoment moment : {NodeMoment::before_effect, NodeMoment::after_effect}) {
              const std::string_view kind = to_string(strategy.kind);
              const std::string_view at = to_string(moment);
              CAPTURE(kind);
              CAPTURE(accept_changes);
              CAPTURE(in_transaction);
              CAPTURE(pause.count());
              CAPTURE(step);
              CAPTURE(at);
              const Simulation simulation;
              Store store = simulation.open();
              Orders orders(strategy);
              orders.in_transaction = in_transaction;
              orders.pause = pause;
              auto faults = std::make_shared<WorkflowFaults>();
              faults->die(step, moment);
              const auto run = [&] {
                return orders.workflow.run(store, "1",
                                           {.accept_changes = accept_changes, .faults = faults});
              };
              if (pause > 0ms) {
                CHECK(value_of(run()).sleeping_until());
                simulation.clock->advance(pause);
              }
              CHECK(error_of(run()) == ErrorCode::unknown);
              CHECK(faults->struck() == 1);
              let_leases_lapse(simulation);
              CHECK(value_of(run()).value() == "tell");
              CHECK(orders.book.count("charge") == 1);
              CHECK(orders.book.count("refund") >= 1);
              CHECK(orders.book.count("ship") == 0);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a failure that the function went on from stays one when the power goes") {
  for (const CheckpointStrategy& strategy : strategies()) {
    for (const std::string step : {"refund", "tell"}) {
      const std::string_view kind = to_string(strategy.kind);
      CAPTURE(kind);
      CAPTURE(step);
      const auto clock = std::make_shared<ManualClock>();
      auto device = std::make_shared<SimulatedDevice>();
      Orders orders(strategy);
      std::optional<Moment> moment;
      orders.at_work = [&](const std::string& name) {
        if (name == step) moment = device->moment();
      };
      {
        Store store = open_on_disk(device, clock, 100);
        value_of(orders.workflow.run(store, "1"));
      }
      REQUIRE(moment);
      device = std::make_shared<SimulatedDevice>(moment->crash({.kind = CrashPlan::Kind::none}));
      clock->reboot();
      clock->advance(10min);
      Store store = open_on_disk(device, clock, 101);
      CHECK(value_of(orders.workflow.run(store, "1")).value() == "tell");
      CHECK(orders.book.count("charge") == 1);
      CHECK(orders.book.count("ship") == 0);
    }
  }
}

TEST_CASE(
    "a failure that the function did not go on from is tried again, changes accepted or not") {
  for (const CheckpointStrategy& strategy : strategies()) {
    for (const bool accept_changes : {false, true}) {
      const Simulation simulation;
      Store store = simulation.open();
      int tries = 0;
      const Workflow workflow("w",
                              [&](StepContext& run) -> Result<void> {
                                return run.step("a", [&]() -> Result<void> {
                                  if (++tries == 1) return std::unexpected(work_retryable("later"));
                                  return {};
                                });
                              },
                              {.strategy = strategy});
      CHECK(error_of(workflow.run(store, "1")) == ErrorCode::work_retryable);
      value_of(workflow.run(store, "1", {.accept_changes = accept_changes}));
      CHECK(tries == 2);
    }
  }
}

TEST_CASE("a step that failed keeps its place when changes are accepted again and again") {
  const Simulation simulation;
  Store store = simulation.open();
  Orders orders(CheckpointStrategy::after_each());
  for (const char* step : {"refund", "tell"}) {
    auto faults = std::make_shared<WorkflowFaults>();
    faults->die(step, NodeMoment::before_effect);
    CHECK(error_of(orders.workflow.run(store, "1", {.accept_changes = true, .faults = faults})) ==
          ErrorCode::unknown);
    let_leases_lapse(simulation);
  }
  value_of(orders.workflow.run(store, "1", {.accept_changes = true}));
  CHECK(orders.book.order() == std::vector<std::string>{"charge", "refund", "tell"});
  const WorkflowState state = state_of(store, orders.workflow, "1");
  CHECK(node_of(state, "charge").order == 1);
  CHECK(node_of(state, "charge").defined);
}
