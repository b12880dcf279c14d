// Coordinator: what is checked, who is registered, and who may drive a transaction.
#include "once/coordinator.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/saturating.h"
#include "ledger/transitions.h"
#include "once/execute.h"
#include "store/limit_checks.h"
#include "store/store_impl.h"
#include "transaction/drive.h"
#include "transaction/self_recovery.h"
#include "transaction/transaction_log.h"

namespace once {

using transaction::Drive;
using transaction::Log;
using transaction::Participants;
using transaction::Plan;

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

class Coordinator::Impl {
 public:
  Impl(Store& store, Store::Impl& inside, CoordinatorOptions chosen)
      : store_(store),
        inside_(inside),
        options_(std::move(chosen)),
        recoverer_(inside, options_,
                   {.find = [this] { return find_unfinished(); },
                    .go_on = [this](const Key& key) { return recover_by_itself(key); }}) {
    brief_.settle_timeout = Duration(0);
    brief_.stop = recoverer_.stop();
  }

  [[nodiscard]] Result<void> check_process() const { return inside_.check_process(); }
  [[nodiscard]] std::stop_token stop() const { return options_.stop; }
  Result<void> add(Participant participant);
  Result<TransactionReport> run(const Key& key, std::span<const Part> parts);
  Result<TransactionReport> recover(const Key& key) { return recover(key, options_); }
  Result<RecoveryReport> recover_all(std::string_view prefix);
  // Begins to recover by itself.
  Result<void> begin();
  Result<std::optional<TransactionReport>> report(const Key& key);

  // For the functions that need no coordinator.
  [[nodiscard]] static Store::Impl& inside(Store& store) { return *store.impl_; }

 private:
  using Started = std::variant<Reservation, Replay>;

  [[nodiscard]] Result<void> check_options() const;
  [[nodiscard]] Result<Plan> plan_of(const Key& key, std::span<const Part> parts);
  // Those that `plan` names. Errors: invalid_argument.
  [[nodiscard]] Result<Participants> participants_of(const Key& key, const Plan& plan);
  // Reserves the key and writes the plan and the nonce of `log` in the same commit, unless there is
  // a plan already.
  Result<Started> start(const Key& key, const Log& log, Duration wait);
  Result<Started> try_start(const Key& key, const ReserveOptions& request, const Log& log);
  // As `options` say of times and stops.
  Result<TransactionReport> drive(const Reservation& reservation, bool fresh, Log log,
                                  const CoordinatorOptions& options);
  Result<TransactionReport> drive_on(const Reservation& reservation, const Plan& plan,
                                     const CoordinatorOptions& options);
  Result<TransactionReport> take_and_drive(const Key& key, const Plan& plan, Duration wait,
                                           const CoordinatorOptions& options);
  Result<TransactionReport> recover(const Key& key, const CoordinatorOptions& options);
  Result<std::optional<TransactionReport>> replayed(const Key& key);
  Result<std::optional<Log>> log_of(const Key& key);
  // The keys under `prefix` that are not finished. What cannot be read is told in `unreadable`.
  Result<std::vector<Key>> unfinished(std::string_view prefix, std::vector<Error>& unreadable);
  void observe(bool before, const Key& key) const;

  // What the coordinator does without being told to.
  Result<std::vector<Key>> find_unfinished();
  bool recover_by_itself(const Key& key);

