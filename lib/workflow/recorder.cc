#include "workflow/recorder.h"

#include <algorithm>
#include <chrono>
#include <span>

#include "base/error.h"
#include "base/saturating.h"
#include "base/utf8.h"
#include "store/limit_checks.h"

namespace once::workflow {
namespace {

using Kind = CheckpointStrategy::Kind;

Checkpoint checkpoint_of(std::string name, Bytes data) {
  return {.name = std::move(name), .data = std::move(data)};
}

// The rows go along with a change that ends the run, under the token that wrote them.
void add_rows(engine::Change& change, std::span<const Checkpoint> rows, Token token, Time now) {
  if (!change.put) return;
  change.checkpoints.assign(rows.begin(), rows.end());
  for (Checkpoint& row : change.checkpoints) {
    row.token = token;
    row.created_at = now;
  }
}

}  // namespace

Recorder::Recorder(Store::Impl& store, Reservation reservation, const Workflow::Impl& definition,
                   LoadedRun&& loaded, std::shared_ptr<WorkflowFaults> faults,
                   std::stop_source stop)
    : store_(store),
      reservation_(std::move(reservation)),
      origin_(loaded.found ? loaded.found->record.origin : reservation_.token),
      definition_(definition),
      faults_(std::move(faults)),
      stop_(std::move(stop)),
      figures_(loaded.progress.figures),
      counted_until_(store.clock->since_boot()),
      last_checkpoint_(counted_until_) {
  const CheckpointStrategy& strategy = definition.options.strategy;
  const std::uint32_t broken_off = reservation_.taken_over ? 1 : 0;
  figures_.strategy = strategy.kind;
  figures_.failures += broken_off;
  figures_.running = std::max(figures_.running, Duration::zero());
  set_interval();
  std::vector<std::pair<std::uint32_t, std::string>> orders;
  for (auto& [name, node] : loaded.nodes) {
    orders.emplace_back(node.row.order, name);
    last_order_ = std::max(last_order_, node.row.order);
    nodes_[name] = std::move(node.row);
  }
  // Steps set their variables anew as the function runs through them.
  if (definition.steps) return;
  std::ranges::sort(orders);
  for (const auto& [order, name] : orders) {
    if (nodes_[name].status != NodeStatus::done) continue;
    stand(nodes_[name].variables, order);
  }
}

std::optional<NodeRow> Recorder::node(std::string_view name) const {
  MutexLock lock(mutex_);
  const auto at = nodes_.find(name);
  return at == nodes_.end() ? std::nullopt : std::optional(at->second);
}

std::map<std::string, NodeRow> Recorder::nodes() const {
  MutexLock lock(mutex_);
  return {nodes_.begin(), nodes_.end()};
}

std::optional<Output> Recorder::variable(std::string_view name) const {
  MutexLock lock(mutex_);
  const auto at = variables_.find(name);
  if (at == variables_.end()) return std::nullopt;
  return at->second.value;
}

void Recorder::stand(const Variables& variables, std::uint32_t order) {
  for (const auto& [name, value] : variables) {
    Variable& variable = variables_[name];
    if (definition_.steps || order >= variable.order) variable = {.value = value, .order = order};
  }
}

void Recorder::set_variable(std::string_view name, Output value) {
  MutexLock lock(mutex_);
  variables_[std::string(name)].value = value;
  loose_[std::string(name)] = std::move(value);
}

void Recorder::passed(const Variables& kept) {
  MutexLock lock(mutex_);
  stand(kept, 0);
  loose_.clear();
}

std::optional<Error> Recorder::broken() const {
  MutexLock lock(mutex_);
  return broken_;
}

void Recorder::break_with(const Error& error) {
  {
    MutexLock lock(mutex_);
    if (!broken_) broken_ = error;
  }
  stop_.request_stop();
}

Result<void> Recorder::strike(std::string_view node, NodeMoment moment) {
  if (auto why = broken()) return std::unexpected(std::move(*why));
  if (!faults_) return {};
  auto strike = faults_->strike(node, moment);
  if (!strike) return {};
  if (!strike->dies) return std::unexpected(std::move(strike->error));
  const Error died{.code = ErrorCode::unknown,
                   .message = fmt::format("an injected fault ended the run at {} of node '{}'",
                                          to_string(moment), node)};
  break_with(died);
  return std::unexpected(died);
}

NodeRow Recorder::with_loose(NodeRow row) const {
  row.variables.insert(row.variables.begin(), loose_.begin(), loose_.end());
  return row;
}

Result<void> Recorder::check_size(const std::string& name, const NodeRow& row) const {
  MutexLock lock(mutex_);
  const Bytes data = loose_.empty() ? encode_node(row) : encode_node(with_loose(row));
  return check_checkpoint(node_row(name), data, store_.options);
}

Result<void> Recorder::check_loose() const {
  MutexLock lock(mutex_);
  return loose_fits();
}

Result<void> Recorder::loose_fits() const {
  if (loose_.empty()) return {};
  return check_checkpoint(node_prefix, encode_node(with_loose({})), store_.options);
}

bool Recorder::is_due(bool keep) {
  const CheckpointStrategy& strategy = definition_.options.strategy;
  if (keep || strategy.kind == Kind::after_each) return true;
  if (strategy.kind == Kind::critical_only) return false;
  return store_.clock->since_boot() - last_checkpoint_ >= figures_.interval;
}

std::vector<Checkpoint> Recorder::waiting(std::optional<Time> sleeps_until, bool and_loose) {
  MutexLock lock(mutex_);
  const Duration now = store_.clock->since_boot();
  const Duration ran = now - counted_until_;
  counted_until_ = now;
  figures_.running = after(figures_.running, ran);
  set_interval();
  std::vector<Checkpoint> rows;
  rows.reserve(waiting_.size() + 1);
  for (const auto& [name, data] : waiting_) rows.push_back(checkpoint_of(name, data));
  ProgressRow progress{.figures = figures_, .sleeps_until = sleeps_until.value_or(Time{})};
  // Too large a one has failed the run, or will when the function sets it again.
  if (and_loose && loose_fits()) progress.variables.assign(loose_.begin(), loose_.end());
  ++progress.figures.checkpoints;
  rows.push_back(checkpoint_of(std::string(progress_row), encode_progress(progress)));
  return rows;
}

void Recorder::forget(const std::vector<Checkpoint>& written) {
  MutexLock lock(mutex_);
  for (const Checkpoint& row : written) {
    const auto at = waiting_.find(row.name);
    // Written anew meanwhile: that still waits.
    if (at != waiting_.end() && at->second == row.data) waiting_.erase(at);
  }
  ++figures_.checkpoints;
  last_checkpoint_ = store_.clock->since_boot();
}

void Recorder::set_interval() {
  const CheckpointStrategy& strategy = definition_.options.strategy;
  definition_.failures.seen(reservation_.key, origin_, figures_.running, figures_.failures);
  figures_.mtbf = definition_.failures.mtbf(strategy.assumed_mtbf);
  figures_.interval = {};
  if (strategy.kind == Kind::timed) figures_.interval = strategy.interval;
  if (strategy.kind == Kind::adaptive) {
    figures_.interval = young_daly_interval(figures_.cost, figures_.mtbf);
  }
}

void Recorder::measured(std::chrono::microseconds cost) {
  MutexLock lock(mutex_);
  // The newest of them counts a quarter.
  figures_.cost = figures_.cost.count() == 0 ? cost : (figures_.cost * 3 + cost) / 4;
  set_interval();
}

Result<void> Recorder::flush() {
  MutexLock committing(commit_mutex_);
  {
    MutexLock lock(mutex_);
    if (broken_) return std::unexpected(*broken_);
    if (waiting_.empty()) return {};
  }
  return commit();
}

Result<void> Recorder::commit() {
  const std::vector<Checkpoint> rows = waiting();
  const auto began = std::chrono::steady_clock::now();
  auto saved = store_.transition<std::monostate>(
      reservation_.key, definition_.options.durability, [&](const ledger::Moment& moment) {
        return ledger::save_checkpoints(moment, reservation_.token, rows);
      });
  if (!saved) {
    break_with(saved.error());
    return pass(saved);
  }
  measured(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                                 began));
  forget(rows);
  return {};
}

