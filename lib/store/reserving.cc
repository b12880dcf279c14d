// Reserving and ending reservations by hand, one at a time and in batches.
#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "ledger/question.h"
#include "store/limit_checks.h"
#include "store/store_impl.h"

namespace once {
namespace {

// How soon to look again at a reservation held by another process: it cannot wake us.
constexpr Duration look_again = std::chrono::milliseconds(100);

Result<void> check_lease(Duration lease) {
  if (lease > Duration::zero()) return {};
  return fail(ErrorCode::invalid_argument, "a lease of {} ms is none; give one longer than 0",
              lease.count());
}

Result<void> without_answer(Result<std::monostate> answer) {
  if (!answer) return pass(answer);
  return {};
}

Error omitted(const Key& key, const Outcome& outcome) {
  const std::string name = key.to_string();
  std::string message;
  if (outcome.kind != OutcomeKind::success) {
    const std::string code = outcome.code.empty() ? "" : " with code " + outcome.code;
    const std::string told = outcome.message.empty() ? "" : ": " + outcome.message;
    message = fmt::format("key {} ended as a {}{}{}; what it gave, {} bytes, was too large to keep",
                          name, to_string(outcome.kind), code, told, outcome.omitted_bytes);
  } else if (outcome.message.empty()) {
    message =
        fmt::format("key {} was carried out, but its outcome of {} bytes was too large to keep",
                    name, outcome.omitted_bytes);
  } else {
    // A tombstone of a success may tell itself why it is one (salvage()).
    message = fmt::format("key {} was carried out, but its outcome {}", name, outcome.message);
  }
  return {.code = ErrorCode::outcome_omitted,
          .message = message + "; it does not run again",
          .replayed = true};
}

template <class T>
bool is(const Result<T>& answer, ErrorCode code) {
  return !answer && answer.error().code == code;
}

}  // namespace

Result<void> check_reserve(const ReserveOptions& options) {
  if (auto checked = check_lease(options.lease); !checked) return checked;
  const bool known =
      options.on_abandon == OnAbandon::rerun || options.on_abandon == OnAbandon::in_doubt;
  if (!known) return fail(ErrorCode::invalid_argument, "on_abandon is neither of its two values");
  if (auto checked = check_fields(options.fields); !checked) return checked;
  return check_retention(options.retention);
}

Result<void> check_execute(const ExecuteOptions& options) {
  if (auto checked = check_retention(options.failure_retention); !checked) return checked;
  return check_reserve(reserve_options(options));
}

ReserveOptions reserve_options(const ExecuteOptions& options) {
  return {.lease = options.lease,
          .retention = options.retention,
          .fingerprint = options.fingerprint,
          .fields = options.fields,
          .on_abandon = options.on_abandon,
          .wait = options.wait,
          .durability = options.durability,
          .stop = options.stop};
}

std::unexpected<Error> already_done(const Key& key, const Provenance& provenance) {
  return fail(ErrorCode::already_done,
              "key {} has an outcome already ({}), and the call asked to be rejected then; ask "
              "with Conflict::previous to be given it",
              key.to_string(), provenance.execution_id());
}

std::unexpected<Error> cancelled(const Key& key) {
  return fail(ErrorCode::cancelled,
              "the wait for key {} was cancelled by its stop token; nothing was changed",
              key.to_string());
}

Result<std::optional<Replay>> Store::Impl::try_replay(const Key& key,
                                                      const ReserveOptions& request) {
  auto in_use = use();
  if (!in_use) return pass(in_use);
  std::uint64_t access_count = 0;
  auto found = engine->find_to_replay(key, access_count);
  return replay_of_found(key, request, found, {.now = engine->now(), .access_count = access_count});
}

std::vector<Result<std::optional<Replay>>> Store::Impl::try_replay_many(
    std::span<const ReserveRequest* const> requests) {
  std::vector<const Key*> keys;
  keys.reserve(requests.size());
  for (const ReserveRequest* request : requests) keys.push_back(&request->key);
  std::vector<std::uint64_t> accesses(keys.size());
  auto found = engine->find_many_to_replay(keys, accesses);
  std::vector<Result<std::optional<Replay>>> replays;
  replays.reserve(keys.size());
  const Time now = engine->now();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    replays.push_back(replay_of_found(*keys[i], requests[i]->options, found[i],
                                      {.now = now, .access_count = accesses[i]}));
  }
  return replays;
}

