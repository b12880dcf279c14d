// What the tests of workflows share: a simulated store, and a book of what ran.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "once/once.h"
#include "store/fixture.h"

namespace once::testing {

// Which nodes had their effect, in order. Thread-safe.
class Book {
 public:
  void ran(const std::string& node) {
    MutexLock lock(mutex_);
    order_.push_back(node);
  }
  [[nodiscard]] std::vector<std::string> order() const {
    MutexLock lock(mutex_);
    return order_;
  }
  [[nodiscard]] int count(const std::string& node) const {
    MutexLock lock(mutex_);
    return static_cast<int>(std::ranges::count(order_, node));
  }
  // True if `first` ran, and before `second`.
  [[nodiscard]] bool before(const std::string& first, const std::string& second) const {
    MutexLock lock(mutex_);
    const auto one = std::ranges::find(order_, first);
    const auto two = std::ranges::find(order_, second);
    return one != order_.end() && one < two;
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::string> order_;
};

inline WorkflowState state_of(Store& store, const Workflow& workflow, std::string_view id) {
  auto state = value_of(workflow.state_of(store, id));
  if (!state) FAIL("there should be a run");
  return *state;
}

inline NodeState node_of(const WorkflowState& state, std::string_view name) {
  const auto at = std::ranges::find(state.nodes, name, &NodeState::name);
  if (at == state.nodes.end()) FAIL("there should be such a node");
  return *at;
}

// Past the lease of whoever died in this process.
inline void let_leases_lapse(const Simulation& simulation) {
  simulation.clock->advance(std::chrono::minutes(6));
}

}  // namespace once::testing
