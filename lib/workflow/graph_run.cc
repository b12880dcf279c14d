#include "workflow/graph_run.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/saturating.h"

namespace once::workflow {
namespace {

// What wins when several nodes failed: what needs somebody to decide, then what is definite.
int gravity(const Error& error) {
  if (error.code == ErrorCode::work_unknown) return 3;
  if (error.code == ErrorCode::work_failed) return 2;
  return 1;
}

}  // namespace

GraphRun::GraphRun(RunScope& scope) : scope_(scope) {
  set_up();
}

void GraphRun::set_up() {
  const std::vector<Node>& nodes = scope_.definition.nodes;
  tasks_.resize(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    tasks_[i].node = &nodes[i];
    places_[nodes[i].outline.name] = i;
  }
  const auto known = scope_.recorder.nodes();
  MutexLock lock(mutex_);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto row = known.find(nodes[i].outline.name);
    const bool is_done = row != known.end() && row->second.status == NodeStatus::done;
    if (is_done) {
      ++skipped_;
      continue;
    }
    ++left_;
    for (const std::string& before : nodes[i].outline.after) {
      const auto at = known.find(before);
      if (at != known.end() && at->second.status == NodeStatus::done) continue;
      tasks_[places_.at(before)].followers.push_back(i);
      ++tasks_[i].waits_for;
    }
    // A definite failure was kept: the run was in doubt for another node meanwhile.
    const bool failed_for_good = row != known.end() && row->second.status == NodeStatus::failed &&
                                 row->second.error &&
                                 row->second.error->code == ErrorCode::work_failed;
    if (failed_for_good) {
      error_ = error_of_node(nodes[i].outline.name, *row->second.error);
      continue;
    }
    if (tasks_[i].waits_for == 0) ready_.insert(i);
  }
}

std::uint32_t GraphRun::executed() const {
  MutexLock lock(mutex_);
  return executed_;
}

Ending GraphRun::run() {
  const std::stop_callback wake(scope_.stop.get_token(), [this] {
    MutexLock lock(mutex_);
    changed_.notify_all();
  });
  std::vector<std::jthread> threads;
  const std::size_t helpers =
      std::min<std::size_t>(scope_.definition.options.threads, tasks_.size()) - 1;
  for (std::size_t i = 0; i < helpers; ++i) {
    try {
      threads.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      break;  // fewer at a time, then
    }
  }
  work();
  threads.clear();
  return ending();
}

void GraphRun::work() {
  while (const auto at = next()) execute(*at);
}

// Makes ready what is due. Gives when to look again, since boot; nullopt: nothing is worth waiting
// for.
std::optional<Duration> GraphRun::move_due() {
  const Duration now = scope_.store.clock->since_boot();
  while (!retries_.empty() && retries_.begin()->first <= now) {
    ready_.insert(retries_.begin()->second);
    retries_.erase(retries_.begin());
  }
  const Time time = scope_.recorder.now();
  while (!timers_.empty() && timers_.begin()->first <= time) {
    ready_.insert(timers_.begin()->second);
    timers_.erase(timers_.begin());
  }
  std::optional<Duration> look;
  if (!retries_.empty()) look = retries_.begin()->first;
  const Time worth_waiting = after(time, scope_.options.wait_for_timers);
  if (!timers_.empty() && (timers_.begin()->first <= worth_waiting || look || running_ > 0)) {
    const Duration due = scope_.store.engine->since_boot_at(timers_.begin()->first);
    look = look ? std::min(*look, due) : due;
  }
  return look;
}

std::optional<std::size_t> GraphRun::next() {
  MutexLock lock(mutex_);
  while (true) {
    if (over_ || broken_ || scope_.stopping()) break;
    const auto look = move_due();
    if (!ready_.empty()) {
      const std::size_t at = *ready_.begin();
      ready_.erase(ready_.begin());
      ++running_;
      return at;
    }
    if (!look && running_ == 0) break;
    if (look) {
      changed_.wait_until(mutex_, *scope_.store.clock, *look);
    } else {
      changed_.wait(mutex_);
    }
  }
  over_ = true;
  changed_.notify_all();
  return std::nullopt;
}

void GraphRun::execute(std::size_t at) {
  const Node& node = *tasks_[at].node;
  if (node.outline.kind == NodeKind::sleep) {
    set_timer(at);
  } else {
    NodeRow row = scope_.recorder.node(node.outline.name).value_or(NodeRow{});
    row.status = NodeStatus::running;
    row.order = 0;  // that it failed before was another end
    ++row.attempts;
    row.started_at = scope_.recorder.now();
    if (auto noted = scope_.recorder.started(node.outline.name, row); !noted) {
      broke_down(noted.error());
    } else {
      const NodeCall call{.name = node.outline.name,
                          .after = node.outline.after,
                          .work = node.work ? &node.work : nullptr,
                          .transact = node.transact ? &node.transact : nullptr};
      Tried result = try_node(scope_, call, row);
      {
        MutexLock lock(mutex_);
        if (tasks_[at].failed_tries == 0) ++executed_;
      }
      tried(at, std::move(row), std::move(result));
    }
  }
  MutexLock lock(mutex_);
  --running_;
  changed_.notify_all();
}