Result<std::optional<Replay>> Store::Impl::replay_of_found(const Key& key,
                                                           const ReserveOptions& request,
                                                           Result<std::optional<Found>>& found,
                                                           const Access& access) {
  if (!found) return pass(found);
  if (!*found) return std::nullopt;
  const Record& record = (*found)->record;
  if (!(*found)->outcome) {
    if (record.status != Status::completed && record.status != Status::failed) return std::nullopt;
    return once::fail(ErrorCode::damaged,
                      "key {} is {} and has no outcome; run `once verify` and restore a backup",
                      key.to_string(), to_string(record.status));
  }
  return replay_of(key, request, record, std::move(*(*found)->outcome), access);
}

Result<std::optional<Replay>> Store::Impl::try_replay_from_memory(const Key& key,
                                                                  const ReserveOptions& request) {
  const Time now = engine->now();
  if (!request.fields.empty()) {
    // To compare them takes a digest each, for which nobody is to wait.
    Found found;
    std::uint64_t access_count = 0;
    if (!engine->find_in_memory(key, now, found, access_count)) return std::nullopt;
    return replay_of(key, request, found.record, std::move(*found.outcome),
                     {.now = now, .access_count = access_count});
  }
  Result<std::optional<Replay>> replay;
  engine->visit_in_memory(key, now, [&](const engine::CachedAnswer& answer) {
    replay = replay_of(key, request, answer.record(), answer.outcome(),
                       {.now = now, .access_count = answer.accesses});
  });
  return replay;
}

Result<std::optional<Replay>> Store::Impl::replay_of(const Key& key, const ReserveOptions& request,
                                                     const Record& record, Outcome&& outcome,
                                                     const Access& access) {
  // The ledger says so, with the right error.
  if (ledger::asks_differently(key, record, request)) return std::nullopt;
  if (outcome.omitted_bytes != 0) return std::unexpected(omitted(key, outcome));
  Provenance provenance = ledger::provenance_of(record, access.now);
  provenance.access_count = access.access_count;
  return Replay{.outcome = std::move(outcome), .provenance = provenance};
}

bool Store::Impl::would_repeat(const Record& record) const {
  if (record.status == Status::released) return true;
  if (record.status != Status::in_progress || record.on_abandon != OnAbandon::rerun) return false;
  const bool ours = record.holder == self;
  const Liveness owner = ours ? Liveness::running : processes->liveness(record.holder);
  return !ledger::is_held(record, engine->now(), owner);
}

Result<ReserveAnswer> Store::Impl::try_reserve(const Key& key, const ReserveOptions& request,
                                               const ReserveHooks& hooks) {
  while (true) {
    auto replay = try_replay(key, request);
    if (!replay) return pass(replay);
    if (*replay) return ReserveAnswer(std::move(**replay));
    std::optional<Token> may_repeat;  // what the hook was asked about
    if (hooks.may_repeat) {
      auto in_use = use();
      if (!in_use) return pass(in_use);
      auto found = engine->find(key);
      if (!found) return pass(found);
      if (*found && would_repeat((*found)->record)) {
        if (auto allowed = hooks.may_repeat(**found); !allowed) return pass(allowed);
        may_repeat = (*found)->record.token;
      }
    }
    bool asked_too_early = false;
    auto decided = transition<ledger::ReserveDecision>(
        key, request.durability, [&](const ledger::Moment& moment) {
          auto decision = ledger::reserve(moment, request);
          const auto* granted =
              decision.answer ? std::get_if<Reservation>(&*decision.answer) : nullptr;
          asked_too_early = hooks.may_repeat && granted != nullptr && granted->attempt > 1 &&
                            may_repeat != moment.record->token;
          const bool begins = granted != nullptr && granted->attempt == 1;
          if (asked_too_early) {
            decision.change = {};
          } else if (begins && !hooks.may_begin) {
            decision = {.answer = once::fail(ErrorCode::not_found, "there is no record of key {}",
                                             key.to_string())};
          } else if (granted != nullptr && hooks.on_grant) {
            hooks.on_grant(moment, decision.change);
          }
          return decision;
        });
    if (asked_too_early) continue;
    if (!decided) return pass(decided);
    if (auto* reservation = std::get_if<Reservation>(&*decided)) {
      return ReserveAnswer(std::move(*reservation));
    }
    // Finished between the two looks: take its outcome.
  }
}

