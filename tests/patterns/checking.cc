// What is in the stores against what the world knows: nothing that was acknowledged is missing, and
// nothing is there in part, or that must not be.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "patterns/site.h"

namespace once::testing::patterns {

namespace {

std::vector<std::string> words_of(const Bytes& text) {
  std::istringstream words(text);
  std::vector<std::string> found;
  for (std::string word; words >> word;) found.push_back(word);
  return found;
}

}  // namespace

Bytes Site::row_of(Store& store, const std::string& row) {
  auto value = store.data(row);
  if (!value) {
    hear("reading " + row, value.error(), {});
    return "";
  }
  return value->value_or("");
}

std::map<std::string, Event> Site::events() {
  std::map<std::string, Event> found;
  std::string last;
  auto visited = main_->events({}, [&](const Event& event) {
    if (!found.emplace(event.id, event).second) blame("event " + event.id + " is there twice");
    return true;
  });
  if (!visited) hear("reading events", visited.error(), {});
  return found;
}

// What was begun, and whose end was not heard of, is there whole or not at all.
void Site::settle_orders() {
  const World world = timeline_.world();
  const bool unknown = std::ranges::any_of(
      world.orders, [](const auto& order) { return order.second.state == Order::State::begun; });
  if (!unknown) return;
  for (const auto& [name, order] : world.orders) {
    if (order.state != Order::State::begun) continue;
    auto state = Order::State::absent;
    if (order.of_workflow) {
      if (!row_of(*main_, "book/" + name).empty()) state = Order::State::committed;
    } else {
      const auto record = main_->find({"", "order", name});
      if (!record) return hear("finding " + name, record.error(), {});
      if (*record && (*record)->record.status == Status::completed) {
        state = Order::State::committed;
      } else if (*record && (*record)->record.status == Status::failed) {
        state = Order::State::refused;
      }
    }
    // Whether its rows and events agree is looked at with those of all others.
    change([&](World& now) { now.end_order(name, state); });
  }
}

void Site::check_orders() {
  settle_orders();
  const World world = timeline_.world();
  const auto found = events();
  for (const auto& [name, order] : world.orders) {
    const bool committed = order.state == Order::State::committed;
    const Bytes row = row_of(*main_, (order.of_workflow ? "book/" : "order/") + name);
    if (row.empty() == committed || (order.of_workflow && row.size() > 1)) {
      blame(fmt::format("order {} is {}, and its row \"{}\"", name, to_string(order.state), row));
    }
    for (const std::string& id : order.events) {
      const auto at = found.find(id);
      const Message& message = world.messages.at(id);
      const bool there = at != found.end();
      if (there && !committed) blame("event " + id + " is there, and its order is not");
      if (!committed) continue;
      if (!there && message.received == 0) blame("event " + id + " is lost");
      if (!there) continue;
      const bool delivered = at->second.status == EventStatus::delivered;
      if (delivered && message.received == 0) {
        blame("event " + id + " counts as delivered, and nobody has received it");
      }
      if (!delivered && message.noted) {
        blame("event " + id + " was acknowledged as delivered, and is " +
              std::string(to_string(at->second.status)));
      }
      // What has been shown must stay.
      if (delivered && !message.noted) change([&](World& now) { now.noted({id}); });
    }
  }
  std::uint64_t last = 0;
  for (const std::string& id : world.commits) {
    const auto at = found.find(id);
    if (at == found.end()) continue;
    if (at->second.sequence <= last) blame("event " + id + " has lost its place in the order");
    last = at->second.sequence;
  }
  for (const auto& [id, event] : found) {
    if (!world.messages.contains(id)) blame("event " + id + " was never published");
  }
}

void Site::check_inboxes(bool at_the_end) {
  const World world = timeline_.world();
  for (const std::string aggregate : {"2", "3", "4"}) {
    const auto log = words_of(row_of(aggregate == "4" ? *main_ : *other_, "log/" + aggregate));
    const std::set<std::string> ids(log.begin(), log.end());
    if (ids.size() != log.size()) blame("an event was processed twice in aggregate " + aggregate);
    std::vector<std::string> expected;
    for (const std::string& id : world.commits) {
      const Message& message = world.messages.at(id);
      if (message.aggregate != aggregate) continue;
      if (message.processed && !ids.contains(id)) {
        blame("event " + id + " was processed, and that is lost");
      }
      if (ids.contains(id)) {
        expected.push_back(id);
      } else if (at_the_end) {
        blame("event " + id + " was never processed");
      }
    }
    // What was published without a sync may have been delivered and then lost.
    std::vector<std::string> kept;
    for (const std::string& id : log) {
      if (std::ranges::find(world.commits, id) != world.commits.end()) kept.push_back(id);
    }
    if (kept != expected) blame("events of aggregate " + aggregate + " are not in their order");
  }
}

void Site::check_operations() {
  for (const auto& [name, operation] : timeline_.world().operations) {
    const std::size_t slash = name.find('/');
    const auto found = main_->find({"", name.substr(0, slash), name.substr(slash + 1)});
    if (!found) {
      hear("finding " + name, found.error(), {});
      continue;
    }
    const Status status = *found ? (*found)->record.status : Status::released;
    std::optional<Bytes> answer;
    if (status == Status::completed) answer = (*found)->outcome.value().value;
    if (status == Status::failed) answer = "!" + (*found)->outcome.value().code;
    if (operation.answer && answer != operation.answer) {
      blame(fmt::format("{}: {} was acknowledged, and {} is kept", name, *operation.answer,
                        answer.value_or("nothing")));
    }
    if (status == Status::completed && answer != fmt::format("{}#{}", name, operation.effects)) {
      blame(fmt::format("{}: {} is kept, and {} times it happened", name, *answer,
                        operation.effects));
    }
  }
}

void Site::check_runs() {
  const World world = timeline_.world();
  for (const auto& [name, run] : world.runs) {
    const std::size_t slash = name.find('/');
    const auto state =
        Workflow::inspect(*main_, Workflow::key(name.substr(0, slash), name.substr(slash + 1)));
    if (!state) {
      hear("looking at run " + name, state.error(), {});
      continue;
    }
    std::vector<std::string> done;
    if (*state) done = (*state)->completed();
    for (const auto& [node, life] : run.nodes) {
      const bool is_done = std::ranges::find(done, node) != done.end();
      if (life.acknowledged && !is_done) {
        blame(fmt::format("run {}: the checkpoint of node {} is lost", name, node));
      }
    }
    for (const std::string& node : done) {
      if (node == "nap") {
        if (run.due && world.now < *run.due) blame("the timer of run " + name + " is early");
        continue;
      }
      const auto at = run.nodes.find(node);
      if (at == run.nodes.end() || at->second.effects == 0) {
        blame(fmt::format("run {}: node {} is done, and never ran", name, node));
      }
    }
    std::erase(done, "nap");
    // What has been shown must stay.
    acknowledge_nodes(name, done);
    if (run.answer && (!*state || !(*state)->outcome)) {
      blame("the result of run " + name + " is lost");
    }
  }
}

void Site::check_transfers(bool at_the_end) {
  for (const auto& [name, transfer] : timeline_.world().transfers) {
    const auto report = find_transaction(*main_, Key("", "transfer", name));
    if (!report) {
      hear("looking at transfer " + name, report.error(), {});
      continue;
    }
    if (transfer.told && !*report) blame("transfer " + name + " is lost");
    // No decision on disk means abort.
    const bool commits = *report && (*report)->commits();
    if (transfer.told && *transfer.told != commits) {
      blame(fmt::format("transfer {} was told to {}, and {}s", name,
                        *transfer.told ? "commit" : "abort", commits ? "commit" : "abort"));
    }
    if (at_the_end && *report && !(*report)->finished()) {
      blame("transfer " + name + " is not finished in the end");
    }
    check_ledgers(name, transfer, commits, at_the_end);
  }
}

// Each part took effect once, if it did, and at the end all did or none.
void Site::check_ledgers(const std::string& name, const Transfer& transfer, bool commits,
                         bool at_the_end) {
  for (const char* part : {"take", "give"}) {
    Store& store = std::string_view(part) == "take" ? *main_ : *other_;
    const auto times = [&](const char* ask) {
      const std::string row =
          fmt::format("done/{}-{}{}:{}", name, part, transfer.saga ? ".saga" : "", ask);
      return row_of(store, row).size();
    };
    const std::size_t prepared = times("prepare");
    const std::size_t committed = times("commit");
    const std::size_t aborted = times("abort");
    const bool once = prepared <= 1 && committed + aborted <= prepared;
    const bool whole =
        commits ? committed == 1 && aborted == 0 : committed == 0 && aborted == prepared;
    if (!once || (at_the_end && !whole) || (!commits && committed > 0) ||
        (commits && aborted > 0)) {
      blame(fmt::format("transfer {} {}s, and {} prepared {}, committed {}, aborted {} times", name,
                        commits ? "commit" : "abort", part, prepared, committed, aborted));
    }
  }
  const bool settled = commits ? transfer.prepared && transfer.committed && !transfer.aborted
                               : !transfer.committed && (!transfer.prepared || transfer.aborted);
  if (at_the_end && !settled) {
    blame(fmt::format("transfer {} {}s, and the other bank has not written that", name,
                      commits ? "commit" : "abort"));
  }
}

std::string Site::check() {
  check_bulk();
  check_operations();
  check_replaced();
  check_merged();
  check_pipes();
  check_orders();
  check_inboxes(false);
  check_runs();
  check_transfers(false);
  return timeline_.world().problem;
}

std::string Site::check_end(bool verify) {
  (void)check();
  check_inboxes(true);
  check_transfers(true);
  // What counts as delivered may be swept by now.
  const World world = timeline_.world();
  for (const std::string& id : world.commits) {
    if (world.messages.at(id).received == 0) blame("event " + id + " is not delivered");
  }
  const auto lag = Outbox(*main_).lag();
  if (!lag) hear("looking at the outbox", lag.error(), {});
  if (lag && lag->pending + lag->dead > 0) blame("the outbox is not empty in the end");
  for (Store* store : {&*main_, &*other_}) {
    auto visited = store->rows(Table::data, [&](const Row& row) {
      if (std::get<DataRow>(row).key.starts_with("once.step/")) blame("something is still held");
      return true;
    });
    if (!visited) hear("reading rows", visited.error(), {});
    if (!verify) continue;
    const auto report = store->verify();
    if (!report) {
      hear("verify", report.error(), {});
    } else if (!report->problems.empty()) {
      blame("verify: " + report->problems.front());
    }
  }
  return timeline_.world().problem;
}

}  // namespace once::testing::patterns
