#include "support/store_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace once::testing {

namespace {

Time later(Time time, Duration by) {
  if (by <= Duration::zero()) return time;
  return by > Time::max() - time ? Time::max() : time + by;
}

bool answers(Status status) {
  return status == Status::completed || status == Status::failed;
}

// Past retention counts for what is finished only; a released key has a retention, too.
bool is_over(const Record& record, Time now) {
  const bool ends = answers(record.status) || record.status == Status::released;
  return ends && record.expires_at <= now;
}

std::string text_of(const std::optional<Fingerprint>& digest) {
  if (!digest) return "none";
  return fmt::format("{:02x}{:02x}{:02x}{:02x}", digest->digest[0], digest->digest[1],
                     digest->digest[2], digest->digest[3]);
}

std::int64_t ms(Time time) {
  return time.time_since_epoch().count();
}

std::string text_of(const std::optional<Outcome>& outcome) {
  if (!outcome) return "none";
  return fmt::format("{} {} of {} bytes{}", to_string(outcome->kind), text_of(outcome->digest()),
                     outcome->value ? outcome->value->size() : 0,
                     outcome->omitted_bytes == 0 ? "" : " (omitted)");
}

// The first field in which they differ. Numbers that are 0 in `should` are not known.
std::string difference_of(const Record& should, const Record& is) {
  const auto differs = [](std::string_view field, const auto& wanted, const auto& found) {
    return fmt::format("{} is {} instead of {}", field, found, wanted);
  };
  if (is.status != should.status) {
    return differs("the status", to_string(should.status), to_string(is.status));
  }
  if (is.on_abandon != should.on_abandon) {
    return differs("on_abandon", to_string(should.on_abandon), to_string(is.on_abandon));
  }
  if (should.token.value != 0 && is.token != should.token) {
    return differs("the token", should.token.value, is.token.value);
  }
  if (is.token.value == 0 || is.origin.value == 0) return "its token or origin is 0";
  if (should.origin.value != 0 && is.origin != should.origin) {
    return differs("the origin", should.origin.value, is.origin.value);
  }
  if (is.attempt != should.attempt) return differs("the attempt", should.attempt, is.attempt);
  if (is.created_at != should.created_at) {
    return differs("created_at", ms(should.created_at), ms(is.created_at));
  }
  if (is.updated_at != should.updated_at) {
    return differs("updated_at", ms(should.updated_at), ms(is.updated_at));
  }
  if (is.lease_until != should.lease_until) {
    return differs("lease_until", ms(should.lease_until), ms(is.lease_until));
  }
  if (is.expires_at != should.expires_at) {
    return differs("expires_at", ms(should.expires_at), ms(is.expires_at));
  }
  if (is.retention != should.retention) {
    return differs("the retention", should.retention.count(), is.retention.count());
  }
  if (is.holder != should.holder) {
    return differs("the holder", to_string(should.holder), to_string(is.holder));
  }
  if (is.fingerprint != should.fingerprint) {
    return differs("the fingerprint", text_of(should.fingerprint), text_of(is.fingerprint));
  }
  if (is.outcome != should.outcome) {
    return differs("the outcome's digest", text_of(should.outcome), text_of(is.outcome));
  }
  return "";
}

std::string difference_of(const Checkpoint& should, const Checkpoint& is) {
  if (is.data != should.data) return "has other data";
  if (should.token.value != 0 && is.token != should.token) return "has another token";
  if (should.sequence != 0 && is.sequence != should.sequence) return "has another sequence";
  if (is.created_at != should.created_at) return "was made at another time";
  return "";
}

std::string difference_of(const HistoryEntry& should, const HistoryEntry& is) {
  if (is.key != should.key) {
    return fmt::format("is of key {} instead of {}", is.key.to_string(), should.key.to_string());
  }
  if (is.what != should.what) {
    return fmt::format("says {} instead of {}", to_string(is.what), to_string(should.what));
  }
  if (is.time != should.time) return "has another time";
  if (is.deadline != should.deadline) {
    return fmt::format("has deadline {} instead of {}", ms(is.deadline), ms(should.deadline));
  }
  if (is.what != What::removed && is.status != should.status) return "has another status";
  if (should.token.value != 0 && is.token != should.token) return "has another token";
  if (is.attempt != should.attempt) return "has another attempt";
  if (is.holder != should.holder) return "has another holder";
  return "";
}

std::string difference_of(const Event& should, const Event& is) {
  Event expected = should;
  if (expected.sequence == 0) expected.sequence = is.sequence;
  return is == expected ? "" : fmt::format("differs from {}", should.id);
}

}  // namespace