Result<void> Recorder::begin(const RunRow* run) {
  MutexLock committing(commit_mutex_);
  {
    MutexLock lock(mutex_);
    if (run != nullptr) waiting_[std::string(run_row)] = encode_run(*run);
    // That a run was broken off counts even if it never gets anywhere.
    if (waiting_.empty() && !reservation_.taken_over) return {};
  }
  return commit();
}

Result<void> Recorder::started(const std::string& name, const NodeRow& row) {
  {
    MutexLock lock(mutex_);
    if (broken_) return std::unexpected(*broken_);
    nodes_[name] = row;
  }
  if (definition_.options.strategy.kind != Kind::after_each) return {};
  auto saved = store_.transition<std::monostate>(
      reservation_.key, Durability::buffered, [&](const ledger::Moment& moment) {
        return ledger::save_checkpoints(moment, reservation_.token,
                                        {checkpoint_of(node_row(name), encode_node(row))});
      });
  if (saved) return {};
  break_with(saved.error());
  return pass(saved);
}

void Recorder::change(const std::string& name, const NodeRow& row) {
  MutexLock lock(mutex_);
  waiting_[node_row(name)] = encode_node(row);
  nodes_[name] = row;
}

Result<void> Recorder::ended(const std::string& name, NodeRow row, bool keep) {
  bool due = false;
  {
    MutexLock lock(mutex_);
    if (broken_) return std::unexpected(*broken_);
    if (row.order == 0) row.order = ++last_order_;
    last_order_ = std::max(last_order_, row.order);
    stand(row.variables, row.order);
    // Those set since the step before go with this one.
    row = with_loose(std::move(row));
    loose_.clear();
    waiting_[node_row(name)] = encode_node(row);
    nodes_[name] = std::move(row);
    due = is_due(keep);
  }
  if (!due) return {};
  const auto checked = [&](NodeMoment moment) -> Result<void> {
    auto struck = strike(name, moment);
    if (!struck) break_with(struck.error());
    return struck;
  };
  if (auto struck = checked(NodeMoment::before_checkpoint); !struck) return struck;
  if (auto flushed = flush(); !flushed) return flushed;
  return checked(NodeMoment::after_checkpoint);
}

