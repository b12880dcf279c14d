// execute_many(): many keys with one call of the work and two commits.
//
// Goes in rounds. A round reserves what is left in one commit, runs the work for what was granted,
// and keeps what came of it in another. What somebody else holds, and what is named twice, is left
// for the next round.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "execute/executor_impl.h"
#include "store/limit_checks.h"

namespace once {

// One call of execute_many(). Used by one thread.
class Executor::Impl::Batch {
 public:
  Batch(Impl& executor, std::span<const Key> keys, const ManyWork& work, const ExecuteOptions& call)
      : executor_(executor),
        inner_(executor.inside()),
        keys_(keys.begin(), keys.end()),
        work_(work),
        call_(call),
        answers_(keys.size()),
        may_repeat_(keys.size()),
        rerun_(keys.size()) {}

  Result<std::vector<Result<Store::Answer>>> run();

 private:
  // What one round has found out, besides answers.
  struct Round {
    std::vector<std::size_t> granted{};
    std::vector<Reservation> reservations{};  // of these
    std::vector<std::pair<std::size_t, Replay>> replays{};
    std::vector<std::pair<std::size_t, Error>> doubts{};
    std::vector<std::pair<std::size_t, Error>> busy{};
    bool look_again = false;  // something has changed: no need to wait
  };

  [[nodiscard]] std::vector<std::size_t> left() const;
  // Asks is_safe_to_retry about what is left.
  Result<void> ask();
  // One commit that reserves what it can.
  Result<void> reserve(Round& round);
  // In its place on a store that was opened to read: what is finished is replayed, and each key
  // that something would have to be written for has the error of that.
  void only_look(const ReserveOptions& asked, Round& round);
  // Of what is not finished.
  void sort(std::size_t i, Result<ledger::ReserveDecision>&& decision, Round& round);
  // Takes an answer that was there already. False: there is none.
  bool take_replay(std::size_t i, Result<std::optional<Replay>>&& replay, Round& round);
  // Runs the work for what was granted.
  Result<void> carry_out(const Round& round);
  // One commit that ends the reservations as `outcomes` say; with `thrown` as that says.
  Result<void> keep(const Round& round, std::vector<Result<Outcome>>&& outcomes, bool begun,
                    const std::exception_ptr& thrown);
  Result<void> answer_others(Round& round);
  // Until one of the keys that are held changes, or it is worth to look at one of them again. False
  // when the time is over or the call is cancelled; the keys have the answers then.
  [[nodiscard]] bool wait(const Round& round, std::span<const std::uint64_t> tickets);
  [[nodiscard]] bool wait_for_any(const Round& round, std::span<const std::uint64_t> tickets);

  Impl& executor_;
  Store::Impl& inner_;
  const std::vector<Key> keys_;
  const ManyWork& work_;
  const ExecuteOptions& call_;
  const Duration deadline_ = executor_.deadline_of(call_);

  std::vector<std::optional<Result<Store::Answer>>> answers_;
  std::vector<std::optional<Token>> may_repeat_;  // what the hook has agreed to
  std::vector<std::optional<Token>> rerun_;       // what the resolver has said
  bool told_wait_ = false;
};

std::vector<std::size_t> Executor::Impl::Batch::left() const {
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (!answers_[i]) left.push_back(i);
  }
  return left;
}

Result<void> Executor::Impl::Batch::ask() {
  if (!executor_.options.is_safe_to_retry) return {};
  for (const std::size_t i : left()) {
    auto found = executor_.store.find(keys_[i]);
    if (!found) return pass(found);
    if (!*found || !inner_.would_repeat((*found)->record)) continue;
    auto may = executor_.may_repeat(keys_[i], **found, rerun_[i]);
    if (may) {
      may_repeat_[i] = (*found)->record.token;
    } else {
      answers_[i] = pass(may);
    }
  }
  return {};
}

Result<void> Executor::Impl::Batch::reserve(Round& round) {
  auto in_use = inner_.use();
  if (!in_use) return pass(in_use);
  const ReserveOptions asked = reserve_options(call_);
  if (inner_.options.read_only) {
    only_look(asked, round);
    return {};
  }
  std::vector<std::size_t> indices;
  std::vector<ReserveRequest> requests;
  for (const std::size_t i : left()) {
    if (take_replay(i, inner_.try_replay_from_memory(keys_[i], asked), round)) continue;
    indices.push_back(i);
    requests.push_back({.key = keys_[i], .options = asked});
  }
  std::vector<const ReserveRequest*> asks;
  asks.reserve(requests.size());
  for (const ReserveRequest& request : requests) asks.push_back(&request);
  // As in Store::Impl::try_reserve(): nothing is repeated that the hook was not asked about.
  std::vector<bool> vetoed(indices.size());
  const auto veto = [&](std::size_t at, const Result<ledger::ReserveDecision>& decision,
                        const std::optional<Record>& record) {
    if (!executor_.options.is_safe_to_retry || !decision) return false;
    const auto* granted = std::get_if<Reservation>(&*decision);
    vetoed[at] =
        granted != nullptr && granted->attempt > 1 && may_repeat_[indices[at]] != record->token;
    return static_cast<bool>(vetoed[at]);
  };
  auto decided = inner_.decide_many(asks, call_.durability, veto);
  if (!decided) return pass(decided);
  std::vector<std::size_t> finished;
  std::vector<const ReserveRequest*> finished_asks;
  for (std::size_t at = 0; at < indices.size(); ++at) {
    const auto& decision = (*decided)[at];
    if (vetoed[at]) {
      round.look_again = true;
    } else if (decision && !std::holds_alternative<Reservation>(*decision)) {
      finished.push_back(indices[at]);
      finished_asks.push_back(asks[at]);
    } else {
      sort(indices[at], std::move((*decided)[at]), round);
    }
  }
  auto replays = inner_.try_replay_many(finished_asks);
  for (std::size_t at = 0; at < finished.size(); ++at) {
    // If there is none, it is not finished any more.
    round.look_again |= !take_replay(finished[at], std::move(replays[at]), round);
  }
  return {};
}