bool is_of_the_disk(ErrorCode code) {
  switch (code) {
    case ErrorCode::no_space:
    case ErrorCode::damaged:
    case ErrorCode::io:
    case ErrorCode::unknown:
    case ErrorCode::poisoned:
      return true;
    default:
      return false;
  }
}

std::string Request::describe() const {
  static constexpr std::string_view names[] = {
      "reserve", "complete",     "renew",           "release", "doubt",
      "resolve", "remove",       "save_checkpoint", "execute", "transact",
      "publish", "reserve_many", "complete_many",   "find",    "load_checkpoints",
      "sweep"};
  std::string text = fmt::format("{} {}", names[static_cast<std::size_t>(kind)], key.to_string());
  if (token.value != 0) text += fmt::format(" token {}", token.value);
  if (durability == Durability::buffered) text += " buffered";
  if (work_error) text += fmt::format(" work fails: {}", to_string(*work_error));
  if (!many.empty()) text += fmt::format(" x{}", many.size());
  if (!steps.empty()) text += fmt::format(" {} steps", steps.size());
  const auto bytes = outcome.value ? outcome.value->size() : 0;
  if (bytes != 0) text += fmt::format(" {} bytes", bytes);
  return text;
}

std::string Reply::describe() const {
  if (error) return fmt::format("{} ({})", to_string(*error), message);
  std::string text = replayed ? "replayed" : "ok";
  if (token.value != 0) text += fmt::format(" token {} attempt {}", token.value, attempt);
  if (taken_over) text += " taken over";
  if (outcome) text += ", " + text_of(outcome);
  if (yes) text += ", yes";
  if (sequence != 0) text += fmt::format(", sequence {}", sequence);
  return text;
}

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

// ---- Comparing ----------------------------------------------------------------------------------

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

// ---- The rules ----------------------------------------------------------------------------------

namespace {

class Rules {
 public:
  Rules(StoreState state, Time now, const Holder& self,
        const std::map<std::uint32_t, Liveness>& lives)
      : state_(std::move(state)), now_(now), self_(self), lives_(lives) {}

  // Nothing is committed before commit(); what several of these do goes into one.
  Reply reserve(const Request& request, Token fresh);
  Reply complete(const Request& request);
  Reply renew(const Request& request);
  Reply release(const Key& key, Token token);
  Reply doubt(const Key& key, Token token);
  Reply resolve(const Request& request);
  Reply remove(const Key& key);
  Reply save_checkpoint(const Request& request);
  Reply transact(const Request& request, Token fresh);
  Reply execute(const Request& request, Token fresh);
  Reply publish(const Request& request, std::uint64_t sequence);
  Reply find(const Key& key);
  Reply load_checkpoints(const Key& key);

  void commit() {
    if (changed_) commits_.push_back(state_);
    changed_ = false;
  }
  [[nodiscard]] std::vector<StoreState> commits() && { return std::move(commits_); }

 private:
  static Reply refuse(ErrorCode code) {
    Reply reply;
    reply.error = code;
    return reply;
  }
  // As it counts now, or null.
  const KeyState* live(const Key& key) const {
    const auto at = state_.keys.find(key);
    return at == state_.keys.end() || is_over(at->second->record, now_) ? nullptr
                                                                        : at->second.get();
  }
  // In progress under this token.
  const KeyState* owned(const Key& key, Token token) const {
    const KeyState* state = live(key);
    const bool mine = state != nullptr && state->record.status == Status::in_progress &&
                      state->record.token == token && token.value != 0;
    return mine ? state : nullptr;
  }
  bool held(const Record& record) const {
    if (record.status != Status::in_progress || record.lease_until <= now_) return false;
    if (record.holder == self_) return true;
    const auto at = lives_.find(record.holder.pid);
    return at == lives_.end() || at->second != Liveness::dead;
  }
  std::size_t write_history(const Key& key, const Record& record, What what, std::size_t previous,
                            bool may_forget);
  void put(const Key& key, KeyState state, What what);
  void put_quietly(const Key& key, KeyState state) {
    state_.keys[key] = std::make_shared<const KeyState>(std::move(state));
    changed_ = true;
  }
  KeyState granted(const Request& request, Token fresh) const;
  KeyState finished(KeyState state, const Outcome& outcome, Duration retention) const;
  Reply replay(const KeyState& state) const;

