// What is told of transactions: names of their states, and how far each is.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "transaction/coordinator_impl.h"

namespace once {

std::string_view to_string(Ask ask) noexcept {
  switch (ask) {
    case Ask::prepare:
      return "prepare";
    case Ask::commit:
      return "commit";
    case Ask::abort:
      return "abort";
  }
  return "unknown";
}

std::string_view to_string(TransactionState state) noexcept {
  switch (state) {
    case TransactionState::preparing:
      return "preparing";
    case TransactionState::committing:
      return "committing";
    case TransactionState::aborting:
      return "aborting";
    case TransactionState::committed:
      return "committed";
    case TransactionState::aborted:
      return "aborted";
  }
  return "unknown";
}

std::string_view to_string(ParticipantState state) noexcept {
  switch (state) {
    case ParticipantState::open:
      return "open";
    case ParticipantState::prepared:
      return "prepared";
    case ParticipantState::settled:
      return "settled";
  }
  return "unknown";
}

Key ParticipantCall::key_of_ask() const {
  Key of_ask = key;
  of_ask.id += ':';
  of_ask.id += to_string(ask);
  return of_ask;
}

std::vector<std::string> TransactionReport::pending() const {
  std::vector<std::string> names;
  const bool settling =
      state == TransactionState::committing || state == TransactionState::aborting;
  for (const ParticipantReport& participant : participants) {
    if (!settling || participant.state == ParticipantState::settled) continue;
    // Who voted no, or was not asked, has nothing to abort, unless it was tried and failed.
    const bool called = state == TransactionState::committing ||
                        participant.state == ParticipantState::prepared ||
                        participant.failures != 0;
    if (called) names.push_back(participant.name);
  }
  return names;
}

Result<std::optional<TransactionReport>> find_transaction(Store& store, const Key& key) {
  auto found = store.find(key);
  if (!found) return pass(found);
  if (!*found) return std::nullopt;
  auto checkpoints = store.load_checkpoints(key);
  if (!checkpoints) return pass(checkpoints);
  auto log = transaction::read_log(key, *checkpoints);
  if (!log) return pass(log);
  if (!*log) return std::nullopt;
  return transaction::report_of(key, (*found)->record, (*found)->outcome, **log);
}

Result<void> scan_transactions(Store& store,
                               const std::function<bool(const TransactionReport&)>& visit,
                               const std::function<bool(const Key&, const Error&)>& unreadable) {
  std::vector<Key> keys;
  std::vector<Error> rows;  // that cannot be read: whose they are is not told
  {
    Store::Impl& inside = Coordinator::Impl::inside(store);
    auto in_use = inside.use();
    if (!in_use) return pass(in_use);
    auto scanned = inside.engine->rows({.table = Table::checkpoints}, [&](const Result<Row>& row) {
      if (!row) {
        rows.push_back(row.error());
        return true;
      }
      const auto& [key, checkpoint] = std::get<CheckpointRow>(*row);
      if (transaction::is_plan(checkpoint.name)) keys.push_back(key);
      return true;
    });
    if (!scanned) return scanned;
  }
  Result<void> first;  // what could not be read, when nobody else is told
  const auto tell = [&](const Key& key, const Error& error) {
    if (unreadable) return unreadable(key, error);
    if (first) first = std::unexpected(error);
    return true;
  };
  for (const Key& key : keys) {
    auto report = find_transaction(store, key);
    if (!report) {
      // Its row is told of with its key.
      std::erase_if(rows, [&](const Error& row) { return row.message == report.error().message; });
      Error error = std::move(report.error());
      error.message = fmt::format("transaction {}: {}", key.to_string(), error.message);
      if (!tell(key, error)) return first;
    } else if (*report && !visit(**report)) {
      return first;
    }
  }
  for (const Error& row : rows) {
    if (!tell(Key{}, row)) break;
  }
  return first;
}

}  // namespace once
