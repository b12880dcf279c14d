#include "workflow/definition.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "base/error.h"

namespace once::workflow {
namespace {

using Places = std::unordered_map<std::string_view, std::size_t>;  // of nodes, by name

// A message names so many nodes, or changes of them, and says how many more there are: a graph may
// have a hundred thousand, and the message is for people.
constexpr std::size_t most_named = 5;

std::string quoted_list(const std::vector<std::string>& names) {
  if (names.empty()) return "nothing";
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < most_named; ++i) {
    text += fmt::format("{}'{}'", text.empty() ? "" : ", ", names[i]);
  }
  if (names.size() > most_named) text += fmt::format(" and {} more", names.size() - most_named);
  return text;
}

std::string_view kind_name(NodeKind kind) {
  switch (kind) {
    case NodeKind::work:
      return "work";
    case NodeKind::transact:
      return "a transaction";
    case NodeKind::sleep:
      return "a timer";
  }
  return "unknown";
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::ranges::sort(names);
  return names;
}

// A cycle among nodes each of which waits for another one: "'a' needs 'b' needs 'a'". Of a long one
// only how it begins: "'a' needs 'b' needs ... 12 more, the last of which needs 'a'".
std::string cycle_among(const std::vector<Node>& nodes, const Places& places,
                        const std::vector<bool>& waits) {
  const auto first = std::ranges::find(waits, true) - waits.begin();
  std::vector<std::size_t> path;
  std::map<std::size_t, std::size_t> seen;
  auto at = static_cast<std::size_t>(first);
  while (seen.emplace(at, path.size()).second) {
    path.push_back(at);
    for (const std::string& before : nodes[at].outline.after) {
      const std::size_t place = places.at(before);
      if (!waits[place]) continue;
      at = place;
      break;
    }
  }
  const std::size_t begin = seen.at(at);
  const std::size_t named = std::min(path.size() - begin, most_named);
  std::string text;
  for (std::size_t i = begin; i < begin + named; ++i) {
    text += fmt::format("'{}' needs ", nodes[path[i]].outline.name);
  }
  if (const std::size_t more = path.size() - begin - named; more != 0) {
    text += fmt::format("{} more, the last of which needs ", more);
  }
  return text + fmt::format("'{}'", nodes[at].outline.name);
}

// Which nodes are part of a cycle or wait for one: takes away what waits for nothing, again and
// again (A. B. Kahn, "Topological Sorting of Large Networks", 1962).
std::vector<bool> find_waiting(const std::vector<std::vector<std::size_t>>& followers,
                               std::vector<std::size_t> missing) {
  std::vector<std::size_t> free;
  std::vector<bool> waits(missing.size(), true);
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (missing[i] == 0) free.push_back(i);
  }
  while (!free.empty()) {
    const std::size_t at = free.back();
    free.pop_back();
    waits[at] = false;
    for (const std::size_t follower : followers[at]) {
      if (--missing[follower] == 0) free.push_back(follower);
    }
  }
  return waits;
}

Result<void> check_dependencies(const std::string& workflow, const std::vector<Node>& nodes,
                                const Places& places) {
  std::vector<std::vector<std::size_t>> followers(nodes.size());
  std::vector<std::size_t> missing(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::set<std::string_view> named;
    for (const std::string& before : nodes[i].outline.after) {
      const auto at = places.find(before);
      if (at == places.end()) {
        return fail(ErrorCode::invalid_argument,
                    "workflow '{}': node '{}' depends on '{}', and there is no such node", workflow,
                    nodes[i].outline.name, before);
      }
      if (!named.insert(before).second) {
        return fail(ErrorCode::invalid_argument,
                    "workflow '{}': node '{}' names '{}' twice among what it depends on", workflow,
                    nodes[i].outline.name, before);
      }
      followers[at->second].push_back(i);
      ++missing[i];
    }
  }
  const std::vector<bool> waits = find_waiting(followers, std::move(missing));
  if (std::ranges::find(waits, true) == waits.end()) return {};
  return fail(ErrorCode::invalid_argument, "workflow '{}' has a cycle: {}", workflow,
              cycle_among(nodes, places, waits));
}

}  // namespace

Result<void> check_graph(const std::string& workflow, const std::string& result,
                         const std::vector<Node>& nodes) {
  Places places;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    if (auto checked = check_node_name(node.outline.name); !checked) return checked;
    if (auto checked = check_retry(node.outline.name, node.options.retry); !checked) return checked;
    if (node.sleep < Duration::zero()) {
      return fail(ErrorCode::invalid_argument, "workflow '{}': timer '{}' is less than none",
                  workflow, node.outline.name);
    }
    if (!places.emplace(node.outline.name, i).second) {
      return fail(ErrorCode::invalid_argument, "workflow '{}' has two nodes '{}'", workflow,
                  node.outline.name);
    }
  }
  if (!result.empty() && !places.contains(result)) {
    return fail(ErrorCode::invalid_argument,
                "workflow '{}': its result is that of '{}', and there is no such node", workflow,
                result);
  }
  return check_dependencies(workflow, nodes, places);
}

Result<void> check_node_name(std::string_view name) {
  if (!name.empty() && name.size() <= max_node_name_bytes) return {};
  return fail(ErrorCode::invalid_argument, "the name of a node has {} bytes; give 1 to {}",
              name.size(), max_node_name_bytes);
}