  StoreState state_;
  const Time now_;
  const Holder self_;
  const std::map<std::uint32_t, Liveness>& lives_;
  bool changed_ = false;
  std::vector<StoreState> commits_{};
};

std::size_t Rules::write_history(const Key& key, const Record& record, What what,
                                 std::size_t previous, bool may_forget) {
  const bool runs = record.status == Status::in_progress;
  HistoryEntry entry{.time = now_,
                     .deadline = what == What::removed ? Time{}
                                 : runs                ? record.lease_until
                                                       : record.expires_at,
                     .key = key,
                     .what = what,
                     .status = record.status,
                     .token = record.token,
                     .attempt = record.attempt,
                     .holder = self_};
  state_.history.push_back(std::make_shared<const HistoryState>(
      HistoryState{.entry = std::move(entry), .previous = previous, .may_forget = may_forget}));
  changed_ = true;
  return state_.history.size();
}

void Rules::put(const Key& key, KeyState state, What what) {
  const auto before = state_.keys.find(key);
  const bool was = before != state_.keys.end();
  state.record.updated_at = now_;
  state.last_history =
      write_history(key, state.record, what, was ? before->second->last_history : 0,
                    was && is_over(before->second->record, now_));
  put_quietly(key, std::move(state));
}

KeyState Rules::granted(const Request& request, Token fresh) const {
  KeyState state;
  state.record = {.status = Status::in_progress,
                  .on_abandon = request.on_abandon,
                  .token = fresh,
                  .origin = fresh,
                  .attempt = 1,
                  .created_at = now_,
                  .lease_until = later(now_, request.lease),
                  .retention = request.retention,
                  .holder = self_,
                  .fingerprint = request.fingerprint};
  if (const KeyState* before = live(request.key)) {
    state.record.origin = before->record.origin;
    state.record.created_at = before->record.created_at;
    state.record.attempt = before->record.attempt + 1;
    state.checkpoints = before->checkpoints;
  }
  return state;
}

KeyState Rules::finished(KeyState state, const Outcome& outcome, Duration retention) const {
  state.record.status = outcome.kind == OutcomeKind::success ? Status::completed : Status::failed;
  state.record.lease_until = {};
  state.record.expires_at = later(now_, retention);
  state.record.outcome = outcome.digest();
  state.outcome = outcome;
  return state;
}

Reply Rules::replay(const KeyState& state) const {
  if (state.outcome->omitted_bytes != 0) return refuse(ErrorCode::outcome_omitted);
  Reply reply;
  reply.replayed = true;
  reply.token = state.record.token;
  reply.attempt = state.record.attempt;
  reply.outcome.emplace(*state.outcome);  // of nothing so far, which g++ 12 does not see otherwise
  return reply;
}

Reply Rules::reserve(const Request& request, Token fresh) {
  const KeyState* before = live(request.key);
  bool takes_over = false;
  if (before != nullptr && before->record.status != Status::released) {
    const Record& record = before->record;
    if (record.status == Status::in_doubt) return refuse(ErrorCode::in_doubt);
    const bool other =
        record.fingerprint && request.fingerprint && *record.fingerprint != *request.fingerprint;
    if (other) return refuse(ErrorCode::mismatch);
    if (answers(record.status)) return replay(*before);
    if (held(record)) return refuse(ErrorCode::busy);
    if (record.on_abandon == OnAbandon::in_doubt) {
      KeyState abandoned = *before;
      abandoned.record.status = Status::in_doubt;
      abandoned.record.lease_until = {};
      put(request.key, std::move(abandoned), What::in_doubt);
      return refuse(ErrorCode::in_doubt);
    }
    takes_over = true;
  }
  KeyState state = granted(request, fresh);
  Reply reply;
  reply.token = fresh;
  reply.attempt = state.record.attempt;
  reply.lease_until = state.record.lease_until;
  reply.taken_over = takes_over;
  put(request.key, std::move(state), takes_over ? What::taken_over : What::reserved);
  return reply;
}

Reply Rules::complete(const Request& request) {
  const What what = request.outcome.kind == OutcomeKind::success ? What::completed : What::failed;
  if (const KeyState* mine = owned(request.key, request.token)) {
    put(request.key, finished(*mine, request.outcome, request.retention), what);
    return {};
  }
  const KeyState* state = live(request.key);
  const bool same = state != nullptr && answers(state->record.status) &&
                    state->record.token == request.token &&
                    state->record.outcome == request.outcome.digest();
  return same ? Reply{} : refuse(ErrorCode::fenced);
}

Reply Rules::renew(const Request& request) {
  const KeyState* mine = owned(request.key, request.token);
  if (mine == nullptr) return refuse(ErrorCode::fenced);
  KeyState state = *mine;
  state.record.lease_until = later(now_, request.lease);
  state.record.updated_at = now_;
  Reply reply;
  reply.token = state.record.token;
  reply.attempt = state.record.attempt;
  reply.lease_until = state.record.lease_until;
  put_quietly(request.key, std::move(state));
  return reply;
}

Reply Rules::release(const Key& key, Token token) {
  const KeyState* mine = owned(key, token);
  if (mine == nullptr) return refuse(ErrorCode::fenced);
  KeyState state = *mine;
  state.record.status = Status::released;
  state.record.lease_until = {};
  state.record.expires_at = later(now_, state.record.retention);
  put(key, std::move(state), What::released);
  return {};
}

Reply Rules::doubt(const Key& key, Token token) {
  const KeyState* mine = owned(key, token);
  if (mine == nullptr) return refuse(ErrorCode::fenced);
  KeyState state = *mine;
  state.record.status = Status::in_doubt;
  state.record.lease_until = {};
  put(key, std::move(state), What::in_doubt);
  return {};
}

Reply Rules::resolve(const Request& request) {
  const KeyState* before = live(request.key);
  if (before == nullptr) return refuse(ErrorCode::not_found);
  const Status status = before->record.status;
  if (answers(status) || status == Status::released) return refuse(ErrorCode::conflict);
  if (held(before->record)) return refuse(ErrorCode::busy);
  KeyState state = *before;
  state.record.token = {};  // one that nobody is told
  state.record.lease_until = {};
  if (request.verdict == Verdict::rerun) {
    state.record.status = Status::released;
    state.record.expires_at = later(now_, state.record.retention);
  } else {
    const Duration retention = state.record.retention;
    state = finished(std::move(state), request.outcome, retention);
  }
  put(request.key, std::move(state), What::resolved);
  return {};
}

Reply Rules::remove(const Key& key) {
  const KeyState* before = live(key);
  Reply reply;
  if (before == nullptr) return reply;
  if (held(before->record)) return refuse(ErrorCode::busy);
  write_history(key, before->record, What::removed, before->last_history, false);
  state_.keys.erase(key);
  reply.yes = true;
  return reply;
}

Reply Rules::save_checkpoint(const Request& request) {
  const KeyState* mine = owned(request.key, request.token);
  if (mine == nullptr) return refuse(ErrorCode::fenced);
  KeyState state = *mine;
  state.checkpoints[request.name] = {
      .name = request.name, .data = request.data, .token = request.token, .created_at = now_};
  put_quietly(request.key, std::move(state));
  return {};
}

Reply Rules::publish(const Request& request, std::uint64_t sequence) {
  state_.events.push_back(std::make_shared<const Event>(Event{.sequence = sequence,
                                                              .id = request.name,
                                                              .aggregate_id = request.key.id,
                                                              .type = "published",
                                                              .payload = request.data,
                                                              .created_at = now_}));
  changed_ = true;
  Reply reply;
  reply.sequence = sequence;
  return reply;
}

Reply Rules::execute(const Request& request, Token fresh) {
  Reply reserved = reserve(request, fresh);
  commit();
  if (reserved.replayed && reserved.outcome->kind != OutcomeKind::success) {
    reserved.error = ErrorCode::work_failed;
  }
  if (reserved.error || reserved.replayed) return reserved;
  reserved.worked = true;
  reserved.taken_over = false;  // this, and the lease, are told to the work only
  reserved.lease_until = {};
  if (!request.work_error) {
    reserved.outcome = request.outcome;
    put(request.key, finished(*live(request.key), request.outcome, request.retention),
        What::completed);
    commit();
    return reserved;
  }
  reserved.error = request.work_error;
  switch (*request.work_error) {
    case ErrorCode::work_failed:
      put(request.key,
          finished(*live(request.key), Outcome::failure("declined", "no"),
                   request.failure_retention),
          What::failed);
      break;
    case ErrorCode::work_unknown:
      (void)doubt(request.key, live(request.key)->record.token);
      break;
    case ErrorCode::work_not_started:
    case ErrorCode::work_retryable:
      (void)release(request.key, live(request.key)->record.token);
      break;
    default:
      if (request.on_abandon == OnAbandon::rerun) {
        (void)release(request.key, live(request.key)->record.token);
      } else {
        (void)doubt(request.key, live(request.key)->record.token);
      }
  }
  commit();
  return reserved;
}

Reply Rules::transact(const Request& request, Token fresh) {
  // Whether it would be granted; what it finds abandoned is put in doubt all the same.
  const StoreState before = state_;
  Reply reply = reserve(request, fresh);
  if (reply.replayed && reply.outcome->kind != OutcomeKind::success) {
    reply.error = ErrorCode::work_failed;
  }
  if (reply.error || reply.replayed) {
    commit();
    return reply;
  }
  state_ = before;
  changed_ = false;
  reply.taken_over = false;
  reply.lease_until = {};
  KeyState state = granted(request, fresh);
  state.record.on_abandon = OnAbandon::in_doubt;  // nobody can abandon it

  auto data = state_.data;
  std::vector<Event> events;
  std::map<Bytes, Checkpoint> checkpoints;
  for (const Step& step : request.steps) {
    if (step.kind == Step::Kind::get) {
      const auto at = data.find(step.key);
      reply.read.push_back(at == data.end() ? Bytes("-") : "+" + at->second);
    } else if (step.kind == Step::Kind::scan) {
      for (auto at = data.lower_bound(step.key); at != data.end() && at->first < step.value; ++at) {
        reply.read.push_back(at->first + "=" + at->second);
      }
    } else if (step.kind == Step::Kind::put) {
      data[step.key] = step.value;
    } else if (step.kind == Step::Kind::erase) {
      data.erase(step.key);
    } else if (step.kind == Step::Kind::publish) {
      events.push_back(
          {.id = step.key, .type = "transacted", .payload = step.value, .created_at = now_});
    } else {
      checkpoints[step.key] = {
          .name = step.key, .data = step.value, .token = fresh, .created_at = now_};
    }
  }
  if (request.work_error && *request.work_error != ErrorCode::work_failed) {
    reply.error = request.work_error;
    return reply;
  }
  if (request.work_error) {
    put(request.key,
        finished(std::move(state), Outcome::failure("declined", "no"), request.failure_retention),
        What::failed);
    reply.error = request.work_error;
  } else {
    state_.data = std::move(data);
    for (Event& event : events) {
      state_.events.push_back(std::make_shared<const Event>(std::move(event)));
    }
    for (auto& [name, checkpoint] : checkpoints) state.checkpoints[name] = std::move(checkpoint);
    reply.outcome = request.outcome;
    put(request.key, finished(std::move(state), request.outcome, request.retention),
        What::completed);
  }
  commit();
  return reply;
}

Reply Rules::find(const Key& key) {
  Reply reply;
  const KeyState* state = live(key);
  if (state == nullptr) return reply;
  reply.yes = true;
  reply.record = state->record;
  if (state->outcome) reply.outcome.emplace(*state->outcome);
  return reply;
}

Reply Rules::load_checkpoints(const Key& key) {
  Reply reply;
  const KeyState* state = live(key);
  if (state == nullptr) return reply;
  for (const auto& [name, checkpoint] : state->checkpoints) {
    reply.checkpoints.push_back(checkpoint);
  }
  return reply;
}

}  // namespace