void Store::Impl::count(const Key& key, const Result<ReserveAnswer>& answer) {
  using metrics::Counted;
  if (!answer) return count(key, answer.error());
  const bool won = std::holds_alternative<Reservation>(*answer);
  meters.count(key, won ? Counted::executions : Counted::replays);
}

void Store::Impl::count(const Key& key, const Error& refusal) {
  using metrics::Counted;
  if (refusal.code == ErrorCode::busy) meters.count(key, Counted::busy);
  if (refusal.code == ErrorCode::mismatch) meters.count(key, Counted::mismatches);
  if (refusal.code == ErrorCode::in_doubt) meters.count(key, Counted::in_doubt);
}

bool Store::Impl::wait_for(const Key& key, std::uint64_t ticket, Duration deadline) {
  Duration until = deadline;
  if (clock->since_boot() >= deadline || !next_look(key, until)) return false;
  waiters.wait(key, ticket, *clock, until);
  return true;
}

// Sets `until` to when it is worth to look again. False when the store is closed.
bool Store::Impl::next_look(const Key& key, Duration& until) {
  const Duration deadline = until;
  auto in_use = use();
  if (!in_use) return false;
  auto found = engine->find(key);
  until = std::min(deadline, clock->since_boot() + look_again);
  if (found && *found && (*found)->record.status == Status::in_progress &&
      (*found)->record.holder == self) {
    // Ours: the finish wakes us, and otherwise the end of the lease is the next thing to happen.
    until = std::min(deadline, engine->since_boot_at((*found)->record.lease_until));
    until = std::max(until, clock->since_boot() + Duration(1));
  }
  return true;
}

Result<ReserveAnswer> Store::Impl::reserve(const Key& key, const ReserveOptions& request,
                                           const ReserveHooks& hooks) {
  if (auto valid = key.validate(); !valid) return pass(valid);
  if (auto checked = check_reserve(request); !checked) return pass(checked);
  if (auto checked = check_process(); !checked) return pass(checked);
  // What is asked for again and again is answered before anything is made ready for waiting.
  if (auto in_use = use(); !in_use) {
    return pass(in_use);
  } else if (auto replay = try_replay_from_memory(key, request); !replay || *replay) {
    Result<ReserveAnswer> answer;
    if (replay) {
      answer = std::move(**replay);
    } else {
      answer = pass(replay);
    }
    count(key, answer);
    return answer;
  }
  const Duration wait = std::clamp<Duration>(request.wait, Duration(0), std::chrono::years(100));
  const Duration deadline = clock->since_boot() + wait;
  const std::stop_callback wake(request.stop, [&] { waiters.notify(key); });
  bool told = !hooks.on_wait;
  while (true) {
    const std::uint64_t ticket = waiters.ticket(key);
    auto answer = try_reserve(key, request, hooks);
    if (is(answer, ErrorCode::busy) && clock->since_boot() < deadline) {
      if (request.stop.stop_requested()) return cancelled(key);
      if (!std::exchange(told, true)) hooks.on_wait(answer.error());
      if (wait_for(key, ticket, deadline)) continue;
    }
    count(key, answer);
    return answer;
  }
}

Result<ReserveAnswer> Store::reserve(const Key& key, const ReserveOptions& options) {
  return impl_->reserve(key, options);
}

Result<void> Store::complete(const Reservation& reservation, const Outcome& outcome,
                             const CompleteOptions& options) {
  if (auto checked = check_retention(options.retention.value_or(Duration(0))); !checked) {
    return checked;
  }
  if (auto checked = check_outcome(outcome, impl_->options); !checked) return checked;
  auto done = impl_->transition<Provenance>(
      reservation.key, options.durability, [&](const ledger::Moment& moment) {
        return ledger::finish(moment, reservation.token, outcome, options.retention);
      });
  if (!done) return pass(done);
  return {};
}

Result<void> Store::fail(const Reservation& reservation, std::string code, std::string message,
                         const CompleteOptions& options) {
  return complete(reservation, Outcome::failure(std::move(code), std::move(message)), options);
}