Result<void> check_retry(std::string_view name, const NodeRetry& retry) {
  std::string_view wrong;
  if (retry.attempts == 0) wrong = "attempts is 0; give 1 for a single try";
  if (retry.initial < Duration::zero() || retry.longest < Duration::zero()) {
    wrong = "it waits less than nothing";
  }
  if (!(retry.multiplier >= 1.0 && std::isfinite(retry.multiplier))) {
    wrong = "multiplier is less than 1, or has no end";
  }
  if (!(retry.jitter >= 0.0 && retry.jitter <= 1.0)) wrong = "jitter is not from 0 to 1";
  if (wrong.empty()) return {};
  return fail(ErrorCode::invalid_argument, "node '{}': of its retry, {}", name, wrong);
}

Result<void> check_run(const RunOptions& options) {
  if (options.wait_for_timers >= Duration::zero()) return {};
  return fail(ErrorCode::invalid_argument,
              "wait_for_timers of {} ms is less than none; give 0 to wait for no timer",
              options.wait_for_timers.count());
}

std::string differences(const RunRow& before, const RunRow& now) {
  std::string text;
  std::size_t changes = 0;
  const auto add = [&](std::string_view what) {
    if (++changes > most_named) return;
    if (!text.empty()) text += "; ";
    text += what;
  };
  if (before.form != now.form) add("it was a graph and is now in steps, or the other way round");
  if (before.version != now.version) {
    add(fmt::format("version '{}' is now '{}'", before.version, now.version));
  }
  std::map<std::string_view, const NodeOutline*> old_nodes;
  for (const NodeOutline& node : before.nodes) old_nodes[node.name] = &node;
  for (const NodeOutline& node : now.nodes) {
    const auto at = old_nodes.find(node.name);
    if (at == old_nodes.end()) {
      add(fmt::format("node '{}' is new", node.name));
      continue;
    }
    const NodeOutline& old = *at->second;
    if (sorted(old.after) != sorted(node.after)) {
      add(fmt::format("node '{}' depended on {} and now depends on {}", node.name,
                      quoted_list(old.after), quoted_list(node.after)));
    }
    if (old.kind != node.kind) {
      add(fmt::format("node '{}' was {} and is now {}", node.name, kind_name(old.kind),
                      kind_name(node.kind)));
    }
    old_nodes.erase(at);
  }
  for (const NodeOutline& node : before.nodes) {
    if (old_nodes.contains(node.name)) add(fmt::format("node '{}' is gone", node.name));
  }
  if (changes > most_named) text += fmt::format("; and {} more changes", changes - most_named);
  return text;
}

}  // namespace once::workflow

namespace once {

using workflow::Node;

workflow::RunRow Workflow::Impl::outline() const {
  workflow::RunRow row{.form = steps ? WorkflowForm::steps : WorkflowForm::graph,
                       .version = options.version};
  // What counts as the definition: order, criticality and the result do not.
  workflow::RunRow counted = row;
  for (const Node& node : nodes) {
    workflow::NodeOutline outline = node.outline;
    outline.critical = node.options.critical;
    row.nodes.push_back(outline);
    outline.critical = false;
    std::ranges::sort(outline.after);
    counted.nodes.push_back(std::move(outline));
  }
  std::ranges::sort(counted.nodes, {}, &workflow::NodeOutline::name);
  row.definition = Fingerprint::of(workflow::encode_run(counted));
  row.result = result;
  return row;
}

Result<void> Workflow::Impl::validate_options() const {
  if (name.empty() || name.size() > max_workflow_name_bytes) {
    return fail(ErrorCode::invalid_argument, "the name of a workflow has {} bytes; give 1 to {}",
                name.size(), max_workflow_name_bytes);
  }
  if (options.lease <= Duration::zero()) {
    return fail(ErrorCode::invalid_argument, "workflow '{}': a lease of {} ms is none", name,
                options.lease.count());
  }
  if (options.retention <= Duration::zero()) {
    return fail(ErrorCode::invalid_argument,
                "workflow '{}': with a retention of {} ms a run that fails forgets at once what it "
                "has done; give one longer than 0",
                name, options.retention.count());
  }
  if (options.failure_retention < Duration::zero()) {
    return fail(ErrorCode::invalid_argument, "workflow '{}': a failure_retention is less than none",
                name);
  }
  if (options.threads < 1 || options.threads > max_workflow_threads) {
    return fail(ErrorCode::invalid_argument, "workflow '{}': {} threads; give 1 to {}", name,
                options.threads, max_workflow_threads);
  }
  const CheckpointStrategy& strategy = options.strategy;
  if (strategy.kind == CheckpointStrategy::Kind::timed && strategy.interval < Duration::zero()) {
    return fail(ErrorCode::invalid_argument,
                "workflow '{}': an interval of {} ms between checkpoints", name,
                strategy.interval.count());
  }
  if (strategy.kind == CheckpointStrategy::Kind::adaptive &&
      strategy.assumed_mtbf <= Duration::zero()) {
    return fail(ErrorCode::invalid_argument,
                "workflow '{}': an assumed time of {} ms between failures; give one longer than 0",
                name, strategy.assumed_mtbf.count());
  }
  return {};
}

Result<void> Workflow::Impl::validate() const {
  if (auto checked = validate_options(); !checked) return checked;
  if (!steps && nodes.empty()) {
    return fail(ErrorCode::invalid_argument, "workflow '{}' has no nodes", name);
  }
  if (!steps) return workflow::check_graph(name, result, nodes);
  if (nodes.empty()) return {};
  return fail(ErrorCode::invalid_argument,
              "workflow '{}' is written in steps and has the node '{}'; make it the one or the "
              "other",
              name, nodes.front().outline.name);
}

}  // namespace once