  Store& store_;
  Store::Impl& inside_;
  const CoordinatorOptions options_;
  CoordinatorOptions brief_ = options_;  // each participant is called once
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Participant>, std::less<>> participants_
      ONCE_GUARDED_BY(mutex_);
  transaction::SelfRecoverer recoverer_;  // last: its thread uses all of the others
};

namespace {

bool is_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= max_participant_name_bytes &&
         std::ranges::all_of(name, allowed);
}

std::unexpected<Error> no_transaction(const Key& key) {
  return fail(ErrorCode::not_found, "there is no transaction {}; nothing to recover",
              key.to_string());
}

// A prefix of a written key as Key::to_string() spells it. An escape that is not whole yet ("%4")
// is left as it is.
Result<std::string> spelled(std::string_view prefix) {
  const std::size_t percent = prefix.rfind('%');
  const bool whole = percent == std::string_view::npos || prefix.size() - percent >= 3;
  const std::string_view tail = whole ? std::string_view() : prefix.substr(percent);
  prefix.remove_suffix(tail.size());
  std::string text;
  while (true) {
    const std::size_t slash = prefix.find('/');
    auto part = unescape(prefix.substr(0, slash));
    if (!part) return pass(part);
    text += escape(*part);
    if (slash == std::string_view::npos) return text.append(tail);
    text += '/';
    prefix.remove_prefix(slash + 1);
  }
}

std::unexpected<Error> threw(const Key& key) {
  return fail(ErrorCode::unknown,
              "somebody who was called while transaction {} was recovered threw an exception; "
              "recover it again",
              key.to_string());
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

Result<TransactionReport> Coordinator::Impl::recover(const Key& asked,
                                                     const CoordinatorOptions& options) {
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Key key = asked;
  if (auto checked = check_options(); !checked) return pass(checked);
  auto found = report(key);
  if (!found) return pass(found);
  if (!*found) return no_transaction(key);
  if ((*found)->finished()) {
    (*found)->replayed = true;
    return std::move(**found);
  }
  auto log = log_of(key);
  if (!log) return pass(log);
  if (!*log) return no_transaction(key);
  // Before it is taken over: nothing may change when somebody is missing.
  if (auto known = participants_of(key, (*log)->plan); !known) return pass(known);
  return take_and_drive(key, (*log)->plan, Duration(0), options);
}

Result<std::vector<Key>> Coordinator::Impl::unfinished(std::string_view prefix,
                                                       std::vector<Error>& unreadable) {
  std::vector<Key> keys;
  auto scanned = store_.scan({.prefix = Bytes(prefix), .status = std::nullopt},
                             [&](const Key& key, const Record& record) {
                               if (!is_finished(record.status)) keys.push_back(key);
                               return true;
                             });
  if (scanned) return keys;
  // It ends at the first record that cannot be read, and the others are not to wait for that one:
  // all are looked at, since it cannot be told under which prefix it is.
  auto text = spelled(prefix);
  if (!text) return pass(scanned);
  auto in_use = inside_.use();
  if (!in_use) return pass(in_use);
  keys.clear();
  scanned = inside_.engine->rows({.table = Table::keys}, [&](const Result<Row>& row) {
    if (!row) {
      unreadable.push_back(row.error());
      return true;
    }
    const auto& [key, record] = std::get<KeyRow>(*row);
    if (!is_finished(record.status) && key.to_string().starts_with(*text)) keys.push_back(key);
    return true;
  });
  if (!scanned) return pass(scanned);
  return keys;
}

Result<RecoveryReport> Coordinator::Impl::recover_all(std::string_view prefix) {
  if (auto checked = check_options(); !checked) return pass(checked);
  RecoveryReport all;
  auto keys = unfinished(prefix, all.unreadable);
  if (!keys) return pass(keys);
  std::exception_ptr thrown;  // the first
  for (const Key& key : *keys) {
    auto log = log_of(key);
    if (log && !*log) continue;
    Result<TransactionReport> recovered;
    try {
      recovered = log ? recover(key) : pass(log);
    } catch (...) {
      // The others are not to wait for one whose participant throws each time.
      if (!thrown) thrown = std::current_exception();
      recovered = threw(key);
    }
    if (recovered) {
      (recovered->finished() ? all.finished : all.pending).push_back(std::move(*recovered));
    } else if (recovered.error().code == ErrorCode::busy) {
      all.busy.push_back(key);
    } else {
      all.failed.emplace_back(key, std::move(recovered.error()));
    }
  }
  for (const TransactionReport& report : all.pending) recoverer_.leave(report.key);
  for (const Key& key : all.busy) recoverer_.leave(key);
  for (const auto& [key, error] : all.failed) recoverer_.leave(key);
  if (options_.self_recovery_prefix.starts_with(prefix)) recoverer_.was_found();
  if (thrown) std::rethrow_exception(thrown);
  return all;
}

Result<void> Coordinator::Impl::begin() {
  if (auto checked = check_options(); !checked) return checked;
  return recoverer_.begin(nullptr);
}

Result<std::vector<Key>> Coordinator::Impl::find_unfinished() {
  std::vector<Error> unreadable;
  return unfinished(options_.self_recovery_prefix, unreadable);
}

bool Coordinator::Impl::recover_by_itself(const Key& key) {
  Result<TransactionReport> done;
  try {
    done = recover(key, brief_);
  } catch (...) {
    done = threw(key);
  }
  // Of other keys nothing is told, nor of what somebody else has finished, or is at.
  if (!done && done.error().code == ErrorCode::not_found) return true;
  if (!done && done.error().code == ErrorCode::busy) return false;
  if (done && done->replayed) return true;
  if (options_.recovered) options_.recovered(key, done);
  return done && done->finished();
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
