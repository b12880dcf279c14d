// Coordinator: what is checked, who is registered, and who may drive a transaction.
#include "transaction/coordinator_impl.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/saturating.h"
#include "ledger/transitions.h"
#include "once/execute.h"
#include "store/limit_checks.h"

namespace once {

using transaction::Drive;
using transaction::Log;
using transaction::Participants;
using transaction::Plan;

namespace {

bool is_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= max_participant_name_bytes &&
         std::ranges::all_of(name, allowed);
}

std::unexpected<Error> other_use(const Key& key) {
  return fail(ErrorCode::mismatch,
              "key {} was used for something else than this transaction; use a new key for it",
              key.to_string());
}

}  // namespace

Result<void> Coordinator::Impl::check_options() const {
  if (options_.lease <= Duration::zero()) {
    return once::fail(ErrorCode::invalid_argument,
                      "a lease of {} ms is none; give one longer than 0", options_.lease.count());
  }
  for (const Duration time : {options_.prepare_timeout, options_.settle_timeout, options_.wait,
                              options_.first_pause, options_.longest_pause}) {
    if (time < Duration::zero()) {
      return once::fail(ErrorCode::invalid_argument,
                        "a timeout or pause of {} ms is less than none", time.count());
    }
  }
  if (!(options_.pause_factor >= 1 && std::isfinite(options_.pause_factor))) {
    return once::fail(ErrorCode::invalid_argument,
                      "a pause_factor of {} makes pauses shorter, or has no end; give 1 or more",
                      options_.pause_factor);
  }
  if (options_.self_recovery < SelfRecovery::none ||
      options_.self_recovery > SelfRecovery::background) {
    return once::fail(ErrorCode::invalid_argument, "self_recovery is none of its three values");
  }
  if (options_.recovery_interval <= Duration::zero()) {
    return once::fail(ErrorCode::invalid_argument,
                      "a recovery_interval of {} ms is none; give one longer than 0",
                      options_.recovery_interval.count());
  }
  if (auto text = spelled(options_.self_recovery_prefix); !text) return pass(text);
  return check_retention(options_.retention);
}

Result<void> Coordinator::Impl::add(Participant participant) {
  if (auto checked = check_options(); !checked) return checked;
  if (participant.wrong) return std::unexpected(*participant.wrong);
  const std::string name = participant.name;
  if (!is_name(name)) {
    return once::fail(ErrorCode::invalid_argument,
                      "\"{}\" cannot be the name of a participant; give 1 to {} letters, digits, "
                      "'_' and '.'",
                      escape(name.substr(0, 2 * max_participant_name_bytes)),
                      max_participant_name_bytes);
  }
  const bool whole =
      participant.prepare && participant.abort && (participant.commit || participant.saga);
  if (!whole) {
    return once::fail(ErrorCode::invalid_argument,
                      "participant {} misses one of prepare, commit and abort", name);
  }
  MutexLock lock(mutex_);
  const bool added =
      participants_.try_emplace(name, std::make_shared<const Participant>(std::move(participant)))
          .second;
  if (added) return {};
  return once::fail(ErrorCode::invalid_argument, "there is a participant {} already", name);
}

Result<Plan> Coordinator::Impl::plan_of(const Key& key, std::span<const Part> parts) {
  if (auto valid = key.validate(); !valid) return pass(valid);
  if (parts.empty()) {
    return once::fail(ErrorCode::invalid_argument,
                      "transaction {} has no parts; name at least one participant",
                      key.to_string());
  }
  if (parts.size() > max_participants) {
    return once::fail(ErrorCode::limit_exceeded, "transaction {} has {} parts, and {} are allowed",
                      key.to_string(), parts.size(), max_participants);
  }
  Plan plan;
  std::set<std::string_view> names;
  MutexLock lock(mutex_);
  for (const Part& part : parts) {
    if (!names.insert(part.participant).second) {
      return once::fail(ErrorCode::invalid_argument,
                        "transaction {} names participant {} twice; register it under two names, "
                        "or put both into one payload",
                        key.to_string(), part.participant);
    }
    const auto found = participants_.find(part.participant);
    if (found == participants_.end()) {
      return once::fail(ErrorCode::invalid_argument,
                        "transaction {} names participant {}, which is not registered; add() it "
                        "first",
                        key.to_string(), escape(part.participant));
    }
    const ParticipantCall longest{.ask = Ask::prepare,
                                  .key = transaction::part_key(key, part.participant)};
    if (longest.key_of_ask().id.size() > max_id_bytes) {
      return once::fail(ErrorCode::limit_exceeded,
                        "the id of a transaction with participant {} has at most {} bytes, so that "
                        "derived keys fit; this one has {}",
                        part.participant,
                        max_id_bytes - (longest.key_of_ask().id.size() - key.id.size()),
                        key.id.size());
    }
    plan.push_back(
        {.participant = part.participant, .saga = found->second->saga, .payload = part.payload});
  }
  const Checkpoint entry = transaction::plan_entry(plan);
  if (auto fits = check_checkpoint(entry.name, entry.data, inside_.options); !fits) {
    return pass(fits);
  }
  return plan;
}

