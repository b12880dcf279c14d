// Compares what is found in a store after a kill with what may be there.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "model.h"

namespace once::crash {
namespace {

Key parsed(const std::string& key) {
  auto found = Key::parse(key);
  return found ? *found : Key(key);
}

const Record* record_of(const Rows& rows, const Key& key) {
  const auto at = rows.keys.find(key);
  return at == rows.keys.end() ? nullptr : &at->second;
}

std::string told(const Record* record) {
  if (record == nullptr) return "absent";
  return fmt::format("{} (token {}, attempt {})", to_string(record->status), record->token.value,
                     record->attempt);
}

std::string told(const HandState& state) {
  if (!state.present) return "absent";
  return fmt::format("{} (token {}, attempt {}, {} checkpoints)", to_string(state.status),
                     state.token, state.attempt, state.checkpoints.size());
}

bool agrees(const HandState& state, const Record* record, const std::set<std::string>& saved) {
  if (!state.present || record == nullptr) return !state.present && record == nullptr;
  return record->status == state.status && record->attempt == state.attempt &&
         (state.token == 0 || record->token.value == state.token) && saved == state.checkpoints;
}

std::set<std::string> saved_of(const Rows& rows, const Key& key) {
  std::set<std::string> names;
  const auto at = rows.checkpoints.find(key);
  if (at == rows.checkpoints.end()) return names;
  for (const auto& [name, checkpoint] : at->second) names.insert(name);
  return names;
}

Bytes value_of(const Rows& rows, const Key& key) {
  const auto at = rows.results.find(key);
  return at == rows.results.end() ? Bytes("none") : at->second.outcome.value.value_or("null");
}

std::int64_t number_of(const Bytes& text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Whether an outcome of pay, hand or batch is one that its work or a resolve gave.
bool is_own_outcome(const ResultRow& row) {
  const bool success = row.outcome.kind == OutcomeKind::success;
  if (row.outcome == resolved_outcome(row.key, success ? Verdict::success : Verdict::failure)) {
    return true;
  }
  return row.outcome == (success ? success_of(row.key, row.token) : failure_of(row.key, row.token));
}

// What the owner of a reservation does is told of the holder that the record names.
bool is_by_owner(What what) {
  return what == What::reserved || what == What::taken_over || what == What::completed ||
         what == What::failed || what == What::released;
}

// In what the newest row of a key's history and its record do not agree; empty: they do.
std::string difference_of(const HistoryEntry& last, const Record* record) {
  if (last.what == What::removed) return record == nullptr ? "" : "it was removed";
  if (record == nullptr) return "there should be a record";
  if (record->status != last.status) return "the status";
  if (record->token != last.token) return "the token";
  if (record->attempt != last.attempt) return "the attempt";
  if (record->last_history != last.sequence) return "which row is the newest";
  // Renewing moves time and lease on, and tells history nothing.
  const bool running = record->status == Status::in_progress;
  if (record->updated_at < last.time) return "the time, which is before it";
  if (!running && record->updated_at != last.time) return "the time";
  if (!running && last.deadline != record->expires_at) return "the deadline";
  if (running && last.deadline <= last.time) return "the deadline, which is no lease";
  if (last.holder == Holder{}) return "the holder, which is nobody";
  if (is_by_owner(last.what) && last.holder != record->holder) return "the holder";
  return "";
}

}  // namespace

void Model::check(const Rows& rows, const Effects& effects) {
  check_hands(rows);
  check_pays(rows, effects);
  check_moves(rows);
  check_batches(rows);
  check_events(rows);
  check_copy(rows, "the store");
  std::set<std::uint64_t> reserved;
  for (const HistoryEntry& entry : rows.history) {
    last_sequence_ = std::max(last_sequence_, entry.sequence);
    last_token_ = std::max(last_token_, entry.token.value);
    if (entry.what == What::reserved || entry.what == What::taken_over) {
      reserved.insert(entry.token.value);
    }
  }
  for (const auto& [token, key] : grants_) {
    if (!reserved.contains(token)) {
      problem(fmt::format("history does not tell that {} was reserved with token {}", key, token));
    }
  }
  ++life_;
}

void Model::check_copy(const Rows& rows, const std::string& name) {
  check_results(rows, name);
  check_history(rows, name);
  check_bank(rows, name);
}

void Model::check_hands(const Rows& rows) {
  for (auto& [name, hand] : hands_) {
    const Key key = parsed(name);
    const Record* record = record_of(rows, key);
    const std::set<std::string> saved = saved_of(rows, key);
    const HandState maybe = hand.pending ? after(hand.sure, *hand.pending) : hand.sure;
    const bool as_said = agrees(hand.sure, record, saved);
    if (!as_said && !agrees(maybe, record, saved)) {
      problem(fmt::format("{} should be {}{}{}, and is {} with {} checkpoints", name,
                          told(hand.sure), hand.pending ? ", or " : "",
                          hand.pending ? told(maybe) : "", told(record), saved.size()));
    }
    if (!as_said) hand.sure = maybe;
    if (record != nullptr) hand.sure.token = record->token.value;
    hand.pending.reset();
  }
  for (const auto& [key, record] : rows.keys) {
    if (key.operation == "hand" && !hands_.contains(key.to_string())) {
      problem(fmt::format("{} is there, and nobody asked for it", key.to_string()));
    }
  }
}

void Model::check_pays(const Rows& rows, const Effects& effects) {
  for (auto& [name, pay] : pays_) {
    const Record* record = record_of(rows, parsed(name));
    if (pay.final) {
      const bool same = record != nullptr && record->status == *pay.final &&
                        (pay.final_token == 0 || record->token.value == pay.final_token);
      if (!same) {
        problem(fmt::format("{} was answered {} (token {}), and is {}", name, to_string(*pay.final),
                            pay.final_token, told(record)));
      } else if (!pay.final_digest.empty() &&
                 digest_of(value_of(rows, parsed(name))) != pay.final_digest) {
        problem(fmt::format("{} replays other bytes than before", name));
      }
    }
    const auto at = effects.find(name);
    if (at != effects.end()) check_effects(name, pay, at->second);
    const bool ran = record != nullptr && record->status == Status::completed &&
                     pay.granted.contains(record->token.value);
    const bool has_effect =
        at != effects.end() && std::ranges::count(at->second, ran ? record->token.value : 0) == 1;
    if (ran && !has_effect) {
      problem(fmt::format("{} is completed, and its effect did not happen exactly once", name));
    }
  }
}

void Model::check_effects(const std::string& key, const Pay& pay,
                          const std::vector<std::uint64_t>& tokens) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t token : tokens) {
    if (!seen.insert(token).second) {
      problem(fmt::format("the effect of {} happened twice under token {}", key, token));
    }
    if (!pay.granted.contains(token)) {
      problem(fmt::format("the effect of {} happened without a reservation", key));
    }
    if (pay.final_token != 0 && token > pay.final_token) {
      problem(fmt::format("the effect of {} happened again after it was answered", key));
    }
  }
  const bool once_only = on_abandon_of(parsed(key)) == OnAbandon::in_doubt;
  if (once_only && tokens.size() > 1 + pay.reruns_tried) {
    problem(fmt::format("the effect of {} happened {} times, and {} reruns were allowed", key,
                        tokens.size(), pay.reruns_tried));
  }
}

