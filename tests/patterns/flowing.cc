// Workflows, as graphs and in steps, whose nodes have effects in the world; one node books into the
// store and publishes, in one commit with its checkpoint:
//
//   a -> b, c -> d (books) -> e
//
// With the strategies that go by time there is a timer behind c, before d.
#include <fmt/format.h>

#include <array>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "patterns/site.h"

namespace once::testing::patterns {

using namespace std::chrono_literals;

namespace {

enum class Trouble : std::uint8_t { none, none_too, dies, retries, throws, zombie, error, fails };

constexpr std::array<const char*, 5> nodes{"a", "b", "c", "d", "e"};
constexpr Duration lease = 1min;

std::vector<std::string> after(std::size_t index) {
  static const std::array<std::vector<std::string>, 5> edges{{{}, {"a"}, {"a"}, {"b", "c"}, {"d"}}};
  return edges[index];
}

bool is_after_each(std::string_view workflow) {
  return workflow[1] == '1';
}
bool has_timer(std::string_view workflow) {
  return workflow[1] >= '3';
}

// Whether a node's checkpoint is acknowledged as soon as the next one begins.
bool is_kept(bool after_each, std::string_view node) {
  return after_each || node == "c" || node == "d";
}

void blame_early(World& world, const std::string& run) {
  world.blame(fmt::format("run {} goes on before its timer is due", run));
}

std::string run_of(const Key& key) {
  return key.operation.substr(key.operation.find(':') + 1) + "/" + key.id;
}

}  // namespace

// Workflows 0 and 1 are graphs, 2 and 3 in steps; 1 and 3 keep what is critical only. So on with
// 4 and 6, by time, and 5 and 7, adaptive.
void Site::define_flows() {
  static constexpr std::array strategies{
      CheckpointStrategy{.kind = CheckpointStrategy::Kind::after_each},
      CheckpointStrategy{.kind = CheckpointStrategy::Kind::critical_only},
      CheckpointStrategy{.kind = CheckpointStrategy::Kind::timed, .interval = 1min},
      CheckpointStrategy{.kind = CheckpointStrategy::Kind::adaptive}};
  flows_.clear();
  for (std::size_t index = 0; index < 8; ++index) {
    const bool in_steps = index / 2 % 2 == 1;
    const std::size_t strategy = index / 4 * 2 + index % 2;
    const std::string name = fmt::format("{}{}", in_steps ? "s" : "g", strategy + 1);
    const WorkflowOptions options{.strategy = strategies[strategy],
                                  .threads = 1,
                                  .lease = lease,
                                  .heartbeat = false,
                                  .retention = 24h * 365,
                                  .failure_retention = 24h * 365};
    flows_.push_back(in_steps ? steps(name, options) : graph(name, options));
  }
}

Workflow Site::graph(const std::string& name, const WorkflowOptions& options) {
  Workflow graph(name, options);
  const bool after_each = is_after_each(name);
  if (has_timer(name)) graph.sleep("nap", {"c"}, nap);
  // What stands before a node is kept when the node begins, where it is kept at once.
  const auto begin = [this, after_each](std::size_t index, const std::string& run) {
    std::vector<std::string> kept;
    for (const std::string& before : after(index)) {
      if (is_kept(after_each, before)) kept.push_back(before);
    }
    acknowledge_nodes(run, kept);
  };
  for (std::size_t index = 0; index < nodes.size(); ++index) {
    if (nodes[index] == std::string_view("d")) {
      std::vector<std::string> before = after(index);
      if (has_timer(name)) before.emplace_back("nap");
      graph.transact("d", before, [this, begin, index](Transaction& tx, NodeContext& node) {
        begin(index, run_of(node.key()));
        return booking_node(tx, node);
      });
      continue;
    }
    graph.node(nodes[index], after(index),
               [this, begin, index](NodeContext& context) -> Result<Bytes> {
                 begin(index, run_of(context.key()));
                 std::string inputs;
                 for (const std::string& before : after(index)) {
                   auto input = context.input<Bytes>(before);
                   if (!input) return pass(input);
                   inputs += *input + " ";
                 }
                 return node(index, context, inputs);
               },
               {.critical = nodes[index] == std::string_view("c")});
  }
  return graph;
}

Workflow Site::steps(const std::string& name, const WorkflowOptions& options) {
  return {name,
          [this, after_each = is_after_each(name),
           has_timer = has_timer(name)](StepContext& run) -> Result<Bytes> {
            const std::string id = run_of(run.key());
            std::map<std::string, Bytes> outputs;
            std::vector<std::string> done;
            for (std::size_t index = 0; index < nodes.size(); ++index) {
              const std::string step = nodes[index];
              if (has_timer && step == "d") {
                if (auto slept = run.sleep("nap", nap); !slept) return pass(slept);
              }
              std::string inputs;
              for (const std::string& before : after(index)) inputs += outputs[before] + " ";
              auto output =
                  step == "d"
                      ? run.transact(step,
                                     [this](Transaction& tx, NodeContext& node) {
                                       return booking_node(tx, node);
                                     })
                      : run.step(step,
                                 [&](NodeContext& context) { return node(index, context, inputs); },
                                 {.critical = step == "c"});
              if (!output) return output;
              outputs[step] = *output;
              done.push_back(step);
              // A checkpoint has everything before it, too.
              if (is_kept(after_each, step)) acknowledge_nodes(id, done);
            }
            return outputs["e"];
          },
          options};
}

void Site::acknowledge_nodes(const std::string& run, const std::vector<std::string>& kept) {
  if (kept.empty()) return;
  change([&](World& world) {
    for (const std::string& node : kept) world.acknowledge(run, node);
    const bool booked = world.runs[run].nodes["d"].acknowledged;
    if (booked && world.orders[run].state == Order::State::begun) {
      world.end_order(run, Order::State::committed);
      world.synced();
    }
  });
}

// The effect of a node, and what may go wrong right after it.
Result<Bytes> Site::node(std::size_t index, NodeContext& context, const std::string& inputs) {
  const std::string run = run_of(context.key());
  const std::string name = context.name();
  if (mood_.stale) {
    // Between two checkpoints it cannot know that somebody took over. The other side can refuse its
    // token.
    if (is_after_each(run)) blame("run " + run + ": a zombie goes on after its checkpoint");
    return "late";
  }
  const bool here = mood_.at == index;
  const auto trouble = here ? static_cast<Trouble>(mood_.how % 8) : Trouble::none;
  if (trouble == Trouble::fails && timeline_.world().runs[run].failing) {
    return std::unexpected(work_failed("no", "never"));
  }
  Bytes output;
  change([&](World& world) {
    // What it is given is what those before it did at last.
    std::string expected;
    for (const std::string& before : after(index)) {
      expected += fmt::format("{}#{} ", before, world.runs[run].nodes[before].effects);
    }
    if (inputs != expected) {
      world.blame(
          fmt::format("run {}: node {} is given {}, and it was {}", run, name, inputs, expected));
    }
    output = world.ran(run, name);
    world.held(context.key(), context.token());
  });
  if (trouble == Trouble::retries) return std::unexpected(work_retryable("later"));
  if (trouble == Trouble::throws) throw std::runtime_error("thrown by a node");
  if (trouble == Trouble::zombie) {
    // It sleeps past the lease of its run, and somebody else ends the run, or puts it to sleep.
    const Mood zombies = std::exchange(mood_, {});
    pass_time(2 * lease);
    const std::size_t slash = run.find('/');
    std::thread successor([&] {
      for (std::size_t which = 0; which < flows_.size(); ++which) {
        if (flows_[which].name() == run.substr(0, slash)) {
          const bool ended = run_flow(which, run.substr(slash + 1), {.wait = 0ms});
          mood_.stale = ended || heard_ == "sleeps";
        }
      }
    });
    successor.join();
    const bool overtaken = mood_.stale;
    mood_ = zombies;
    mood_.stale = overtaken;
    mood_.how = 0;
    // A bad disk stands in the successor's way, who may have got far enough to take over.
    if (!overtaken) return std::unexpected(work_retryable("gives up"));
  }
  return output;
}

// Books into the store's data and publishes, in one commit with the checkpoint of the node.
Result<Bytes> Site::booking_node(Transaction& tx, NodeContext& context) {
  const std::string run = run_of(context.key());
  const std::string event = "booked." + run;
  change([&](World& world) {
    if (world.runs[run].nodes["d"].acknowledged) {
      world.blame(fmt::format("run {}: node d is repeated although it was acknowledged", run));
    }
    const std::optional<Time>& due = world.runs[run].due;
    if (due && world.now < *due) blame_early(world, run);
    // Not counted: what it does is in the store.
    world.runs[run].nodes["d"].effects = 1;
    world.begin_order(run, {.of_workflow = true, .events = {event}}, "0");
  });
  const std::string row = "book/" + run;
  auto times = tx.get(row);
  if (!times) return pass(times);
  if (auto put = tx.put(row, times->value_or("") + "x"); !put) return pass(put);
  auto published =
      tx.publish({.id = event, .aggregate_type = "t", .aggregate_id = "0", .payload = run});
  if (!published) return pass(published);
  return "d#1";
}

// `which`: the workflow (lowest three bits) and the run. `how`: the trouble (lowest three bits),
// and where.
void Site::flow(std::uint8_t which, std::uint8_t how) {
  static constexpr std::array moments{NodeMoment::before_effect, NodeMoment::after_effect,
                                      NodeMoment::before_checkpoint, NodeMoment::after_checkpoint};
  const std::string id = std::to_string(which / 8 % 3);
  const std::size_t at = how / 8U % nodes.size();
  const auto trouble = static_cast<Trouble>(how % 8);
  mood_ = {.how = how, .at = at};
  RunOptions options{.wait = 0ms};
  if (trouble == Trouble::dies || trouble == Trouble::error) {
    options.faults = std::make_shared<WorkflowFaults>();
    const NodeMoment moment = moments[how / 64];
    if (trouble == Trouble::dies) options.faults->die(nodes[at], moment);
    // What the disk answers at a checkpoint must not be made up where it matters.
    if (trouble == Trouble::error) {
      options.faults->fail(nodes[at], moment, work_retryable("injected"));
    }
  }
  const std::string run = flows_[which % 8].name() + "/" + id;
  if (trouble == Trouble::fails && id == "2") {
    change([&](World& world) { world.runs[run].failing = true; });
  }
  run_flow(which % 8, id, options);
  mood_ = {};
}

// True when it has come to its end.
bool Site::run_flow(std::size_t which, const std::string& id, const RunOptions& options) {
  const std::string run = flows_[which].name() + "/" + id;
  change([&](World& world) { world.runs[run].open = true; });
  bool threw = false;
  Result<WorkflowRun> done = std::unexpected(Error{});
  try {
    done = flows_[which].run(*main_, id, options);
  } catch (const std::runtime_error&) {
    threw = true;
  }
  if (threw) {
    heard_ = "threw";
    return false;
  }
  return take_flow(run, done);
}

bool Site::take_flow(const std::string& run, const Result<WorkflowRun>& done) {
  const bool overtaken = std::exchange(mood_.stale, false);
  if (overtaken && (done || done.error().code != ErrorCode::fenced)) {
    const bool disk = !done && options_.may_fail && is_of_the_disk(done.error().code);
    if (!disk) blame("run " + run + ": the checkpoint of a zombie is not refused");
    return false;
  }
  if (overtaken) {
    heard_ = "fenced";
    return false;
  }
  const bool failed = !done && done.error().code == ErrorCode::work_failed;
  if (!done && !failed) {
    // An injected death answers `unknown`, and its lease holds on.
    hear("run " + run, done.error(),
         {ErrorCode::work_retryable, ErrorCode::unknown, ErrorCode::busy});
    return false;
  }
  if (done && !done->finished()) {
    take_sleep(run, *done->sleeping_until());
    return false;
  }
  heard_ = failed ? "failed" : done->replayed() ? "replayed" : "finished";
  if (done) acknowledge_nodes(run, {nodes.begin(), nodes.end()});
  change([&](World& world) {
    RunLife& life = world.runs[run];
    const Bytes answer = failed ? "!no" : done->value().value_or("");
    const Bytes expected = fmt::format("e#{}", life.nodes["e"].effects);
    if (!failed && answer != expected) {
      world.blame(fmt::format("run {} ends with {}, and it was {}", run, answer, expected));
    }
    if (life.answer && *life.answer != answer) {
      world.blame(fmt::format("run {} was answered {}, and now {}", run, *life.answer, answer));
    }
    if (failed && !life.failing) world.blame("run " + run + " has failed by itself");
    life.answer = answer;
    life.open = false;
  });
  return true;
}

// A run that sleeps has kept all that is done, and when it is due.
void Site::take_sleep(const std::string& run, Time until) {
  heard_ = "sleeps";
  change([&](World& world) {
    RunLife& life = world.runs[run];
    if (life.due && *life.due != until) {
      world.blame(fmt::format("run {} was to sleep until {}, and now until {}", run,
                              life.due->time_since_epoch().count(),
                              until.time_since_epoch().count()));
    }
    life.due = until;
    life.open = false;
  });
  acknowledge_nodes(run, {"a", "b", "c"});
}

void Site::resume() {
  std::size_t count = 0;
  const auto done = Workflow::resume_all(*main_, flows_,
                                         [&](const Key& key, const Result<WorkflowRun>& run) {
                                           ++count;
                                           take_flow(run_of(key), run);
                                           return true;
                                         },
                                         {.wait = 0ms});
  heard_ = fmt::format("{} runs", count);
  if (!done) hear("resuming", done.error(), {});
}

}  // namespace once::testing::patterns
