#include "workflow_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "duration.h"
#include "text.h"

namespace once::tool {
namespace {

constexpr std::size_t preview_bytes = 120;

Json time_json(Time time) {
  return time.time_since_epoch().count();
}

Json optional_bytes_json(const std::optional<Bytes>& bytes) {
  return bytes ? bytes_json(*bytes) : Json(nullptr);
}

Json variables_json(const WorkflowVariables& variables) {
  Json json = Json::array();
  for (const auto& [name, value] : variables) {
    json.push_back(
        {{"name", text_json(name)}, {"value", value ? bytes_json(*value) : Json(nullptr)}});
  }
  return json;
}

Json node_json(const NodeState& node) {
  Json after = Json::array();
  for (const std::string& before : node.after) after.push_back(text_json(before));
  Json error = nullptr;
  if (node.error) {
    error = {{"error", to_string(node.error->code)},
             {"code", text_json(node.error->failure_code)},
             {"message", text_json(node.error->message)}};
  }
  return {{"name", text_json(node.name)},
          {"status", to_string(node.status)},
          {"after", after},
          {"critical", node.critical},
          {"defined", node.defined},
          {"order", node.order},
          {"attempts", node.attempts},
          {"started_at", time_json(node.started_at)},
          {"finished_at", time_json(node.finished_at)},
          {"due", time_json(node.due)},
          {"token", node.token.value},
          {"output", optional_bytes_json(node.output)},
          {"error", error},
          {"variables", variables_json(node.variables)}};
}

Json figures_json(const CheckpointFigures& figures) {
  return {{"strategy", to_string(figures.strategy)}, {"checkpoints", figures.checkpoints},
          {"cost_us", figures.cost.count()},         {"mtbf", figures.mtbf.count()},
          {"interval", figures.interval.count()},    {"failures", figures.failures},
          {"running", figures.running.count()}};
}

// What is to be said of a run in a word or two.
std::string status_text(const WorkflowState& state) {
  if (state.unreadable) return "unreadable";
  switch (state.status) {
    case Status::in_progress:
      return state.abandoned ? "broken off" : "in progress";
    case Status::completed:
      return "completed";
    case Status::failed:
      return "failed";
    case Status::in_doubt:
      return "in doubt";
    case Status::released:
      return state.sleeping_until ? "sleeping" : "given back";
  }
  return "unknown";
}

Colour colour_of(const WorkflowState& state) {
  if (state.unreadable) return Colour::red;
  switch (state.status) {
    case Status::in_progress:
      return state.abandoned ? Colour::red : Colour::yellow;
    case Status::completed:
      return Colour::green;
    case Status::failed:
    case Status::in_doubt:
      return Colour::red;
    case Status::released:
      return Colour::dim;
  }
  return Colour::none;
}

Colour colour_of(NodeStatus status) {
  switch (status) {
    case NodeStatus::done:
      return Colour::green;
    case NodeStatus::failed:
      return Colour::red;
    case NodeStatus::running:
    case NodeStatus::sleeping:
      return Colour::yellow;
    case NodeStatus::pending:
      return Colour::dim;
  }
  return Colour::none;
}

std::size_t done_count(const WorkflowState& state) {
  return state.completed().size();
}

// One line of the tree: `place` indexes WorkflowState::nodes.
struct Branch {
  std::size_t place = 0;
  std::string lead{};  // of lines below it
  bool last = false;
};

// Which nodes stand below which.
class Tree {
 public:
  explicit Tree(const WorkflowState& state) : state_(state), below_(state.nodes.size()) {
    for (std::size_t i = 0; i < state.nodes.size(); ++i) places_[state.nodes[i].name] = i;
    parents_.resize(state.nodes.size());
    const std::vector<std::size_t> depths = find_depths();
    for (std::size_t i = 0; i < state.nodes.size(); ++i) {
      std::optional<std::size_t> deepest;
      for (const std::string& before : state.nodes[i].after) {
        const auto at = places_.find(before);
        if (at == places_.end() || depths[at->second] >= depths[i]) continue;
        if (!deepest || depths[at->second] >= depths[*deepest]) deepest = at->second;
      }
      parents_[i] = deepest;
      (deepest ? below_[*deepest] : top_).push_back(i);
    }
  }