Expected StoreModel::ask(const Request& request, Time now, const Reply& heard) const {
  Rules rules(live(), now, self_, lives_);
  Expected expected;
  using Kind = Request::Kind;
  switch (request.kind) {
    case Kind::reserve:
      expected.reply = rules.reserve(request, heard.token);
      break;
    case Kind::complete:
      expected.reply = rules.complete(request);
      break;
    case Kind::renew:
      expected.reply = rules.renew(request);
      break;
    case Kind::release:
      expected.reply = rules.release(request.key, request.token);
      break;
    case Kind::doubt:
      expected.reply = rules.doubt(request.key, request.token);
      break;
    case Kind::resolve:
      expected.reply = rules.resolve(request);
      break;
    case Kind::remove:
      expected.reply = rules.remove(request.key);
      break;
    case Kind::save_checkpoint:
      expected.reply = rules.save_checkpoint(request);
      break;
    case Kind::execute:
      expected.reply = rules.execute(request, heard.token);
      break;
    case Kind::transact:
      expected.reply = rules.transact(request, heard.token);
      break;
    case Kind::publish:
      expected.reply = rules.publish(request, heard.sequence);
      break;
    case Kind::reserve_many:
      for (std::size_t i = 0; i < request.many.size(); ++i) {
        const Token fresh = i < heard.many.size() ? heard.many[i].token : Token{};
        expected.reply.many.push_back(rules.reserve(request.many[i], fresh));
      }
      break;
    case Kind::complete_many:
      for (const Request& one : request.many) {
        expected.reply.many.push_back(rules.complete(one));
      }
      break;
    case Kind::find:
      expected.reply = rules.find(request.key);
      break;
    case Kind::load_checkpoints:
      expected.reply = rules.load_checkpoints(request.key);
      break;
    case Kind::sweep:
      break;
  }
  rules.commit();
  expected.commits = std::move(rules).commits();
  return expected;
}

