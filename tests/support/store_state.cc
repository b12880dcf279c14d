// The states of the reference model against the rows of a store.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "support/store_difference.h"
#include "support/store_model.h"
#include "support/store_rules.h"

namespace once::testing {

Result<StoreRows> read_rows(Store& store) {
  StoreRows rows;
  std::string twice;
  auto read = store.rows(Table::all, [&](const Row& row) {
    if (const auto* self = std::get_if<StoreRow>(&row)) rows.store = *self;
    if (const auto* key = std::get_if<KeyRow>(&row)) {
      if (!rows.records.emplace(key->key, key->record).second) twice = key->key.to_string();
    }
    if (const auto* result = std::get_if<ResultRow>(&row)) {
      if (!rows.results.emplace(result->key, *result).second) twice = result->key.to_string();
    }
    if (const auto* saved = std::get_if<CheckpointRow>(&row)) {
      rows.checkpoints.emplace(std::pair(saved->key, saved->checkpoint.name), saved->checkpoint);
    }
    if (const auto* event = std::get_if<Event>(&row)) rows.events.push_back(*event);
    if (const auto* entry = std::get_if<HistoryEntry>(&row)) rows.history.push_back(*entry);
    if (const auto* data = std::get_if<DataRow>(&row)) {
      if (!rows.data.emplace(data->key, data->value).second) twice = "a row of data";
    }
    return true;
  });
  if (!read) return std::unexpected(std::move(read.error()));
  if (!twice.empty()) {
    return std::unexpected(Error{.code = ErrorCode::damaged, .message = twice + " is there twice"});
  }
  return rows;
}

template <class See>
void StoreState::each_visible_history(Time now, Duration retention, const See& see) const {
  std::size_t row = 0;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (later(history[i]->entry.time, retention) > now) see(i, row++);
  }
}

std::string StoreState::difference(const StoreRows& rows, Time now,
                                   Duration history_retention) const {
  // Which row of history stands for which of ours, both from 1.
  std::map<std::size_t, std::uint64_t> sequences;
  std::string problem;
  std::size_t visible = 0;
  each_visible_history(now, history_retention, [&](std::size_t place, std::size_t row) {
    ++visible;
    if (!problem.empty() || row >= rows.history.size()) return;
    const HistoryState& should = *history[place];
    const HistoryEntry& is = rows.history[row];
    problem = difference_of(should.entry, is);
    if (should.entry.sequence != 0 && is.sequence != should.entry.sequence) {
      problem = "has another sequence";
    }
    sequences[place + 1] = is.sequence;
    const auto before = sequences.find(should.previous);
    const bool known = should.previous == 0 || before != sequences.end();
    const std::uint64_t previous = before == sequences.end() ? 0 : before->second;
    if (known && is.previous != previous && !(should.may_forget && is.previous == 0)) {
      problem = fmt::format("names {} as the one before instead of {}", is.previous, previous);
    }
    if (row > 0 && is.sequence <= rows.history[row - 1].sequence) problem = "is out of order";
    if (!problem.empty()) problem = fmt::format("history row {} {}", row, problem);
  });
  if (!problem.empty()) return problem;
  if (visible != rows.history.size()) {
    return fmt::format("there are {} rows of history instead of {}", rows.history.size(), visible);
  }

  std::size_t records = 0;
  std::size_t results = 0;
  std::size_t checkpoints = 0;
  for (const auto& [key, state] : keys) {
    if (is_over(state->record, now)) continue;
    ++records;
    const auto found = rows.records.find(key);
    if (found == rows.records.end()) return fmt::format("key {} is missing", key.to_string());
    problem = difference_of(state->record, found->second);
    if (!problem.empty()) return fmt::format("key {}: {}", key.to_string(), problem);
    const auto last = sequences.find(state->last_history);
    if (last != sequences.end() && found->second.last_history != last->second) {
      return fmt::format("key {} names another row of history", key.to_string());
    }
    const auto result = rows.results.find(key);
    if (state->outcome) {
      ++results;
      if (result == rows.results.end()) {
        return fmt::format("key {} lacks its outcome", key.to_string());
      }
      if (result->second.outcome != *state->outcome) {
        return fmt::format("key {}: the outcome is {} instead of {}", key.to_string(),
                           text_of(result->second.outcome), text_of(state->outcome));
      }
    }
    for (const auto& [name, checkpoint] : state->checkpoints) {
      ++checkpoints;
      const auto saved = rows.checkpoints.find({key, name});
      if (saved == rows.checkpoints.end()) {
        return fmt::format("checkpoint {} of key {} is missing", name, key.to_string());
      }
      problem = difference_of(checkpoint, saved->second);
      if (!problem.empty()) {
        return fmt::format("checkpoint {} of key {} {}", name, key.to_string(), problem);
      }
    }
  }
  if (records != rows.records.size()) {
    return fmt::format("there are {} records instead of {}", rows.records.size(), records);
  }
  if (results != rows.results.size()) {
    return fmt::format("there are {} outcomes instead of {}", rows.results.size(), results);
  }
  if (checkpoints != rows.checkpoints.size()) {
    return fmt::format("there are {} checkpoints instead of {}", rows.checkpoints.size(),
                       checkpoints);
  }

  for (std::size_t i = 0; i < std::min(events.size(), rows.events.size()); ++i) {
    problem = difference_of(*events[i], rows.events[i]);
    if (i > 0 && rows.events[i].sequence <= rows.events[i - 1].sequence) problem = "out of order";
    if (!problem.empty()) return fmt::format("event {} ({}) {}", i, rows.events[i].id, problem);
  }
  if (events.size() != rows.events.size()) {
    return fmt::format("there are {} events instead of {}", rows.events.size(), events.size());
  }
  for (const auto& [key, value] : data) {
    const auto found = rows.data.find(key);
    if (found == rows.data.end()) return fmt::format("data {} is missing", escape(key));
    if (found->second != value) return fmt::format("data {} has another value", escape(key));
  }
  if (data.size() != rows.data.size()) {
    return fmt::format("there are {} rows of data instead of {}", rows.data.size(), data.size());
  }
  return "";
}

void StoreState::learn(const StoreRows& rows, Time now, Duration history_retention) {
  each_visible_history(now, history_retention, [&](std::size_t place, std::size_t row) {
    if (history[place]->entry.sequence == rows.history[row].sequence &&
        history[place]->entry.token == rows.history[row].token) {
      return;
    }
    HistoryState known = *history[place];
    known.entry.sequence = rows.history[row].sequence;
    known.entry.token = rows.history[row].token;
    history[place] = std::make_shared<const HistoryState>(std::move(known));
  });
  for (auto& [key, state] : keys) {
    const auto found = rows.records.find(key);
    if (found == rows.records.end()) continue;
    KeyState known = *state;
    bool changed = known.record.token != found->second.token;
    known.record.token = found->second.token;
    known.record.origin = found->second.origin;
    for (auto& [name, checkpoint] : known.checkpoints) {
      const Checkpoint& is = rows.checkpoints.at({key, name});
      changed = changed || checkpoint.sequence != is.sequence || checkpoint.token != is.token;
      checkpoint = is;
    }
    if (changed) state = std::make_shared<const KeyState>(std::move(known));
  }
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i]->sequence != rows.events[i].sequence) {
      events[i] = std::make_shared<const Event>(rows.events[i]);
    }
  }
}

}  // namespace once::testing