void Executor::Impl::Batch::only_look(const ReserveOptions& asked, Round& round) {
  for (const std::size_t i : left()) {
    auto answer = inner_.try_reserve(keys_[i], asked);
    if (auto* replay = answer ? std::get_if<Replay>(&*answer) : nullptr) {
      (void)take_replay(i, std::optional(std::move(*replay)), round);
    } else if (!answer) {
      inner_.count(keys_[i], answer.error());
      answers_[i] = pass(answer);
    }
  }
}

void Executor::Impl::Batch::sort(std::size_t i, Result<ledger::ReserveDecision>&& decision,
                                 Round& round) {
  if (!decision) {
    Error error = std::move(decision.error());
    if (error.code == ErrorCode::busy) {
      round.busy.emplace_back(i, std::move(error));
    } else if (error.code == ErrorCode::in_doubt && executor_.options.resolver) {
      round.doubts.emplace_back(i, std::move(error));
    } else {
      inner_.count(keys_[i], error);
      answers_[i] = std::unexpected(std::move(error));
    }
    return;
  }
  inner_.meters.count(keys_[i], metrics::Counted::executions);
  round.granted.push_back(i);
  round.reservations.push_back(std::get<Reservation>(std::move(*decision)));
}

bool Executor::Impl::Batch::take_replay(std::size_t i, Result<std::optional<Replay>>&& replay,
                                        Round& round) {
  if (!replay) {
    answers_[i] = pass(replay);
    return true;
  }
  if (!*replay) return false;
  inner_.meters.count(keys_[i], metrics::Counted::replays);
  round.replays.emplace_back(i, std::move(**replay));
  return true;
}

Result<void> Executor::Impl::Batch::carry_out(const Round& round) {
  if (round.granted.empty()) return {};
  bool begun = false;
  std::vector<Result<Outcome>> outcomes;
  {
    std::vector<std::unique_ptr<ledger::Heartbeat::Beat>> beats;
    for (const Reservation& reservation : round.reservations) {
      if (!call_.heartbeat) break;
      beats.push_back(inner_.keep_renewed(reservation));
      if (beats.back()) continue;
      const Error error{.code = ErrorCode::work_not_started,
                        .message = "no thread could be started to renew the leases"};
      outcomes.assign(round.granted.size(), std::unexpected(error));
      return keep(round, std::move(outcomes), false, nullptr);
    }
    try {
      for (const Reservation& reservation : round.reservations) executor_.tell_before(reservation);
      begun = true;
      outcomes = work_(round.reservations);
    } catch (...) {
      beats.clear();
      const Error error{.code = ErrorCode::unknown, .message = "the work threw an exception"};
      outcomes.assign(round.granted.size(), std::unexpected(error));
      // The caller hears of its own exception; what could not be left shows on the next try.
      (void)keep(round, std::move(outcomes), begun, std::current_exception());
      throw;
    }
  }
  if (outcomes.size() != round.granted.size()) {
    const Error error{
        .code = ErrorCode::invalid_argument,
        .message = fmt::format("the work was given {} keys and returned {} results; return one for "
                               "each, in their order",
                               round.granted.size(), outcomes.size())};
    outcomes.assign(round.granted.size(), std::unexpected(error));
  }
  return keep(round, std::move(outcomes), true, nullptr);
}

