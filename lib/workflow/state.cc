// The states of runs, as their checkpoints tell: for which no definition is needed.
#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "once/workflow.h"
#include "workflow/loaded_run.h"

namespace once {

using workflow::LoadedNode;
using workflow::LoadedRun;

namespace {

NodeState state_of(const std::string& name, const LoadedNode& node) {
  NodeState state{.name = name,
                  .status = node.row.status,
                  .order = node.row.order,
                  .attempts = node.row.attempts,
                  .started_at = node.row.started_at,
                  .finished_at = node.row.finished_at,
                  .due = node.row.due,
                  .token = node.token,
                  .output = node.row.output};
  if (node.row.status == NodeStatus::failed) state.error = node.row.error;
  for (const auto& [variable, value] : node.row.variables) state.variables[variable] = value;
  return state;
}

// The nodes of the definition, as it names them, then those that it does not know.
std::vector<NodeState> states_of(const LoadedRun& loaded) {
  std::vector<NodeState> states;
  std::map<std::string, const LoadedNode*> left;
  for (const auto& [name, node] : loaded.nodes) left[name] = &node;
  const bool graph = loaded.run && loaded.run->form == WorkflowForm::graph;
  if (graph) {
    for (const workflow::NodeOutline& outline : loaded.run->nodes) {
      const auto at = left.find(outline.name);
      NodeState state =
          at == left.end() ? NodeState{.name = outline.name} : state_of(outline.name, *at->second);
      state.after = outline.after;
      state.critical = outline.critical;
      states.push_back(std::move(state));
      if (at != left.end()) left.erase(at);
    }
  }
  const auto known = static_cast<std::ptrdiff_t>(states.size());
  for (const auto& [name, node] : left) {
    NodeState state = state_of(name, *node);
    state.defined = !graph && node->row.order != 0;
    states.push_back(std::move(state));
  }
  const auto place = [](const NodeState& state) {
    return std::tuple(!state.defined, state.order, std::string_view(state.name));
  };
  std::ranges::sort(states.begin() + known, states.end(), {}, place);
  return states;
}

WorkflowVariables variables_of(const LoadedRun& loaded) {
  // In steps the row of one that is not done has what the function set before it.
  const bool in_steps = loaded.run && loaded.run->form == WorkflowForm::steps;
  std::multimap<std::uint64_t, const workflow::NodeRow*> rows;
  for (const auto& [name, node] : loaded.nodes) {
    if (in_steps || node.row.status == NodeStatus::done) rows.emplace(node.row.order, &node.row);
  }
  WorkflowVariables variables;
  for (const auto& [order, row] : rows) {
    for (const auto& [name, value] : row->variables) variables[name] = value;
  }
  for (const auto& [name, value] : loaded.progress.variables) variables[name] = value;
  return variables;
}

WorkflowState workflow_state(const Key& key, LoadedRun&& loaded) {
  const Record& record = loaded.found->record;
  WorkflowState state{.key = key,
                      .workflow = key.operation.substr(workflow::operation_prefix.size()),
                      .id = key.id,
                      .status = record.status,
                      .abandoned = record.status == Status::in_progress && !loaded.held,
                      .sleeping_until = loaded.sleeping_until(),
                      .token = record.token,
                      .attempt = record.attempt,
                      .created_at = record.created_at,
                      .updated_at = record.updated_at,
                      .expires_at = record.expires_at,
                      .checkpoint_id = loaded.checkpoint_id,
                      .checkpoint_at = loaded.checkpoint_at,
                      .nodes = states_of(loaded),
                      .variables = variables_of(loaded),
                      .outcome = std::move(loaded.found->outcome),
                      .figures = loaded.progress.figures,
                      .unreadable = std::move(loaded.unreadable)};
  if (loaded.run) {
    state.form = loaded.run->form;
    state.version = loaded.run->version;
    state.definition = loaded.run->definition;
    state.input = std::move(loaded.run->input);
  }
  return state;
}

bool is_run(const Key& key) {
  return key.operation.starts_with(workflow::operation_prefix);
}

}  // namespace

Result<std::optional<WorkflowState>> Workflow::inspect(Store& store, const Key& key) {
  if (!is_run(key)) {
    return fail(ErrorCode::invalid_argument,
                "{} is not the key of a run; that is written tenant/workflow:NAME/ID",
                key.to_string());
  }
  auto loaded = workflow::load_run(inside(store), key);
  if (!loaded) return pass(loaded);
  if (!loaded->found) return std::nullopt;
  return workflow_state(key, std::move(*loaded));
}

Result<void> Workflow::list(Store& store, const WorkflowListOptions& options,
                            const std::function<bool(const WorkflowState&)>& visit) {
  Store::Impl& impl = inside(store);
  auto in_use = impl.use();
  if (!in_use) return pass(in_use);
  auto reading = impl.engine->read();
  if (!reading) return pass(reading);
  engine::RowRange range{.table = Table::keys};
  if (options.tenant) {
    range.key_prefix = {*options.tenant,
                        std::string(workflow::operation_prefix) + options.workflow.value_or("")};
  }
  Result<void> failed;
  auto visited = (*reading)->rows(range, [&](const Result<Row>& row) {
    if (!row) {
      // Whose record it is cannot be told; the others are to be seen all the same.
      if (failed) failed = std::unexpected(row.error());
      return true;
    }
    const auto& [key, record] = std::get<KeyRow>(*row);
    if (!is_run(key) || (options.status && record.status != *options.status)) return true;
    const std::string_view name =
        std::string_view(key.operation).substr(workflow::operation_prefix.size());
    if (options.workflow && name != *options.workflow) return true;
    return visit(workflow_state(key, workflow::load_what_can_be(impl, **reading, key, record)));
  });
  return visited ? failed : visited;
}

}  // namespace once
