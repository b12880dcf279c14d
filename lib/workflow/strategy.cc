// When checkpoints are made, faults for tests, and the names of things.
#include <algorithm>
#include <cmath>

#include "once/workflow_types.h"

namespace once {

Duration young_daly_interval(std::chrono::microseconds cost, Duration mtbf) {
  const double cost_ms = static_cast<double>(std::max<std::int64_t>(cost.count(), 0)) / 1000.0;
  const double mtbf_ms = static_cast<double>(std::max<std::int64_t>(mtbf.count(), 0));
  return Duration(std::llround(std::sqrt(2.0 * cost_ms * mtbf_ms)));
}

std::string_view to_string(CheckpointStrategy::Kind kind) noexcept {
  switch (kind) {
    case CheckpointStrategy::Kind::after_each:
      return "after_each";
    case CheckpointStrategy::Kind::critical_only:
      return "critical_only";
    case CheckpointStrategy::Kind::timed:
      return "timed";
    case CheckpointStrategy::Kind::adaptive:
      return "adaptive";
  }
  return "unnamed";
}

std::string_view to_string(NodeMoment moment) noexcept {
  switch (moment) {
    case NodeMoment::before_effect:
      return "before_effect";
    case NodeMoment::after_effect:
      return "after_effect";
    case NodeMoment::before_checkpoint:
      return "before_checkpoint";
    case NodeMoment::after_checkpoint:
      return "after_checkpoint";
  }
  return "unnamed";
}

std::string_view to_string(NodeStatus status) noexcept {
  switch (status) {
    case NodeStatus::pending:
      return "pending";
    case NodeStatus::running:
      return "running";
    case NodeStatus::done:
      return "done";
    case NodeStatus::failed:
      return "failed";
    case NodeStatus::sleeping:
      return "sleeping";
  }
  return "unnamed";
}

void WorkflowFaults::fail(std::string node, NodeMoment moment, Error error, std::uint32_t times) {
  const std::lock_guard lock(mutex_);
  armed_.push_back({.node = std::move(node),
                    .moment = moment,
                    .strike = {.error = std::move(error)},
                    .left = times});
}

void WorkflowFaults::die(std::string node, NodeMoment moment) {
  const std::lock_guard lock(mutex_);
  armed_.push_back(
      {.node = std::move(node), .moment = moment, .strike = {.dies = true}, .left = 1});
}

std::uint32_t WorkflowFaults::struck() const {
  const std::lock_guard lock(mutex_);
  return struck_;
}

std::optional<WorkflowFaults::Strike> WorkflowFaults::strike(std::string_view node,
                                                             NodeMoment moment) {
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find_if(armed_, [&](const Armed& armed) {
    return armed.left > 0 && armed.moment == moment && armed.node == node;
  });
  if (at == armed_.end()) return std::nullopt;
  --at->left;
  ++struck_;
  return at->strike;
}

std::vector<std::string> WorkflowState::completed() const {
  std::vector<std::string> names;
  for (const NodeState& node : nodes) {
    if (node.status == NodeStatus::done) names.push_back(node.name);
  }
  return names;
}

}  // namespace once