Result<Participants> Coordinator::Impl::participants_of(const Key& key, const Plan& plan) {
  Participants found;
  MutexLock lock(mutex_);
  for (const transaction::PlannedPart& part : plan) {
    const auto at = participants_.find(part.participant);
    if (at == participants_.end()) {
      return once::fail(ErrorCode::invalid_argument,
                        "transaction {} names participant {}, which is not registered; add() it "
                        "and recover again; until then nothing is done",
                        key.to_string(), part.participant);
    }
    if (at->second->saga != part.saga) {
      return once::fail(ErrorCode::invalid_argument,
                        "transaction {} was started with participant {} as a {}, and it is "
                        "registered as a {}; register it as it was and recover again; until then "
                        "nothing is done",
                        key.to_string(), part.participant,
                        part.saga ? "step of a saga" : "two-phase participant",
                        part.saga ? "two-phase participant" : "step of a saga");
    }
    found.push_back(at->second);
  }
  return found;
}

Result<Coordinator::Impl::Started> Coordinator::Impl::try_start(const Key& key,
                                                                const ReserveOptions& request,
                                                                const Log& log) {
  while (true) {
    auto replay = inside_.try_replay(key, request);
    if (!replay) return pass(replay);
    if (*replay) return Started(std::move(**replay));
    observe(true, key);
    auto decided = inside_.transition<ledger::ReserveDecision>(
        key, Durability::synced, [&](const ledger::Moment& asked) {
          ledger::Moment moment = asked;
          moment.has_plan = nullptr;  // whose plan it is, the coordinator sees
          auto decision = ledger::reserve(moment, request);
          if (decision.answer && decision.change.put && decision.change.put->attempt == 1) {
            for (Checkpoint entry :
                 {transaction::plan_entry(log.plan), transaction::nonce_entry(log.nonce)}) {
              entry.token = decision.change.put->token;
              entry.created_at = moment.now;
              decision.change.checkpoints.push_back(std::move(entry));
            }
          }
          return decision;
        });
    if (!decided) return pass(decided);
    if (auto* reservation = std::get_if<Reservation>(&*decided)) {
      try {
        observe(false, key);
      } catch (...) {
        transaction::give_back(inside_, *reservation);
        throw;
      }
      return Started(std::move(*reservation));
    }
    // Finished between the two looks: take its outcome.
  }
}

Result<Coordinator::Impl::Started> Coordinator::Impl::start(const Key& key, const Log& log,
                                                            Duration wait) {
  const ReserveOptions request{.lease = options_.lease,
                               .retention = options_.retention,
                               .fingerprint = transaction::fingerprint_of(log.plan),
                               .on_abandon = OnAbandon::rerun};
  const Duration deadline = after(inside_.clock->since_boot(), wait);
  const std::stop_callback wake(options_.stop, [&] { inside_.waiters.notify(key); });
  while (true) {
    const std::uint64_t ticket = inside_.waiters.ticket(key);
    auto started = try_start(key, request, log);
    const bool busy = !started && started.error().code == ErrorCode::busy;
    if (busy && inside_.clock->since_boot() < deadline) {
      if (options_.stop.stop_requested()) return cancelled(key);
      if (inside_.wait_for(key, ticket, deadline)) continue;
    }
    inside_.count(key, started);
    return started;
  }
}

void Coordinator::Impl::observe(bool before, const Key& key) const {
  if (!options_.observer) return;
  options_.observer({.transaction = key, .before = before, .what = "plan", .participant = {}});
}

Result<std::optional<Log>> Coordinator::Impl::log_of(const Key& key) {
  auto checkpoints = store_.load_checkpoints(key);
  if (!checkpoints) return pass(checkpoints);
  return transaction::read_log(key, *checkpoints);
}

Result<TransactionReport> Coordinator::Impl::drive(const Reservation& reservation, bool fresh,
                                                   Log log, const CoordinatorOptions& options) {
  auto participants = participants_of(reservation.key, log.plan);
  if (!participants) return pass(participants);
  Drive drive(inside_, options, std::move(*participants), reservation, std::move(log));
  if (auto driven = drive.run(fresh); !driven) return pass(driven);
  return drive.report();
}

