// One try of a node or a step: what it gets to see, and what came of it.
#pragma once

#include <exception>

#include "workflow/recorder.h"

namespace once::workflow {

// What all nodes of a run share.
struct RunScope {
  Store::Impl& store;
  const Workflow::Impl& definition;
  Recorder& recorder;
  const RunOptions& options;
  const std::optional<Bytes>& input;
  std::stop_source stop;
  std::string id{};

  [[nodiscard]] bool stopping() const { return stop.stop_requested(); }
};

// How a run ended; run.cc does what is to be done about it.
struct Ending {
  enum class Kind : std::uint8_t {
    finished,
    failed,    // by `error`: its code says what becomes of the key
    sleeping,  // until `until`
    stopped,   // the stop source was asked to
    changed,   // the definition does not fit what is done
  };
  Kind kind = Kind::finished;
  Output value{};
  Error error{};
  std::exception_ptr thrown{};  // together with failed: passed on at last
  Time until{};                 // of stopped: it only waited for a timer, which is due then
};

struct NodeCall {
  const std::string& name;
  const std::vector<std::string>& after;
  const Work* work = nullptr;  // one of the two
  const TransactWork* transact = nullptr;
};

struct Tried {
  Result<Output> output{};
  std::exception_ptr thrown{};
};

// Runs the work once. `row` has the attempt and its beginning; if the work succeeds it is completed
// and, for a transaction, kept; else see Recorder::ended().
[[nodiscard]] Tried try_node(RunScope& scope, const NodeCall& call, NodeRow& row);

// True for failures that are worth another try by NodeRetry.
[[nodiscard]] bool is_retryable(const Error& error);
// How long to wait after the `failed`th try of this run (from 1) has failed.
[[nodiscard]] Duration backoff(const NodeRetry& retry, std::uint32_t failed);

// Waits until the clock reads `deadline` since boot. False if the run is to stop.
[[nodiscard]] bool wait_until(const Clock& clock, Duration deadline, const std::stop_token& stop);

// The error of a node as it is kept, its texts cut where they are long.
[[nodiscard]] Error error_to_keep(Error error);
// The error of a node, naming it.
[[nodiscard]] Error error_of_node(const std::string& node, Error error);

}  // namespace once::workflow

namespace once {

class NodeContext::Impl {
 public:
  workflow::RunScope& scope;
  const workflow::NodeCall& call;
  std::uint32_t attempt = 1;
  std::map<std::string, workflow::Output, std::less<>> variables{};  // that it set
};

}  // namespace once