  [[nodiscard]] const std::vector<std::size_t>& top() const { return top_; }
  [[nodiscard]] const std::vector<std::size_t>& below(std::size_t i) const { return below_[i]; }
  // What a node depends on besides the one that it stands below.
  [[nodiscard]] std::string also_after(std::size_t i) const {
    std::string text;
    for (const std::string& before : state_.nodes[i].after) {
      if (parents_[i] && state_.nodes[*parents_[i]].name == before) continue;
      text += (text.empty() ? "also after " : ", ") + printable(before);
    }
    return text;
  }

 private:
  // How many nodes stand above each one, at least. What is part of a cycle, which only a forged
  // store has, stays at 0.
  [[nodiscard]] std::vector<std::size_t> find_depths() const {
    std::vector<std::size_t> depths(state_.nodes.size());
    std::vector<std::size_t> missing(state_.nodes.size());
    std::vector<std::vector<std::size_t>> followers(state_.nodes.size());
    std::vector<std::size_t> free;
    for (std::size_t i = 0; i < state_.nodes.size(); ++i) {
      for (const std::string& before : state_.nodes[i].after) {
        const auto at = places_.find(before);
        if (at == places_.end()) continue;
        followers[at->second].push_back(i);
        ++missing[i];
      }
      if (missing[i] == 0) free.push_back(i);
    }
    while (!free.empty()) {
      const std::size_t at = free.back();
      free.pop_back();
      for (const std::size_t follower : followers[at]) {
        depths[follower] = std::max(depths[follower], depths[at] + 1);
        if (--missing[follower] == 0) free.push_back(follower);
      }
    }
    for (std::size_t i = 0; i < depths.size(); ++i) {
      if (missing[i] != 0) depths[i] = 0;
    }
    return depths;
  }