void Model::check_moves(const Rows& rows) {
  for (const auto& [name, move] : moves_) {
    const auto at = rows.results.find(parsed(name));
    const bool there = at != rows.results.end();
    if (move.failed && (!there || at->second.outcome.kind != OutcomeKind::failure)) {
      problem(fmt::format("{} was answered with a failure, which is lost", name));
    }
    if (move.token == 0) continue;
    const bool same = there && at->second.token.value == move.token &&
                      digest_of(at->second.outcome.value.value_or("")) == move.digest;
    if (!same) problem(fmt::format("the outcome of {} (token {}) is lost", name, move.token));
  }
}

void Model::check_batches(const Rows& rows) {
  for (const auto& [name, batch] : batches_) {
    std::size_t present = 0;
    std::size_t completed = 0;
    for (std::size_t i = 0; i < batch.count; ++i) {
      const Record* record = record_of(rows, member_of(parsed(name), i));
      if (record == nullptr) continue;
      ++present;
      if (record->status == Status::completed) ++completed;
      if (!batch.tokens.empty() && record->token.value != batch.tokens[i]) {
        problem(fmt::format("member {} of {} has another token", i, name));
      }
    }
    const bool reserved_ok = present == batch.count || (present == 0 && batch.tokens.empty());
    const bool completed_ok = completed == batch.count || (completed == 0 && !batch.completed);
    if (!reserved_ok || !completed_ok || (completed > 0 && !batch.complete_tried)) {
      problem(fmt::format(
          "of the {} keys of {}, {} are there and {} completed (reserved: {}, "
          "completed: {})",
          batch.count, name, present, completed, !batch.tokens.empty(), batch.completed));
    }
  }
}