// ---- What the store said ------------------------------------------------------------------------

namespace {

std::string difference_of(const Reply& should, const Reply& is) {
  if (should.error != is.error) return "the answer";
  if (should.many.size() != is.many.size()) return "how many answers there are";
  for (std::size_t i = 0; i < should.many.size(); ++i) {
    // A replay in a batch is read afterwards, which may fail by itself.
    const bool unread = is.many[i].error && is_of_the_disk(*is.many[i].error);
    if (unread && should.many[i].replayed) continue;
    const std::string in_one = difference_of(should.many[i], is.many[i]);
    if (!in_one.empty()) return fmt::format("{} in answer {}", in_one, i);
  }
  if (should.replayed != is.replayed) return "whether it was a replay";
  if (is.error) return "";
  if (should.token.value != 0 && should.token != is.token) return "the token";
  if (should.attempt != is.attempt) return "the attempt";
  if (should.lease_until != is.lease_until) return "the lease";
  if (should.taken_over != is.taken_over) return "whether it was taken over";
  if (should.outcome != is.outcome) return "the outcome";
  if (should.yes != is.yes) return "whether there was something";
  if (should.read != is.read) return "what was read";
  if (should.record && is.record) {
    const std::string in_record = difference_of(*should.record, *is.record);
    if (!in_record.empty()) return in_record;
  }
  if (should.checkpoints.size() != is.checkpoints.size()) return "the number of checkpoints";
  for (const Checkpoint& checkpoint : should.checkpoints) {
    const auto at = std::ranges::find(is.checkpoints, checkpoint.name, &Checkpoint::name);
    if (at == is.checkpoints.end() || !difference_of(checkpoint, *at).empty()) {
      return "checkpoint " + checkpoint.name;
    }
  }
  return "";
}

}  // namespace

