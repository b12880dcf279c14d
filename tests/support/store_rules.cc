#include "support/store_rules.h"

#include "model/record_codec.h"

namespace once::testing {

Time later(Time time, Duration by) {
  if (by <= Duration::zero()) return time;
  return by > Time::max() - time ? Time::max() : time + by;
}

bool answers(Status status) {
  return status == Status::completed || status == Status::failed;
}

bool is_over(const Record& record, Time now) {
  const bool ends = answers(record.status) || record.status == Status::released;
  return ends && record.expires_at <= now;
}

std::size_t Rules::write_history(const Key& key, const Record& record, What what,
                                 std::size_t previous, bool may_forget) {
  const bool runs = record.status == Status::in_progress;
  const bool by_owner = what != What::in_doubt && what != What::resolved && what != What::removed;
  HistoryEntry entry{.time = now_,
                     .deadline = what == What::removed ? Time{}
                                 : runs                ? record.lease_until
                                                       : record.expires_at,
                     .key = key,
                     .what = what,
                     .status = record.status,
                     .token = record.token,
                     .attempt = record.attempt,
                     .holder = by_owner ? record.holder : self_};
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
                  .fingerprint = request.fingerprint,
                  .fields = model::bind_fields(request.key, request.fields)};
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
    const bool other =
        record.fingerprint && request.fingerprint && *record.fingerprint != *request.fingerprint;
    const bool other_fields = !record.fields.empty() && !request.fields.empty() &&
                              record.fields != model::bind_fields(request.key, request.fields);
    if (other || other_fields) return refuse(ErrorCode::mismatch);
    if (record.status == Status::in_doubt) return refuse(ErrorCode::in_doubt);
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

}  // namespace once::testing