Result<Reservation> Store::renew(const Reservation& reservation, Duration lease,
                                 Durability durability) {
  if (auto checked = check_lease(lease); !checked) return pass(checked);
  return impl_->transition<Reservation>(reservation.key, durability,
                                        [&](const ledger::Moment& moment) {
                                          return ledger::renew(moment, reservation.token, lease);
                                        });
}

Result<void> Store::release(const Reservation& reservation, std::string_view reason,
                            Durability durability) {
  if (auto checked = check_reason(reason); !checked) return checked;
  return without_answer(impl_->transition<std::monostate>(
      reservation.key, durability, [&](const ledger::Moment& moment) {
        return ledger::release(moment, reservation.token, reason);
      }));
}

Result<void> Store::doubt(const Reservation& reservation, std::string_view reason,
                          Durability durability) {
  if (auto checked = check_reason(reason); !checked) return checked;
  return without_answer(impl_->transition<std::monostate>(
      reservation.key, durability, [&](const ledger::Moment& moment) {
        return ledger::doubt(moment, reservation.token, reason);
      }));
}

Result<void> Store::resolve(const Key& key, Verdict verdict, const Outcome& outcome) {
  if (auto checked = check_outcome(outcome, impl_->options); !checked) return checked;
  const bool success = outcome.kind == OutcomeKind::success;
  if (verdict != Verdict::rerun && success != (verdict == Verdict::success)) {
    return once::fail(ErrorCode::invalid_argument, "a {} outcome does not go with the verdict {}",
                      to_string(outcome.kind), verdict == Verdict::success ? "success" : "failure");
  }
  return without_answer(impl_->transition<std::monostate>(
      key, Durability::synced,
      [&](const ledger::Moment& moment) { return ledger::resolve(moment, verdict, outcome); }));
}

Result<bool> Store::remove(const Key& key, const RemoveOptions& options) {
  return impl_->transition<bool>(key, Durability::synced, [&](const ledger::Moment& moment) {
    return ledger::remove(moment, options);
  });
}

Result<std::vector<Result<ledger::ReserveDecision>>> Store::Impl::decide_many(
    std::span<const ReserveRequest* const> requests, Durability durability, const Veto& veto) {
  std::vector<Result<ledger::ReserveDecision>> decided(requests.size());
  if (requests.empty()) return decided;
  std::vector<engine::Update> updates;
  updates.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    updates.push_back({.key = requests[i]->key, .transition = [&, i](const engine::Current& now) {
                         auto decision =
                             ledger::reserve(moment(requests[i]->key, now), requests[i]->options);
                         decided[i] = std::move(decision.answer);
                         if (veto && veto(i, decided[i], now.record)) decision.change = {};
                         return std::move(decision.change);
                       }});
  }
  if (auto updated = engine->update_many(updates, durability); !updated) return pass(updated);
  return decided;
}