Result<void> Executor::Impl::Batch::keep(const Round& round,
                                         std::vector<Result<Outcome>>&& outcomes, bool begun,
                                         const std::exception_ptr& thrown) {
  std::exception_ptr hook_threw;
  const std::size_t count = round.granted.size();
  std::vector<Leaving> leaving(count);
  std::vector<std::optional<FailureClass>> failures(count);
  for (std::size_t at = 0; at < count; ++at) {
    Result<Outcome>& outcome = outcomes[at];
    if (outcome) {
      if (auto checked = check_outcome(*outcome, inner_.options); !checked) {
        if (outcome->value && outcome->value->size() > inner_.options.max_outcome_bytes) {
          // A tombstone: it was done, and must not be done again.
          leaving[at] = {.outcome = Outcome::success(), .retention = call_.retention};
          leaving[at].outcome->omitted_bytes = outcome->value->size();
          checked.error().code = ErrorCode::outcome_omitted;
          outcome = pass(checked);
          continue;
        }
        outcome = pass(checked);
      }
    }
    if (outcome) {
      leaving[at] = {.outcome = *outcome, .retention = executor_.retention_of(*outcome, call_)};
      continue;
    }
    failures[at] =
        begun ? executor_.classify(outcome.error(), thrown, hook_threw) : FailureClass::not_started;
    leaving[at] = executor_.leaving_of(*failures[at], outcome.error(), thrown, call_);
    leaving[at].reason = std::string(cut_utf8(outcome.error().message, 1024));
  }
  auto kept = inner_.end_many(round.reservations, leaving, call_.durability);
  if (!kept) return pass(kept);
  for (std::size_t at = 0; at < count; ++at) {
    std::optional<Result<Store::Answer>>& answer = answers_[round.granted[at]];
    const Reservation& mine = round.reservations[at];
    if (!(*kept)[at]) {
      answer = pass((*kept)[at]);
    } else if (outcomes[at]) {
      answer = Store::Answer{.outcome = std::move(*outcomes[at]), .provenance = *(*kept)[at]};
      executor_.tell_after(mine.key, **answer);
    } else {
      answer = pass(outcomes[at]);
      if (failures[at] && begun) {
        executor_.tell_failure(mine, answer->error(), *failures[at], thrown != nullptr);
      }
    }
  }
  if (hook_threw && !thrown) std::rethrow_exception(hook_threw);
  return {};
}

Result<void> Executor::Impl::Batch::answer_others(Round& round) {
  for (auto& [i, replay] : round.replays) {
    answers_[i] = executor_.duplicate(keys_[i], std::move(replay), call_.conflict);
  }
  for (const auto& [i, doubt] : round.doubts) {
    auto settled = executor_.settle(keys_[i], doubt, deadline_, call_.stop, rerun_[i]);
    if (settled) {
      round.look_again = true;
    } else {
      answers_[i] = pass(settled);
    }
  }
  return {};
}

// As Store::Impl::wait_for() for each of them.
bool Executor::Impl::Batch::wait_for_any(const Round& round,
                                         std::span<const std::uint64_t> tickets) {
  Duration until = deadline_;
  std::vector<ledger::Waiters::Watched> watched;
  for (const auto& [i, error] : round.busy) {
    Duration look = deadline_;
    if (!inner_.next_look(keys_[i], look)) return false;
    until = std::min(until, look);
    watched.push_back({.key = &keys_[i], .ticket = tickets[i]});
  }
  inner_.waiters.wait_any(watched, *inner_.clock, until);
  return true;
}

bool Executor::Impl::Batch::wait(const Round& round, std::span<const std::uint64_t> tickets) {
  const auto& [first, busy] = round.busy.front();
  const bool stop = call_.stop.stop_requested();
  if (!stop && inner_.clock->since_boot() < deadline_) {
    if (!std::exchange(told_wait_, true)) executor_.tell_wait(keys_[first], busy);
    if (wait_for_any(round, tickets)) return true;
  }
  for (const auto& [i, error] : round.busy) {
    inner_.count(keys_[i], error);
    answers_[i] = stop ? Result<Store::Answer>(cancelled(keys_[i])) : std::unexpected(error);
  }
  return false;
}

Result<std::vector<Result<Store::Answer>>> Executor::Impl::Batch::run() {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (auto valid = keys_[i].validate(); !valid) return pass(valid);
  }
  if (auto checked = executor_.check(call_); !checked) return pass(checked);
  while (true) {
    if (auto asked = ask(); !asked) return pass(asked);
    const std::vector<std::size_t> open = left();
    if (open.empty()) break;
    Round round;
    // All of the tickets, since which of the keys will be waited for shows only then. One notified
    // meanwhile is looked at again at once.
    std::vector<std::uint64_t> tickets(keys_.size());
    for (const std::size_t i : open) tickets[i] = inner_.waiters.ticket(keys_[i]);
    if (auto reserved = reserve(round); !reserved) return pass(reserved);
    if (auto done = carry_out(round); !done) return pass(done);
    if (auto answered = answer_others(round); !answered) return pass(answered);
    if (round.busy.empty() || !round.granted.empty() || round.look_again) continue;
    const std::size_t first = round.busy.front().first;
    const std::stop_callback wake(call_.stop, [&] { inner_.waiters.notify(keys_[first]); });
    if (!wait(round, tickets)) break;
  }
  std::vector<Result<Store::Answer>> answers;
  answers.reserve(answers_.size());
  for (auto& answer : answers_) answers.push_back(std::move(*answer));
  return answers;
}

Result<std::vector<Result<Store::Answer>>> Executor::run_many(std::span<const Key> keys,
                                                              const ManyWork& work,
                                                              const ExecuteOptions& options) {
  return Impl::Batch(*impl_, keys, work, options).run();
}

}  // namespace once