Result<void> Recorder::transact(const std::string& name,
                                const std::function<Result<NodeRow>(Transaction&)>& work) {
  NodeRow row;
  std::vector<Checkpoint> rows;
  std::uint32_t order = 0;
  bool worked = false;
  auto done = store_.transact_step(
      reservation_, definition_.options.durability, [&](Transaction& tx) -> Result<void> {
        worked = false;
        auto result = work(tx);
        if (!result) return pass(result);
        row = std::move(*result);
        {
          MutexLock lock(mutex_);
          if (row.order == 0) row.order = order != 0 ? order : ++last_order_;
          order = row.order;  // should it run again
          row = with_loose(std::move(row));
        }
        rows = waiting(std::nullopt, false);  // the loose variables are in this row
        rows.push_back(checkpoint_of(node_row(name), encode_node(row)));
        for (const Checkpoint& each : rows) {
          if (auto saved = tx.save_checkpoint(each.name, each.data); !saved) return saved;
        }
        worked = true;
        auto struck = strike(name, NodeMoment::before_checkpoint);
        return struck;
      });
  if (!done) {
    if (worked) break_with(done.error());
    return done;
  }
  {
    MutexLock lock(mutex_);
    last_order_ = std::max(last_order_, row.order);
    stand(row.variables, row.order);
    loose_.clear();
    nodes_[name] = row;
  }
  forget(rows);
  auto struck = strike(name, NodeMoment::after_checkpoint);
  if (!struck) break_with(struck.error());
  return struck;
}

template <class T>
Result<T> Recorder::settle(const std::function<ledger::Decision<T>(const ledger::Moment&)>& decide,
                           std::optional<Time> sleeps_until) {
  MutexLock committing(commit_mutex_);
  const std::vector<Checkpoint> rows = waiting(sleeps_until);
  const auto settle_with = [&](std::span<const Checkpoint> some) {
    return store_.transition<T>(reservation_.key, definition_.options.durability,
                                [&](const ledger::Moment& moment) {
                                  auto decision = decide(moment);
                                  if (decision.answer)
                                    add_rows(decision.change, some, reservation_.token, moment.now);
                                  return decision;
                                });
  };
  const auto is_full = [](const Result<T>& settled) {
    return !settled && settled.error().code == ErrorCode::no_space;
  };
  auto settled = settle_with(rows);
  // What is done is lost then, but the key is free at once, and it is told whether the run sleeps.
  if (is_full(settled)) settled = settle_with(std::span(rows).last(1));
  if (is_full(settled)) settled = settle_with({});
  return settled;
}

Result<Provenance> Recorder::complete(const Outcome& outcome, Duration retention) {
  if (auto checked = check_outcome(outcome, store_.options); !checked) return pass(checked);
  auto finished = settle<Provenance>([&](const ledger::Moment& moment) {
    return ledger::finish(moment, reservation_.token, outcome, retention);
  });
  if (finished) definition_.failures.forget(reservation_.key);
  return finished;
}

Result<void> Recorder::release(std::string_view reason, std::optional<Duration> retention,
                               std::optional<Time> sleeps_until) {
  const std::string_view cut = cut_utf8(reason, max_reason_bytes);
  auto released = settle<std::monostate>(
      [&](const ledger::Moment& moment) {
        return ledger::release(moment, reservation_.token, cut, retention);
      },
      sleeps_until);
  if (!released) return pass(released);
  return {};
}

Result<void> Recorder::doubt(std::string_view reason) {
  const std::string_view cut = cut_utf8(reason, max_reason_bytes);
  auto doubted = settle<std::monostate>(
      [&](const ledger::Moment& moment) { return ledger::doubt(moment, reservation_.token, cut); });
  if (!doubted) return pass(doubted);
  return {};
}

}  // namespace once::workflow
