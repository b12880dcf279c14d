#include "patterns/world.h"

#include <fmt/format.h>

#include <algorithm>

namespace once::testing::patterns {

std::string_view to_string(Order::State state) {
  switch (state) {
    case Order::State::begun:
      return "begun";
    case Order::State::committed:
      return "committed";
    case Order::State::absent:
      return "absent";
    case Order::State::refused:
      return "refused";
  }
  return "?";
}

Bytes World::had_effect(const std::string& name) {
  Operation& operation = operations[name];
  if (operation.answer) {
    blame(fmt::format("{} is run again although {} was acknowledged", name, *operation.answer));
  }
  if (operation.in_doubt && operation.effects > 0) {
    blame(fmt::format("{} is run again although it may have happened", name));
  }
  return fmt::format("{}#{}", name, ++operation.effects);
}

void World::begin_order(const std::string& name, const Order& order, const std::string& aggregate) {
  end_order(name, Order::State::absent);
  orders[name] = order;
  orders[name].state = Order::State::begun;
  for (const std::string& id : order.events) {
    commits.push_back(id);
    Message& message = messages[id];
    message.aggregate = aggregate;
    message.order = name;
  }
}

void World::end_order(const std::string& name, Order::State state) {
  const auto at = orders.find(name);
  if (at == orders.end()) return;
  Order& order = at->second;
  if (order.state == Order::State::committed && state != Order::State::committed) {
    blame(fmt::format("order {} was committed, and is {}", name, to_string(state)));
  }
  order.state = state;
  if (state == Order::State::committed) return;
  std::erase_if(commits, [&](const std::string& id) {
    return std::ranges::find(order.events, id) != order.events.end();
  });
}

void World::synced() {
  for (auto& [name, order] : orders) {
    if (order.state == Order::State::committed) order.durable = true;
  }
}

void World::power_cut() {
  ++boots;
  up = {};
  for (auto& [name, order] : orders) {
    if (order.state == Order::State::committed && !order.durable) {
      order.state = Order::State::begun;
    }
  }
}

void World::handed_over(const std::string& id, bool stale) {
  const auto at = messages.find(id);
  if (at == messages.end()) return blame("event " + id + " was never published");
  const Message& message = at->second;
  const Order& order = orders[message.order];
  if (order.state != Order::State::committed) {
    return blame(fmt::format("event {} is delivered, and its order {} is {}", id, message.order,
                             to_string(order.state)));
  }
  if (stale) return;
  if (message.noted) blame("event " + id + " is delivered again although that was acknowledged");
  for (const std::string& before : commits) {
    if (before == id) break;
    const Message& other = messages[before];
    if (other.aggregate != message.aggregate || other.received > 0) continue;
    blame(fmt::format("event {} is delivered before {} of the same aggregate", id, before));
  }
}

Bytes World::ran(const std::string& run, const std::string& node) {
  NodeLife& life = runs[run].nodes[node];
  if (life.acknowledged) {
    blame(fmt::format("run {}: node {} is repeated although its checkpoint was acknowledged", run,
                      node));
  }
  return fmt::format("{}#{}", node, ++life.effects);
}

void World::told(const std::string& transfer, bool commit) {
  Transfer& known = transfers[transfer];
  if (known.told && *known.told != commit) {
    blame(fmt::format("transfer {}: one is told to {}, another to {}", transfer,
                      *known.told ? "commit" : "abort", commit ? "commit" : "abort"));
  }
  known.told = commit;
}

}  // namespace once::testing::patterns