Result<std::vector<Result<ReserveAnswer>>> Store::reserve_many(
    std::span<const ReserveRequest> requests, Durability durability) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  for (const ReserveRequest& request : requests) {
    if (auto checked = request.key.validate(); !checked) return pass(checked);
    if (auto checked = check_reserve(request.options); !checked) return pass(checked);
  }
  std::vector<Result<ReserveAnswer>> answers(requests.size());
  // False: what could not be read is read once more, and if its record still cannot, nothing is
  // reserved.
  const auto take = [&](std::size_t i, Result<std::optional<Replay>>&& replay) {
    if (is(replay, ErrorCode::outcome_omitted)) {
      answers[i] = pass(replay);
      return true;
    }
    if (!replay || !*replay) return false;
    answers[i] = ReserveAnswer(std::move(**replay));
    return true;
  };
  const auto asks_of = [&](std::span<const std::size_t> indices) {
    std::vector<const ReserveRequest*> asks;
    for (const std::size_t i : indices) asks.push_back(&requests[i]);
    return asks;
  };
  // Those that are left.
  const auto take_many = [&](std::span<const std::size_t> indices) {
    auto replays = impl_->try_replay_many(asks_of(indices));
    std::vector<std::size_t> left;
    for (std::size_t at = 0; at < indices.size(); ++at) {
      if (!take(indices[at], std::move(replays[at]))) left.push_back(indices[at]);
    }
    return left;
  };
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto& [key, options] = requests[i];
    if (!take(i, impl_->try_replay_from_memory(key, options))) left.push_back(i);
  }
  // What is finished is mostly asked for together with more of it: then it is looked up first, and
  // else reserving says what is.
  if (left.size() > 2) {
    const std::array<std::size_t, 2> ends{left.front(), left.back()};
    const std::vector<std::size_t> others(left.begin() + 1, left.end() - 1);
    left = take_many(ends);
    if (left.empty()) {
      left = take_many(others);
    } else {
      left.insert(left.end(), others.begin(), others.end());
      std::ranges::sort(left);
    }
  }
  auto decided = impl_->decide_many(asks_of(left), durability, {});
  if (!decided) return pass(decided);
  std::vector<std::size_t> finished;
  for (std::size_t at = 0; at < left.size(); ++at) {
    const std::size_t i = left[at];
    Result<ledger::ReserveDecision>& decision = (*decided)[at];
    if (!decision) {
      answers[i] = pass(decision);
    } else if (auto* reservation = std::get_if<Reservation>(&*decision)) {
      answers[i] = ReserveAnswer(std::move(*reservation));
    } else {
      finished.push_back(i);
    }
  }
  for (const std::size_t i : take_many(finished)) {
    ReserveOptions alone = requests[i].options;
    alone.durability = durability;
    answers[i] = impl_->try_reserve(requests[i].key, alone);
  }
  for (std::size_t i = 0; i < requests.size(); ++i) impl_->count(requests[i].key, answers[i]);
  return answers;
}

Result<std::vector<Result<Provenance>>> Store::Impl::end_many(
    std::span<const Reservation> reservations, std::span<const Leaving> leaving,
    Durability durability) {
  auto in_use = use();
  if (!in_use) return pass(in_use);
  std::vector<Result<Provenance>> answers(reservations.size());
  std::vector<engine::Update> updates;
  updates.reserve(reservations.size());
  for (std::size_t i = 0; i < reservations.size(); ++i) {
    updates.push_back({.key = reservations[i].key,
                       .transition = [this, &mine = reservations[i], &how = leaving[i],
                                      &answer = answers[i]](const engine::Current& now) {
                         const ledger::Moment at = moment(mine.key, now);
                         if (how.outcome) {
                           auto decision =
                               ledger::finish(at, mine.token, *how.outcome, how.retention);
                           answer = std::move(decision.answer);
                           return std::move(decision.change);
                         }
                         auto decision = how.in_doubt ? ledger::doubt(at, mine.token, how.reason)
                                                      : ledger::release(at, mine.token, how.reason,
                                                                        how.retention);
                         answer = Provenance{};
                         if (!decision.answer) answer = pass(decision.answer);
                         return std::move(decision.change);
                       }});
  }
  if (auto updated = engine->update_many(updates, durability); !updated) return pass(updated);
  for (const Reservation& reservation : reservations) waiters.notify(reservation.key);
  return answers;
}

Result<std::vector<Result<void>>> Store::complete_many(std::span<const CompleteRequest> requests,
                                                       Durability durability) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  for (const CompleteRequest& request : requests) {
    if (auto checked = request.reservation.key.validate(); !checked) return pass(checked);
    if (auto checked = check_outcome(request.outcome, impl_->options); !checked)
      return pass(checked);
  }
  std::vector<Result<void>> answers(requests.size());
  std::vector<engine::Update> updates;
  updates.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const CompleteRequest& request = requests[i];
    updates.push_back(
        {.key = request.reservation.key,
         .transition = [this, &request, &answer = answers[i]](const engine::Current& now) {
           auto decision = ledger::finish(impl_->moment(request.reservation.key, now),
                                          request.reservation.token, request.outcome,
                                          request.options.retention);
           answer = {};
           if (!decision.answer) answer = pass(decision.answer);
           return std::move(decision.change);
         }});
  }
  if (auto updated = impl_->engine->update_many(updates, durability); !updated) {
    return pass(updated);
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Key& key = requests[i].reservation.key;
    impl_->waiters.notify(key);
    const bool fenced = !answers[i] && answers[i].error().code == ErrorCode::fenced;
    if (fenced) impl_->meters.count(key, metrics::Counted::fenced);
  }
  return answers;
}

}  // namespace once
