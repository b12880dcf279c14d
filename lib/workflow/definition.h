// What a Workflow is made of, how it is checked, and by what a changed one is noticed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "once/workflow.h"
#include "workflow/failures.h"
#include "workflow/run_rows.h"

namespace once::workflow {

using Output = internal::Output;
using Work = std::function<Result<Output>(NodeContext&)>;
using TransactWork = std::function<Result<Output>(Transaction&, NodeContext&)>;

struct Node {
  NodeOutline outline{};
  NodeOptions options{};
  Work work{};  // one of the two, unless it is a timer
  TransactWork transact{};
  Duration sleep{};
};

// What of an old and a new definition differs, for people: "version '1' is now '2'; node 'b' is
// gone", the first few changes and how many more there are. Empty when nothing does.
[[nodiscard]] std::string differences(const RunRow& before, const RunRow& now);

// What Workflow::validate() says of the nodes of a graph.
[[nodiscard]] Result<void> check_graph(const std::string& workflow, const std::string& result,
                                       const std::vector<Node>& nodes);
[[nodiscard]] Result<void> check_retry(std::string_view name, const NodeRetry& retry);
[[nodiscard]] Result<void> check_node_name(std::string_view name);
// Of one run, or of many that are resumed.
[[nodiscard]] Result<void> check_run(const RunOptions& options);

}  // namespace once::workflow

namespace once {

class Workflow::Impl {
 public:
  Impl(std::string workflow_name, const WorkflowOptions& workflow_options)
      : name(std::move(workflow_name)), options(workflow_options) {}

  [[nodiscard]] Result<void> validate() const;
  // As it is kept with each run, without its input.
  [[nodiscard]] workflow::RunRow outline() const;

  std::string name;
  WorkflowOptions options;
  std::vector<workflow::Node> nodes{};
  std::string result{};
  Steps steps{};                          // none: a graph
  mutable workflow::Failures failures{};  // of all runs that this process has seen

 private:
  [[nodiscard]] Result<void> validate_options() const;
};

}  // namespace once
