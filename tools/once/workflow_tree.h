// Runs of workflows for people, as a tree, and as JSON.
//
//   acme/workflow:order/42  in progress, attempt 2
//   ├─ reserve  done     41ms
//   └─ charge   failed   3 attempts  the card was declined
//      └─ ship  pending  also after reserve
//
// A node of a graph stands below the one that it depends on and that stands deepest; what else it
// depends on is told on its line. Steps stand below each other.
#pragma once

#include "json.h"
#include "once/workflow.h"
#include "output.h"

namespace once::tool {

[[nodiscard]] Json run_json(const WorkflowState& state);
// The same without nodes, variables, input and outcome.
[[nodiscard]] Json run_summary_json(const WorkflowState& state);

void write_run_tree(Output& out, const WorkflowState& state);

[[nodiscard]] std::string run_table_header();
[[nodiscard]] std::string run_table_line(const Output& out, const WorkflowState& state);

}  // namespace once::tool