void Model::check_events(const Rows& rows) {
  std::map<std::string, const Event*> found;
  std::uint64_t last = 0;
  for (const Event& event : rows.events) {
    if (event.sequence <= last) problem("the sequences of events do not grow");
    last = event.sequence;
    last_sequence_ = std::max(last_sequence_, last);
    if (!found.emplace(event.id, &event).second) {
      problem(fmt::format("event {} is there twice", event.id));
    }
    if (event.type == "told" && !events_.contains(event.id)) {
      problem(fmt::format("event {} is there, and nobody published it", event.id));
    }
  }
  for (const auto& [id, sequence] : events_) {
    const auto at = found.find(id);
    if (at == found.end()) {
      if (sequence != 0) problem(fmt::format("event {} ({}) is lost", id, sequence));
      continue;
    }
    const bool same = (sequence == 0 || at->second->sequence == sequence) &&
                      at->second->payload == bytes_of(parsed(id), Token()).substr(0, 100'000);
    if (!same) problem(fmt::format("event {} is not what was published", id));
  }
}

void Model::check_results(const Rows& rows, const std::string& name) {
  for (const auto& [key, row] : rows.results) {
    const bool own = key.operation == "pay" || key.operation == "hand" || key.operation == "batch";
    if (own && !is_own_outcome(row)) {
      problem(
          fmt::format("{}: the outcome of {} is not what its work gave", name, key.to_string()));
    }
  }
  for (const auto& [key, saved] : rows.checkpoints) {
    for (const auto& [step, checkpoint] : saved) {
      if (key.operation == "hand" && checkpoint.data != key.id + step) {
        problem(fmt::format("{}: checkpoint {} of {} is damaged", name, step, key.to_string()));
      }
    }
  }
}

void Model::check_history(const Rows& rows, const std::string& name) {
  std::map<Key, const HistoryEntry*> newest;
  for (const HistoryEntry& entry : rows.history) {
    const HistoryEntry*& before = newest[entry.key];
    const bool first = before == nullptr || before->what == What::removed;
    if (entry.previous != (first ? 0 : before->sequence) && entry.key.operation != "brief") {
      problem(fmt::format("{}: history row {} of {} does not follow the one before", name,
                          entry.sequence, entry.key.to_string()));
    }
    if (before != nullptr && before->time > entry.time) {
      problem(fmt::format("{}: in the history of {} time runs back at row {}", name,
                          entry.key.to_string(), entry.sequence));
    }
    const bool finishes = entry.what == What::completed || entry.what == What::failed;
    if (finishes && before != nullptr && before->token == entry.token &&
        before->what != What::reserved && before->what != What::taken_over) {
      problem(
          fmt::format("{}: history tells that {} was finished twice", name, entry.key.to_string()));
    }
    before = &entry;
  }
  for (const auto& [key, last] : newest) {
    if (key.operation == "brief") continue;
    const Record* record = record_of(rows, key);
    const std::string difference = difference_of(*last, record);
    if (!difference.empty()) {
      problem(fmt::format("{}: {} is {}, and history says {} (token {}, attempt {}): {}", name,
                          key.to_string(), told(record), to_string(last->what), last->token.value,
                          last->attempt, difference));
    }
  }
  for (const auto& [key, record] : rows.keys) {
    if (!newest.contains(key)) {
      problem(fmt::format("{}: history knows nothing of {}", name, key.to_string()));
    }
  }
}

void Model::check_bank(const Rows& rows, const std::string& name) {
  if (!rows.data.contains(account(0))) {
    if (!rows.events.empty()) problem(name + ": the accounts are gone");
    return;
  }
  std::array<std::int64_t, accounts> balances{};
  balances.fill(balance_at_start);
  std::map<std::string, const Event*> events;  // by the nonce, which is their id
  for (const Event& event : rows.events) {
    if (event.type == "moved") events.emplace(event.id, &event);
  }
  for (const auto& [key, row] : rows.results) {
    if (key.operation != "move" || row.outcome.kind != OutcomeKind::success) continue;
    std::istringstream in(row.outcome.value.value_or(""));
    std::size_t from = accounts;
    std::size_t to = accounts;
    std::int64_t amount = 0;
    std::string nonce;
    in >> from >> to >> amount >> nonce;
    const auto event = events.find(nonce);
    if (from >= accounts || to >= accounts || event == events.end() ||
        event->second->payload != row.outcome.value) {
      problem(fmt::format("{}: {} has an outcome and not its event", name, key.to_string()));
      continue;
    }
    balances[from] -= amount;
    balances[to] += amount;
    events.erase(event);
  }
  for (const auto& [id, event] : events) {
    problem(fmt::format("{}: event {} has no outcome that it belongs to", name, id));
  }
  for (int i = 0; i < accounts; ++i) {
    const auto at = rows.data.find(account(i));
    const std::int64_t found = at == rows.data.end() ? 0 : number_of(at->second);
    if (found == balances[static_cast<std::size_t>(i)]) continue;
    problem(fmt::format("{}: account {} holds {}, and by the outcomes it should be {}", name, i,
                        found, balances[static_cast<std::size_t>(i)]));
  }
}

}  // namespace once::crash