  const WorkflowState& state_;
  std::unordered_map<std::string_view, std::size_t> places_;
  std::vector<std::optional<std::size_t>> parents_;
  std::vector<std::vector<std::size_t>> below_;
  std::vector<std::size_t> top_;
};

// What is told of a node behind its status.
std::string node_notes(const WorkflowState& state, const NodeState& node, const std::string& also) {
  std::vector<std::string> notes;
  if (node.status == NodeStatus::done && node.finished_at != Time{}) {
    notes.push_back(format_time(node.finished_at));
    if (node.due == Time{}) {
      notes.push_back("took " + short_duration(node.finished_at - node.started_at));
    }
  }
  if (node.status == NodeStatus::running) notes.push_back("since " + format_time(node.started_at));
  if (node.status == NodeStatus::running && state.status != Status::in_progress) {
    notes.push_back("its end is not known");
  } else if (node.status == NodeStatus::running && state.abandoned) {
    notes.push_back("broken off");
  }
  if (node.status == NodeStatus::sleeping) notes.push_back("until " + format_time(node.due));
  if (node.attempts > 1) notes.push_back(fmt::format("{} attempts", node.attempts));
  if (node.error) notes.push_back(preview(node.error->message, preview_bytes));
  if (!node.defined) notes.push_back("of an earlier definition");
  if (!also.empty()) notes.push_back(also);
  std::string text;
  for (const std::string& note : notes) text += "  " + note;
  return text;
}

void write_head(Output& out, const WorkflowState& state) {
  out.line(
      fmt::format("{}  {}, attempt {}{}", out.paint(Colour::bold, state.key.to_string()),
                  out.paint(colour_of(state), status_text(state)), state.attempt,
                  state.sleeping_until ? ", until " + format_time(*state.sleeping_until) : ""));
  if (state.checkpoint_id == 0) {
    out.line("no checkpoint yet");
    return;
  }
  std::string line =
      fmt::format("checkpoint {} of {}, {} of {} done, {}", state.checkpoint_id,
                  format_time(state.checkpoint_at), done_count(state),
                  counted(state.nodes.size(), "node"), to_string(state.figures.strategy));
  if (state.figures.interval > Duration::zero()) {
    line += " every " + short_duration(state.figures.interval);
  }
  if (!state.version.empty()) line += ", version " + printable(state.version);
  out.line(line);
}

}  // namespace

Json run_summary_json(const WorkflowState& state) {
  Json unreadable = nullptr;
  if (state.unreadable) {
    unreadable = {{"error", to_string(state.unreadable->code)},
                  {"message", text_json(state.unreadable->message)}};
  }
  return {
      {"key", state.key.to_string()},
      {"workflow", text_json(state.workflow)},
      {"id", text_json(state.id)},
      {"status", to_string(state.status)},
      {"abandoned", state.abandoned},
      {"sleeping_until", state.sleeping_until ? time_json(*state.sleeping_until) : Json(nullptr)},
      {"token", state.token.value},
      {"attempt", state.attempt},
      {"created_at", time_json(state.created_at)},
      {"updated_at", time_json(state.updated_at)},
      {"expires_at", time_json(state.expires_at)},
      {"checkpoint", state.checkpoint_id},
      {"checkpoint_at", time_json(state.checkpoint_at)},
      {"form", state.form == WorkflowForm::graph ? "graph" : "steps"},
      {"version", text_json(state.version)},
      {"definition", to_hex(state.definition.digest)},
      {"done", done_count(state)},
      {"nodes", state.nodes.size()},
      {"figures", figures_json(state.figures)},
      {"unreadable", unreadable}};
}

Json run_json(const WorkflowState& state) {
  Json json = run_summary_json(state);
  json["input"] = optional_bytes_json(state.input);
  json["outcome"] = state.outcome ? to_json(*state.outcome) : Json(nullptr);
  json["variables"] = variables_json(state.variables);
  json["nodes"] = Json::array();
  for (const NodeState& node : state.nodes) json["nodes"].push_back(node_json(node));
  return json;
}

void write_run_tree(Output& out, const WorkflowState& state) {
  write_head(out, state);
  const Tree tree(state);
  std::vector<Branch> left;  // the next line is the last one here
  const auto add = [&](const std::vector<std::size_t>& places, const std::string& lead) {
    for (std::size_t i = places.size(); i-- > 0;) {
      left.push_back({.place = places[i], .lead = lead, .last = i + 1 == places.size()});
    }
  };
  add(tree.top(), "");
  bool go_on = true;
  while (go_on && !left.empty()) {
    const Branch branch = std::move(left.back());
    left.pop_back();
    const NodeState& node = state.nodes[branch.place];
    go_on = out.line(fmt::format("{}{} {}  {}{}", branch.lead, branch.last ? "└─" : "├─",
                                 printable(node.name),
                                 out.paint(colour_of(node.status), to_string(node.status)),
                                 node_notes(state, node, tree.also_after(branch.place))));
    add(tree.below(branch.place), branch.lead + (branch.last ? "   " : "│  "));
  }
  for (const auto& [name, value] : state.variables) {
    out.line(
        fmt::format("{} = {}", printable(name), value ? preview(*value, preview_bytes) : "null"));
  }
}

std::string run_table_header() {
  return fmt::format("{:<11} {:>9} {:>7} {:<24} {}", "status", "done", "attempt", "checkpoint",
                     "run");
}

std::string run_table_line(const Output& out, const WorkflowState& state) {
  return fmt::format("{} {:>9} {:>7} {:<24} {}",
                     out.paint(colour_of(state), pad(status_text(state), 11)),
                     fmt::format("{}/{}", done_count(state), state.nodes.size()), state.attempt,
                     format_time(state.checkpoint_at), state.key.to_string());
}

}  // namespace once::tool