std::string StoreModel::heard_token(std::uint64_t token) {
  if (token == 0) return "";
  if (!tokens_.empty() && token <= *tokens_.rbegin()) {
    return fmt::format("token {} was given after {}", token, *tokens_.rbegin());
  }
  tokens_.insert(token);
  return "";
}

void StoreModel::may_also(const std::vector<StoreState>& commits) {
  for (const StoreState& state : commits) states_.push_back(state);
}

std::string StoreModel::settle(const Request& request, const Expected& expected,
                               const Reply& heard) {
  const auto says = [&](const std::string& what) {
    return fmt::format("{}: {} ({} instead of {})", request.describe(), what, heard.describe(),
                       expected.reply.describe());
  };
  const bool failed = heard.error && is_of_the_disk(*heard.error);
  std::size_t made = expected.commits.size();
  if (failed) {
    // The reservation of an execute() was answered before the work ran.
    made = request.kind == Request::Kind::execute && heard.worked ? 1 : 0;
    if (made > expected.commits.size()) return says("the work ran and should not have");
  } else {
    const std::string differs = difference_of(expected.reply, heard);
    if (!differs.empty()) return says("differs in " + differs);
  }
  if (made > 0 && poisoned_) return says("something was acknowledged after a failure");
  for (std::size_t i = 0; i < made; ++i) states_.push_back(expected.commits[i]);
  if (made > 0) {
    live_ = states_.size() - 1;
    if (request.durability == Durability::synced || request.kind == Request::Kind::resolve ||
        request.kind == Request::Kind::remove) {
      states_.erase(states_.begin(), states_.begin() + static_cast<std::ptrdiff_t>(live_));
      first_ += live_;
      live_ = 0;
    }
  }
  if (failed) {
    const bool wrote = made < expected.commits.size();
    if (*heard.error == ErrorCode::unknown) {
      if (wrote) states_.push_back(expected.commits[made]);
      poisoned_ = true;
    }
    if (*heard.error == ErrorCode::poisoned) poisoned_ = true;
  }
  std::string problem;
  const bool grants = request.kind == Request::Kind::reserve ||
                      request.kind == Request::Kind::execute ||
                      request.kind == Request::Kind::transact;
  if (grants && !heard.replayed) problem = heard_token(heard.token.value);
  if (request.kind == Request::Kind::reserve_many) {
    for (const Reply& one : heard.many) {
      if (problem.empty() && !one.error && !one.replayed) problem = heard_token(one.token.value);
    }
  }
  return problem.empty() ? problem : says(problem);
}

