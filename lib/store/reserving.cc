// Reserving and ending reservations by hand, one at a time and in batches.
#include <algorithm>
#include <utility>

#include "base/error.h"
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

Result<void> check_options(const ReserveOptions& options) {
  if (auto checked = check_lease(options.lease); !checked) return checked;
  const bool known =
      options.on_abandon == OnAbandon::rerun || options.on_abandon == OnAbandon::in_doubt;
  if (!known) return fail(ErrorCode::invalid_argument, "on_abandon is neither of its two values");
  return check_retention(options.retention);
}

Result<void> without_answer(Result<std::monostate> answer) {
  if (!answer) return pass(answer);
  return {};
}

bool is(const Result<ReserveAnswer>& answer, ErrorCode code) {
  return !answer && answer.error().code == code;
}

}  // namespace

Result<std::optional<Replay>> Store::Impl::try_replay(const Key& key,
                                                      const ReserveOptions& request) {
  auto in_use = use();
  if (!in_use) return pass(in_use);
  auto found = engine->find(key);
  if (!found) return pass(found);
  if (!*found) return std::nullopt;
  const Record& record = (*found)->record;
  if (!(*found)->outcome) {
    if (record.status != Status::completed && record.status != Status::failed) return std::nullopt;
    return once::fail(ErrorCode::damaged,
                      "key {} is {} and has no outcome; run `once verify` and restore a backup",
                      key.to_string(), to_string(record.status));
  }
  const bool mismatch =
      request.fingerprint && record.fingerprint && *request.fingerprint != *record.fingerprint;
  if (mismatch) return std::nullopt;  // the ledger says so, with the right error
  const Outcome& outcome = *(*found)->outcome;
  if (outcome.omitted_bytes != 0) {
    Error error{
        .code = ErrorCode::outcome_omitted,
        .message = fmt::format("key {} was carried out, but its outcome of {} bytes was too "
                               "large to keep; it does not run again",
                               key.to_string(), outcome.omitted_bytes),
        .replayed = true};
    return std::unexpected(std::move(error));
  }
  return Replay{.outcome = std::move(*(*found)->outcome),
                .provenance = ledger::provenance_of(record)};
}

Result<ReserveAnswer> Store::Impl::try_reserve(const Key& key, const ReserveOptions& request) {
  while (true) {
    auto replay = try_replay(key, request);
    if (!replay) return pass(replay);
    if (*replay) return ReserveAnswer(std::move(**replay));
    auto decided = transition<ledger::ReserveDecision>(
        key, request.durability,
        [&](const ledger::Moment& moment) { return ledger::reserve(moment, request); });
    if (!decided) return pass(decided);
    if (auto* reservation = std::get_if<Reservation>(&*decided)) {
      return ReserveAnswer(std::move(*reservation));
    }
    // Finished between the two looks: take its outcome.
  }
}

void Store::Impl::count(const Result<ReserveAnswer>& answer) {
  if (answer) {
    ++(std::holds_alternative<Reservation>(*answer) ? executions : replays);
  } else if (is(answer, ErrorCode::busy)) {
    ++busy;
  } else if (is(answer, ErrorCode::mismatch)) {
    ++mismatches;
  }
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

Result<ReserveAnswer> Store::reserve(const Key& key, const ReserveOptions& options) {
  if (auto valid = key.validate(); !valid) return pass(valid);
  if (auto checked = check_options(options); !checked) return pass(checked);
  const Duration wait = std::clamp<Duration>(options.wait, Duration(0), std::chrono::years(100));
  const Duration deadline = impl_->clock->since_boot() + wait;
  while (true) {
    const std::uint64_t ticket = impl_->waiters.ticket(key);
    auto answer = impl_->try_reserve(key, options);
    if (is(answer, ErrorCode::busy) && impl_->wait_for(key, ticket, deadline)) continue;
    impl_->count(answer);
    return answer;
  }
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

Result<bool> Store::remove(const Key& key) {
  return impl_->transition<bool>(
      key, Durability::synced, [](const ledger::Moment& moment) { return ledger::remove(moment); });
}

Result<std::vector<Result<ReserveAnswer>>> Store::reserve_many(
    std::span<const ReserveRequest> requests, Durability durability) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  for (const ReserveRequest& request : requests) {
    if (auto checked = request.key.validate(); !checked) return pass(checked);
    if (auto checked = check_options(request.options); !checked) return pass(checked);
  }
  std::vector<Result<ledger::ReserveDecision>> decided(requests.size());
  std::vector<engine::Update> updates;
  updates.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    updates.push_back({.key = requests[i].key, .transition = [&, i](const engine::Current& now) {
                         auto decision = ledger::reserve(impl_->moment(requests[i].key, now),
                                                         requests[i].options);
                         decided[i] = std::move(decision.answer);
                         return std::move(decision.change);
                       }});
  }
  if (auto updated = impl_->engine->update_many(updates, durability); !updated) {
    return pass(updated);
  }
  std::vector<Result<ReserveAnswer>> answers;
  answers.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!decided[i]) {
      answers.push_back(std::unexpected(decided[i].error()));
    } else if (auto* reservation = std::get_if<Reservation>(&*decided[i])) {
      answers.push_back(ReserveAnswer(std::move(*reservation)));
    } else {
      ReserveOptions alone = requests[i].options;
      alone.durability = durability;
      answers.push_back(impl_->try_reserve(requests[i].key, alone));
    }
    impl_->count(answers.back());
  }
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
  for (const CompleteRequest& request : requests) impl_->waiters.notify(request.reservation.key);
  return answers;
}

}  // namespace once