void GraphRun::set_timer(std::size_t at) {
  const Node& node = *tasks_[at].node;
  const std::string& name = node.outline.name;
  const Time now = scope_.recorder.now();
  NodeRow row = scope_.recorder.node(name).value_or(NodeRow{});
  const bool is_new = row.status != NodeStatus::sleeping;
  if (is_new) {
    row.status = NodeStatus::sleeping;
    row.attempts = 1;
    row.started_at = now;
    row.due = after(now, node.sleep);
    if (auto kept = scope_.recorder.ended(name, row, true); !kept) return broke_down(kept.error());
  }
  if (row.due > now) {
    MutexLock lock(mutex_);
    timers_.emplace(row.due, at);
    return;
  }
  row.status = NodeStatus::done;
  row.order = 0;  // it finishes now
  row.finished_at = now;
  if (auto kept = scope_.recorder.ended(name, row, false); !kept) return broke_down(kept.error());
  done(at);
}

void GraphRun::tried(std::size_t at, NodeRow row, Tried tried) {
  const Node& node = *tasks_[at].node;
  if (auto why = scope_.recorder.broken()) return broke_down(*why);
  if (tried.output) {
    if (!node.transact) {
      auto kept = scope_.recorder.ended(node.outline.name, std::move(row), node.options.critical);
      if (!kept) return broke_down(kept.error());
    }
    return done(at);
  }
  const std::uint32_t tries = ++tasks_[at].failed_tries;
  const bool again = !tried.thrown && is_retryable(tried.output.error()) &&
                     tries < node.options.retry.attempts && !scope_.stopping();
  if (!again) return failed(at, std::move(row), std::move(tried));
  // So that the count of attempts goes on, and that it shows why.
  row.status = NodeStatus::running;
  row.error = tried.output.error();
  (void)scope_.recorder.started(node.outline.name, row);
  MutexLock lock(mutex_);
  retries_.emplace(after(scope_.store.clock->since_boot(), backoff(node.options.retry, tries)), at);
}

void GraphRun::done(std::size_t at) {
  MutexLock lock(mutex_);
  --left_;
  for (const std::size_t follower : tasks_[at].followers) {
    if (--tasks_[follower].waits_for == 0) ready_.insert(follower);
  }
}

void GraphRun::failed(std::size_t at, NodeRow row, Tried tried) {
  const std::string& name = tasks_[at].node->outline.name;
  row.status = NodeStatus::failed;
  row.finished_at = scope_.recorder.now();
  row.error = error_to_keep(tried.output.error());
  if (auto kept = scope_.recorder.ended(name, std::move(row), true); !kept) {
    return broke_down(kept.error());
  }
  MutexLock lock(mutex_);
  if (tried.thrown && !thrown_) thrown_ = tried.thrown;
  if (!error_ || gravity(tried.output.error()) > gravity(*error_)) {
    error_ = error_of_node(name, tried.output.error());
  }
}

void GraphRun::broke_down(const Error& error) {
  MutexLock lock(mutex_);
  broken_ = true;
  error_ = error;
  changed_.notify_all();
}

Ending GraphRun::ending() {
  MutexLock lock(mutex_);
  // A node that gave up because it was told to stop has not failed.
  const bool gave_up = error_ && !broken_ && !thrown_ && gravity(*error_) == 1 && scope_.stopping();
  if (error_ && !gave_up) {
    return {.kind = Ending::Kind::failed, .error = *error_, .thrown = thrown_};
  }
  if (left_ > 0 && scope_.stopping()) {
    const bool only_waited = !error_ && ready_.empty() && retries_.empty() && !timers_.empty();
    return {.kind = Ending::Kind::stopped, .until = only_waited ? timers_.begin()->first : Time{}};
  }
  if (left_ > 0) {
    return {.kind = Ending::Kind::sleeping,
            .until = timers_.empty() ? scope_.recorder.now() : timers_.begin()->first};
  }
  const Workflow::Impl& definition = scope_.definition;
  std::string result = definition.result;
  if (result.empty()) {
    std::set<std::string_view> needed;
    for (const Node& node : definition.nodes) {
      needed.insert(node.outline.after.begin(), node.outline.after.end());
    }
    std::size_t last = 0;
    for (const Node& node : definition.nodes) {
      if (needed.contains(node.outline.name)) continue;
      ++last;
      result = node.outline.name;
    }
    if (last != 1) result.clear();
  }
  Ending ending{.kind = Ending::Kind::finished};
  if (auto row = scope_.recorder.node(result)) ending.value = std::move(row->output);
  return ending;
}

}  // namespace once::workflow
