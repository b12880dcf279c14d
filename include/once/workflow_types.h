// What workflows are set up with and what they tell: strategies, retries, options, injected faults,
// and the state of a run. See once/workflow.h for workflows themselves.
//
//   once::Workflow order("order", {.version = "2",  // nodes do something else than in version 1
//                                  .strategy = once::CheckpointStrategy::adaptive(),
//                                  .retention = std::chrono::hours(24 * 30)});
//   order.node("charge", {}, charge, {.critical = true, .retry = {.attempts = 5}});
//   ...
//   auto state = order.state_of(store, "order-42");
//   if (state && *state && (*state)->abandoned) resume();
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "once/bytes.h"
#include "once/clock.h"
#include "once/error.h"
#include "once/key.h"
#include "once/options.h"
#include "once/outcome.h"
#include "once/record.h"

namespace once {

inline constexpr std::size_t max_workflow_name_bytes = 240;
inline constexpr std::size_t max_node_name_bytes = 240;
inline constexpr std::uint32_t max_workflow_threads = 1024;

// When a run writes what is done to disk. A node is never repeated once its checkpoint was
// acknowledged. What is done and not written yet is repeated if the process dies; so after_each is
// the default, and the others are for many short nodes that may be done again. Whatever the
// strategy, a checkpoint is made after a critical node, after a node that failed, when the run
// sleeps, stops or ends, and with the effect of a transact() node. A checkpoint has everything that
// changed since the one before, in one commit.
struct CheckpointStrategy {
  enum class Kind : std::uint8_t {
    after_each = 1,     // after every node
    critical_only = 2,  // after nodes with NodeOptions::critical
    timed = 3,          // at the first end of a node when `interval` has passed
    adaptive = 4,       // the same, with the interval of young_daly_interval()
  };

  Kind kind = Kind::after_each;
  Duration interval{};                            // timed
  Duration assumed_mtbf = std::chrono::hours(1);  // adaptive: until failures are measured

  [[nodiscard]] static CheckpointStrategy after_each() { return {}; }
  [[nodiscard]] static CheckpointStrategy critical_only() { return {.kind = Kind::critical_only}; }
  [[nodiscard]] static CheckpointStrategy timed(Duration interval) {
    return {.kind = Kind::timed, .interval = interval};
  }
  // Measures what a checkpoint costs and how often runs of this workflow are broken off by the end
  // of their process. `assumed_mtbf` counts as one failure that was seen before all others.
  [[nodiscard]] static CheckpointStrategy adaptive(Duration assumed_mtbf = std::chrono::hours(1)) {
    return {.kind = Kind::adaptive, .assumed_mtbf = assumed_mtbf};
  }
};

// "after_each", "critical_only", "timed", "adaptive". Never null.
[[nodiscard]] std::string_view to_string(CheckpointStrategy::Kind kind) noexcept;

// How long to work between checkpoints that cost `cost` each, when failures come every `mtbf` on
// average, so that the time lost to both is least: sqrt(2 * cost * mtbf). J. W. Young, "A First
// Order Approximation to the Optimum Checkpoint Interval", 1974; J. T. Daly, "A Higher Order
// Estimate of the Optimum Checkpoint Interval for Restart Dumps", 2006.
[[nodiscard]] Duration young_daly_interval(std::chrono::microseconds cost, Duration mtbf);

// What a strategy knows and computed, kept with each checkpoint.
struct CheckpointFigures {
  CheckpointStrategy::Kind strategy = CheckpointStrategy::Kind::after_each;
  std::uint64_t checkpoints = 0;     // commits with finished nodes, of this run
  std::chrono::microseconds cost{};  // of one checkpoint: moving average of what was measured
  Duration mtbf{};                   // mean time between failures, of all runs that were seen
  Duration interval{};               // between checkpoints; 0: after each, or critical only
  std::uint32_t failures = 0;        // how often this run was broken off by the end of its process
  Duration running{};                // how long this run has been at work, up to its checkpoints

  friend bool operator==(const CheckpointFigures&, const CheckpointFigures&) = default;
};

// How often a node is tried in one run when it fails with work_retryable() or work_not_started(),
// and how long to wait in between: initial, then `multiplier` times as long each time, at most
// `longest`, and up to the share `jitter` of it less, by chance. Errors of other codes and
// exceptions are not tried again within the run.
struct NodeRetry {
  std::uint32_t attempts = 1;
  Duration initial = std::chrono::milliseconds(100);
  Duration longest = std::chrono::seconds(30);
  double multiplier = 2.0;  // 1 or more
  double jitter = 0.1;      // 0 to 1
};

struct NodeOptions {
  bool critical = false;  // a checkpoint is made after it, whatever the strategy
  NodeRetry retry{};
};

struct WorkflowOptions {
  // Part of what is recognised as the definition: change it when nodes keep their names and do
  // something else.
  std::string version{};
  CheckpointStrategy strategy{};
  std::uint32_t threads = 4;  // of a graph: so many nodes at a time; at most max_workflow_threads
  Duration lease = std::chrono::minutes(5);
  bool heartbeat = true;  // false: never renewed
  // How long a finished run answers, and one that was given back after a failure can be resumed;
  // longer than 0. Its checkpoints live as long. What is at work, was broken off or stopped,
  // sleeps, or met a definition other than its own, never expires: `once rm` removes it.
  Duration retention = std::chrono::hours(24 * 7);
  Duration failure_retention = std::chrono::hours(24 * 7);  // of definite failures
  Durability durability = Durability::synced;
};

// A place in the life of a node at which faults can be injected.
enum class NodeMoment : std::uint8_t {
  before_effect = 1,      // the work of the node has not run
  after_effect = 2,       // it has run, and nothing of it is kept
  before_checkpoint = 3,  // right before the commit that keeps it
  after_checkpoint = 4,   // right after it
};

// "before_effect", ... Never null.
[[nodiscard]] std::string_view to_string(NodeMoment moment) noexcept;

// Faults for tests: makes a run fail, or end as if its process had been killed, at a node.
//
//   auto faults = std::make_shared<once::WorkflowFaults>();
//   faults->die("charge", once::NodeMoment::after_effect);
//   CHECK(!order.run(store, "42", {.faults = faults}));   // as kill -9 leaves it
//
// before_checkpoint and after_checkpoint come with the strategies that make one after the node.
// Thread-safe.
class WorkflowFaults {
 public:
  // The node fails with `error`, the next `times` times it gets there. At before_checkpoint and
  // after_checkpoint the run ends with it. The run goes on as with an error of the work's own.
  void fail(std::string node, NodeMoment moment, Error error, std::uint32_t times = 1);
  // From there on the run does nothing more: no work, no write, no release, no heartbeat. run()
  // returns an error of code `unknown`. The reservation stays until its lease lapses.
  void die(std::string node, NodeMoment moment);
  // How often a fault struck.
  [[nodiscard]] std::uint32_t struck() const;