std::string StoreModel::check_numbers(const StoreRows& rows) {
  constexpr int counter_bits = 24;
  // Opened once more than ever before, and nothing that is there is of this opening.
  if (rows.store.opening <= opening_) {
    return fmt::format("it is opening {} after {}", rows.store.opening, opening_);
  }
  opening_ = rows.store.opening;
  for (const auto& [key, record] : rows.records) {
    if (record.token.value >> counter_bits >= opening_) {
      return fmt::format("key {} has token {} in opening {}", key.to_string(), record.token.value,
                         opening_);
    }
    const bool heard = tokens_.contains(record.token.value);
    if (heard) continue;
    // One that nobody was told of counts as given, too.
    tokens_.insert(record.token.value);
  }
  for (const Event& event : rows.events) {
    if (event.sequence >> counter_bits >= opening_) return "an event is of this opening";
  }
  return "";
}

std::string StoreModel::differs_from_all(const StoreRows& rows, Time now) const {
  std::string differs;
  for (const StoreState& state : states_) {
    differs = state.difference(rows, now, history_retention_);
    if (differs.empty()) break;
  }
  return differs;
}

std::string StoreModel::reopen(const StoreRows& rows, Time now, Ending ending) {
  const std::size_t first = ending == Ending::power_cut ? 0 : live_;
  std::string nearest;
  for (std::size_t i = states_.size(); i-- > first;) {
    const std::string differs = states_[i].difference(rows, now, history_retention_);
    if (!differs.empty()) {
      if (i == live_ || nearest.empty()) nearest = fmt::format("{}", differs);
      continue;
    }
    StoreState found = std::move(states_[i]);
    found.learn(rows, now, history_retention_);
    states_.clear();
    states_.push_back(std::move(found));
    first_ += i;
    live_ = 0;
    poisoned_ = false;
    return check_numbers(rows);
  }
  return fmt::format("what was found is none of the {} states that may be (compared with {}: {})",
                     states_.size() - first, "what was acknowledged last", nearest);
}

}  // namespace once::testing
