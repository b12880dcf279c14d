// The workflows that are run by a process that is killed again and again, and what is known of
// them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "once/once.h"

namespace once::killed {

inline constexpr int runs_of_each = 6;

// What a run is begun with, and what all its nodes must see.
inline Bytes input_of(std::string_view id) {
  return Bytes("input of ").append(id);
}

// Has the effect of a node: seen from outside, and for good when it returns.
using Effect = std::function<void(const NodeContext& node)>;

inline std::string balance_key(std::string_view form, std::string_view id) {
  return std::string("balance/").append(form).append("/").append(id);
}

// One more in the store's own data.
inline Result<void> count_up(Transaction& tx, const std::string& key) {
  auto before = tx.get(key);
  if (!before) return std::unexpected(before.error());
  return tx.put(key, std::to_string((*before ? std::stoi(**before) : 0) + 1));
}

inline Workflow graph(const Effect& effect) {
  Workflow workflow("graph", {.threads = 3});
  const auto work = [effect](NodeContext& node) {
    effect(node);
    node.set("last of " + node.name(), node.run_id());
    return Bytes("of " + node.name());
  };
  workflow.node("a", {}, work)
      .node("b", {"a"}, work)
      .node("c", {"a"}, work)
      .sleep("pause", {"b"}, std::chrono::milliseconds(20))
      .transact("count", {"c"},
                [](Transaction& tx, NodeContext& node) {
                  return count_up(tx, balance_key("graph", node.run_id()));
                })
      .node("d", {"pause", "count", "c"}, work)
      .node("e", {"d"}, work);
  return workflow;
}

inline Workflow steps(const Effect& effect) {
  return Workflow("steps", [effect](StepContext& run) -> Result<Bytes> {
    const auto work = [effect](NodeContext& node) {
      effect(node);
      return Bytes("of " + node.name());
    };
    for (const char* name : {"a", "b"}) {
      if (auto done = run.step(name, work); !done) return std::unexpected(done.error());
    }
    auto counted = run.transact(
        "count", [&](Transaction& tx) { return count_up(tx, balance_key("steps", run.run_id())); });
    if (!counted) return std::unexpected(counted.error());
    auto slept = run.sleep("pause", std::chrono::milliseconds(20));
    if (!slept) return std::unexpected(slept.error());
    if (auto done = run.step("c", work); !done) return std::unexpected(done.error());
    return run.step("d", work);
  });
}

// What must be done before a node has its effect.
inline const std::map<std::string, std::map<std::string, std::vector<std::string>>>& needs() {
  static const std::map<std::string, std::map<std::string, std::vector<std::string>>> all{
      {"graph",
       {{"a", {}},
        {"b", {"a"}},
        {"c", {"a"}},
        {"d", {"a", "b", "c", "pause", "count"}},
        {"e", {"a", "b", "c", "pause", "count", "d"}}}},
      {"steps",
       {{"a", {}},
        {"b", {"a"}},
        {"c", {"a", "b", "count", "pause"}},
        {"d", {"a", "b", "count", "pause", "c"}}}}};
  return all;
}

}  // namespace once::killed