  // Asked by runs: the fault that strikes now, if any. An error without a message: die.
  struct Strike {
    bool dies = false;
    Error error{};
  };
  [[nodiscard]] std::optional<Strike> strike(std::string_view node, NodeMoment moment);

 private:
  struct Armed {
    std::string node{};
    NodeMoment moment{};
    Strike strike{};
    std::uint32_t left = 0;
  };
  mutable std::mutex mutex_;
  std::vector<Armed> armed_;
  std::uint32_t struck_ = 0;
};

struct RunOptions {
  std::string tenant{};
  // What the run works on, kept with it. Asking again for the same id with other input is
  // ErrorCode::mismatch, which names the fields that differ where both are JSON objects
  // (Error::differing_fields, as question_of() in once/question.h names them); asking without any
  // asks for whatever it was begun with. At most Options::max_outcome_bytes, less what the
  // definition takes: else limit_exceeded.
  std::optional<Bytes> input{};
  Duration wait = std::chrono::seconds(30);  // for a run by somebody else to end
  // Stops the run: nodes at work are told (NodeContext::stop()), no other begins, what is done is
  // kept, and the run can be resumed. Ends the wait for somebody else's run too.
  // ErrorCode::cancelled.
  std::stop_token stop{};
  // Timers that are due within this are waited for; for later ones the run is put to sleep. Not
  // less than 0.
  Duration wait_for_timers{};
  // Resume although the definition has changed: nodes that are done and still there count as done.
  bool accept_changes = false;
  std::shared_ptr<WorkflowFaults> faults{};  // for tests
};

enum class NodeStatus : std::uint8_t {
  pending = 1,   // has not begun
  running = 2,   // has begun, and its end is not known
  done = 3,      // has finished, and is not repeated
  failed = 4,    // its last try failed
  sleeping = 5,  // a timer that is not due yet
};

// "pending", "running", "done", "failed", "sleeping". Never null.
[[nodiscard]] std::string_view to_string(NodeStatus status) noexcept;

// How a workflow is written.
enum class WorkflowForm : std::uint8_t { graph = 1, steps = 2 };

// By name; as their codecs encode them, nullopt for null.
using WorkflowVariables = std::map<std::string, std::optional<Bytes>>;

// What a checkpoint tells of a node.
struct NodeState {
  std::string name{};
  std::vector<std::string> after{};  // graph: what it depends on
  bool critical = false;
  bool defined = true;  // false: left by an earlier definition
  NodeStatus status = NodeStatus::pending;
  std::uint32_t order = 0;     // in which it finished (graph) or was asked for (steps); from 1
  std::uint32_t attempts = 0;  // begun, in all runs, as far as NodeContext::attempt() tells
  Time started_at{};           // of the last attempt; 0: none
  Time finished_at{};
  Time due{};                     // of a timer
  Token token{};                  // of the reservation that wrote it
  std::optional<Bytes> output{};  // done: what it returned; nullopt for null
  std::optional<Error> error{};   // failed
  WorkflowVariables variables{};  // that it set
};

// A run as its newest checkpoint tells.
struct WorkflowState {
  Key key{};
  std::string workflow{};  // its name
  std::string id{};
  Status status = Status::in_progress;
  bool abandoned = false;  // in progress, and nobody is at work on it: to be resumed
  std::optional<Time> sleeping_until{};
  Token token{};
  std::uint32_t attempt = 0;
  Time created_at{};
  Time updated_at{};  // last change of the record
  Time expires_at{};
  // The sequence of the newest checkpoint, and when it was made. 0: none was made yet.
  std::uint64_t checkpoint_id = 0;
  Time checkpoint_at{};
  WorkflowForm form = WorkflowForm::graph;
  std::string version{};
  Fingerprint definition{};
  std::optional<Bytes> input{};
  std::vector<NodeState> nodes{};    // graph: as defined; steps: as asked for
  WorkflowVariables variables{};     // as the nodes left them
  std::optional<Outcome> outcome{};  // of a finished run
  CheckpointFigures figures{};
  // Why its checkpoints cannot be read, of a run that list() found all the same: then what they
  // tell is missing or not whole.
  std::optional<Error> unreadable{};

  // The names of those that are done.
  [[nodiscard]] std::vector<std::string> completed() const;
};

}  // namespace once