// Goes on with what somebody else left of `plan`.
Result<TransactionReport> Coordinator::Impl::drive_on(const Reservation& reservation,
                                                      const Plan& plan,
                                                      const CoordinatorOptions& options) {
  auto log = log_of(reservation.key);
  if (!log) {
    // There may be a decision in it: not released, so that nothing forgets it or gives it away.
    transaction::give_back(inside_, reservation);
    return pass(log);
  }
  if (*log && (*log)->plan == plan) return drive(reservation, false, std::move(**log), options);
  // Taken over from somebody who does not coordinate, or released by hand and asked for anew.
  (void)store_.release(reservation, "it is no transaction, or one with other parts");
  return other_use(reservation.key);
}

// A finished one. nullopt: its retention ended just now.
Result<std::optional<TransactionReport>> Coordinator::Impl::replayed(const Key& key) {
  auto found = report(key);
  if (!found) return found;
  if (*found) {
    (*found)->replayed = true;
    return found;
  }
  auto record = store_.find(key);
  if (!record) return pass(record);
  if (*record) return other_use(key);
  return std::nullopt;
}

Result<TransactionReport> Coordinator::Impl::run(const Key& asked, std::span<const Part> parts) {
  // A copy: participants may change what the caller's key was made of.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Key key = asked;
  if (auto checked = check_options(); !checked) return pass(checked);
  auto plan = plan_of(key, parts);
  if (!plan) return pass(plan);
  // What cannot be recovered now keeps no other transaction.
  (void)recoverer_.begin(&key);
  Result<TransactionReport> done;
  try {
    done = take_and_drive(key, *plan, options_.wait, options_);
  } catch (...) {
    recoverer_.leave(key);
    throw;
  }
  if (!done || !done->finished()) recoverer_.leave(key);
  return done;
}

Result<TransactionReport> Coordinator::Impl::take_and_drive(const Key& key, const Plan& plan,
                                                            Duration wait,
                                                            const CoordinatorOptions& options) {
  const auto nonce = random_id();
  Log log{.plan = plan, .nonce = Bytes(nonce.begin(), nonce.end()), .decision = {}, .progress = {}};
  log.progress.resize(plan.size());
  while (true) {
    auto started = start(key, log, wait);
    if (!started) return pass(started);
    if (const auto* reservation = std::get_if<Reservation>(&*started)) {
      if (reservation->attempt != 1) return drive_on(*reservation, plan, options);
      return drive(*reservation, true, std::move(log), options);
    }
    auto finished = replayed(key);
    if (!finished) return pass(finished);
    if (*finished) return std::move(**finished);
  }
}

Result<std::optional<TransactionReport>> Coordinator::Impl::report(const Key& key) {
  return find_transaction(store_, key);
}

Coordinator::Coordinator(Store& store, CoordinatorOptions options)
    : impl_(std::make_unique<Impl>(store, *store.impl_, std::move(options))) {}
Coordinator::Coordinator(Coordinator&&) noexcept = default;
Coordinator& Coordinator::operator=(Coordinator&&) noexcept = default;
Coordinator::~Coordinator() {
  if (impl_ && !impl_->check_process()) (void)impl_.release();  // the parent's; see Store::let_go()
}

Result<Coordinator> Coordinator::open(Store& store, std::vector<Participant> participants,
                                      CoordinatorOptions options) {
  Coordinator coordinator(store, std::move(options));
  for (Participant& participant : participants) {
    if (auto added = coordinator.add(std::move(participant)); !added) return pass(added);
  }
  if (auto begun = coordinator.impl_->begin(); !begun) return pass(begun);
  return coordinator;
}

Result<void> Coordinator::add(Participant participant) {
  return impl_->add(std::move(participant));
}

Result<TransactionReport> Coordinator::run(const Key& key, std::span<const Part> parts) {
  return impl_->run(key, parts);
}

std::future<Result<TransactionReport>> Coordinator::run_async(Executor& executor, Key key,
                                                              std::vector<Part> parts) {
  std::string of = key.to_string();
  return executor.call_async(
      std::move(of),
      [this, key = std::move(key), parts = std::move(parts)] { return run(key, parts); },
      impl_->stop());
}

Result<TransactionReport> Coordinator::recover(const Key& key) {
  return impl_->recover(key);
}

Result<RecoveryReport> Coordinator::recover_all(std::string_view prefix) {
  return impl_->recover_all(prefix);
}

Result<std::optional<TransactionReport>> Coordinator::report(const Key& key) {
  return impl_->report(key);
}

}  // namespace once
