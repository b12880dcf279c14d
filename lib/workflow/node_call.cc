#include "workflow/node_call.h"

#include <algorithm>
#include <random>

#include "base/error.h"
#include "base/random.h"
#include "base/saturating.h"
#include "base/utf8.h"
#include "model/fields.h"

namespace once {

const std::optional<Bytes>& NodeContext::run_input() const {
  return impl_.scope.input;
}

const std::string& NodeContext::name() const {
  return impl_.call.name;
}

const std::string& NodeContext::run_id() const {
  return impl_.scope.id;
}

const Key& NodeContext::key() const {
  return impl_.scope.recorder.reservation().key;
}

std::uint32_t NodeContext::attempt() const {
  return impl_.attempt;
}

Token NodeContext::token() const {
  return impl_.scope.recorder.reservation().token;
}

std::string NodeContext::step_key() const {
  return fmt::format("{}@{}#{}", key().to_string(), impl_.scope.recorder.origin().value,
                     escape(name()));
}

std::stop_token NodeContext::stop() const {
  return impl_.scope.stop.get_token();
}

Result<internal::Output> NodeContext::output_of(std::string_view node) const {
  if (std::ranges::find(impl_.call.after, node) == impl_.call.after.end()) {
    return fail(ErrorCode::invalid_argument,
                "node '{}' asks for the output of '{}', which it does not depend on", name(), node);
  }
  auto row = impl_.scope.recorder.node(node);
  return row ? std::move(row->output) : std::nullopt;
}

std::optional<internal::Output> NodeContext::variable_of(std::string_view variable) const {
  const auto own = impl_.variables.find(variable);
  if (own != impl_.variables.end()) return own->second;
  return impl_.scope.recorder.variable(variable);
}

void NodeContext::set_variable(std::string_view variable, internal::Output value) {
  impl_.variables[std::string(variable)] = std::move(value);
}

}  // namespace once

namespace once::workflow {
namespace {

constexpr std::size_t max_node_error_bytes = 4096;  // of the message

// What a node that succeeded leaves in its row. One too large to keep fails for good, since it must
// not be done again.
Result<void> complete_row(const RunScope& scope, const NodeContext::Impl& context,
                          const Output& output, NodeRow& row) {
  row.status = NodeStatus::done;
  row.finished_at = scope.recorder.now();
  row.error.reset();
  row.output = output;
  row.variables.assign(context.variables.begin(), context.variables.end());
  auto fits = scope.recorder.check_size(context.call.name, row);
  if (fits) return {};
  row.output.reset();
  row.variables.clear();
  return std::unexpected(work_failed(
      "output_too_large",
      "the output and the variables of the node cannot be kept: " + fits.error().message));
}

Result<Output> in_transaction(RunScope& scope, NodeContext::Impl& context, NodeRow& row,
                              std::exception_ptr& thrown) {
  Output output;
  const NodeRow begun = row;
  auto kept = scope.recorder.transact(context.call.name, [&](Transaction& tx) -> Result<NodeRow> {
    context.variables.clear();
    row = begun;
    NodeContext node(context);
    try {
      auto worked = (*context.call.transact)(tx, node);
      if (!worked) return pass(worked);
      output = std::move(*worked);
    } catch (...) {
      thrown = std::current_exception();
      return fail(ErrorCode::unknown, "its work threw an exception");
    }
    const auto struck = scope.recorder.strike(context.call.name, NodeMoment::after_effect);
    if (!struck) return std::unexpected(struck.error());
    if (auto completed = complete_row(scope, context, output, row); !completed) {
      return pass(completed);
    }
    return row;
  });
  if (!kept) {
    row = begun;  // nothing of what was to be committed counts
    return pass(kept);
  }
  return output;
}

}  // namespace

Tried try_node(RunScope& scope, const NodeCall& call, NodeRow& row) {
  Tried tried;
  NodeContext::Impl context{.scope = scope, .call = call, .attempt = row.attempts};
  if (auto struck = scope.recorder.strike(call.name, NodeMoment::before_effect); !struck) {
    tried.output = pass(struck);
    return tried;
  }
  if (call.transact != nullptr) {
    tried.output = in_transaction(scope, context, row, tried.thrown);
    return tried;
  }
  NodeContext node(context);
  try {
    tried.output = (*call.work)(node);
  } catch (...) {
    tried.thrown = std::current_exception();
    tried.output = fail(ErrorCode::unknown, "its work threw an exception");
    return tried;
  }
  if (auto struck = scope.recorder.strike(call.name, NodeMoment::after_effect); !struck) {
    tried.output = pass(struck);
    return tried;
  }
  if (!tried.output) return tried;
  if (auto completed = complete_row(scope, context, *tried.output, row); !completed) {
    tried.output = pass(completed);
  }
  return tried;
}

bool is_retryable(const Error& error) {
  return error.code == ErrorCode::work_retryable || error.code == ErrorCode::work_not_started;
}

Duration backoff(const NodeRetry& retry, std::uint32_t failed) {
  double wait = static_cast<double>(retry.initial.count());
  const auto longest = static_cast<double>(retry.longest.count());
  for (std::uint32_t i = 1; i < failed && wait < longest; ++i) wait *= retry.multiplier;
  wait = std::min(wait, longest);
  const auto bytes = random_id();
  std::minstd_rand random(bytes[0] | unsigned{bytes[1]} << 8U | unsigned{bytes[2]} << 16U);
  wait *= 1.0 - retry.jitter * std::uniform_real_distribution(0.0, 1.0)(random);
  return duration_of(wait);
}

bool wait_until(const Clock& clock, Duration deadline, const std::stop_token& stop) {
  Mutex mutex;
  CondVar changed;
  const std::stop_callback wake(stop, [&] {
    MutexLock lock(mutex);
    changed.notify_all();
  });
  MutexLock lock(mutex);
  while (!stop.stop_requested() && clock.since_boot() < deadline) {
    changed.wait_until(mutex, clock, deadline);
  }
  return !stop.stop_requested();
}

Error error_to_keep(Error error) {
  error.message = cut_utf8(error.message, max_node_error_bytes);
  error.failure_code = cut_utf8(error.failure_code, model::max_code_bytes);
  return error;
}

Error error_of_node(const std::string& node, Error error) {
  error.message = fmt::format("node '{}': {}", node, error.message);
  return error;
}

}  // namespace once::workflow
