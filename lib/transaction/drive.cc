#include "transaction/drive.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"
#include "base/utf8.h"
#include "ledger/transitions.h"
#include "store/limit_checks.h"

namespace once::transaction {
namespace {

// What is kept of a message that says why somebody refused.
constexpr std::size_t max_kept_message = 1024;
constexpr const char* reason_of_presumed_abort = "its coordinator ended before it was decided";

bool holds_nothing(const Error& error) {
  return error.code == ErrorCode::work_failed || error.code == ErrorCode::work_not_started;
}

bool may_be_asked_again(const Error& error) {
  return error.code == ErrorCode::work_retryable || error.code == ErrorCode::busy;
}

std::string message_of(const Error& error) {
  std::string text = error.failure_code.empty()
                         ? error.message
                         : fmt::format("{}: {}", error.failure_code, error.message);
  return std::string(cut_utf8(text, max_kept_message));
}

const std::function<Result<void>(const ParticipantCall&)>& settling(const Participant& participant,
                                                                    Ask ask) {
  return ask == Ask::commit ? participant.commit : participant.abort;
}

}  // namespace

Key part_key(const Key& transaction, std::string_view participant) {
  Key key = transaction;
  key.id += '-';
  key.id += participant;
  return key;
}

void give_back(Store::Impl& store, const Reservation& reservation) {
  // Whoever is told of an error by now hears nothing of this one: the lease lapses by itself.
  (void)store.transition<Reservation>(
      reservation.key, Durability::buffered, [&](const ledger::Moment& moment) {
        return ledger::renew(moment, reservation.token, Duration(0));
      });
}

Drive::Drive(Store::Impl& store, const CoordinatorOptions& options, Participants participants,
             Reservation reservation, Log log)
    : store_(store),
      options_(options),
      participants_(std::move(participants)),
      reservation_(std::move(reservation)),
      log_(std::move(log)),
      asked_(participants_.size(), false) {}

Drive::~Drive() {
  over_->store(true);
  beat_.reset();
  if (!finished_) give_back(store_, reservation_);
}

const std::string& Drive::name(std::size_t part) const {
  return log_.plan[part].participant;
}

Duration Drive::deadline_after(Duration time) const {
  return after(store_.clock->since_boot(), time);
}

void Drive::observe(bool before, std::string_view what, std::string_view participant) const {
  if (!options_.observer) return;
  options_.observer({.transaction = reservation_.key,
                     .before = before,
                     .what = what,
                     .participant = participant});
}

Result<void> Drive::start_beat() {
  if (!options_.heartbeat) return {};
  beat_ = store_.heartbeat.start(options_.lease / 3, [store = &store_, reservation = reservation_,
                                                      over = over_, lease = options_.lease] {
    auto renewed = store->transition<Reservation>(
        reservation.key, Durability::buffered,
        [&](const ledger::Moment& moment) -> ledger::Decision<Reservation> {
          // Asked under the key's lock, so that it cannot come behind give_back().
          if (over->load()) return {.answer = fail(ErrorCode::closed, "the drive is over")};
          return ledger::renew(moment, reservation.token, lease);
        });
    return renewed ||
           (renewed.error().code != ErrorCode::fenced && renewed.error().code != ErrorCode::closed);
  });
  if (beat_) return {};
  return fail(ErrorCode::io,
              "transaction {}: no thread could be started to renew its lease; it is left to "
              "recover(), when the system has threads to spare",
              reservation_.key.to_string());
}

Result<void> Drive::run(bool fresh) {
  const std::stop_callback wake(options_.stop, [this] { store_.waiters.notify(reservation_.key); });
  if (auto started = start_beat(); !started) return started;
  if (fresh) {
    if (auto asked = ask_all(); !asked) return asked;
  } else {
    presume_asked();
  }
  if (!log_.decision) {
    auto decided = decide({.commit = fresh, .reason = fresh ? "" : reason_of_presumed_abort});
    if (!decided) return decided;
  }
  if (auto settled = settle(); !settled) return settled;
  if (unsettled().empty()) {
    if (auto finished = finish(); !finished) return finished;
  }
  if (thrown_) std::rethrow_exception(thrown_);
  return {};
}

TransactionReport Drive::report() const {
  Record record;
  record.token = reservation_.token;
  if (finished_) record.status = log_.decision->commit ? Status::completed : Status::failed;
  return report_of(reservation_.key, record, std::nullopt, log_);
}

Drive::Called Drive::call(std::size_t part, Ask ask, std::uint32_t attempt, Duration deadline) {
  const Participant& participant = *participants_[part];
  const ParticipantCall call{
      .transaction = reservation_.key,
      .participant = participant.name,
      .ask = ask,
      .key = part_key(reservation_.key, participant.name),
      .token = reservation_.token,
      .nonce = log_.nonce,
      .payload = log_.plan[part].payload,
      .vote = log_.progress[part].vote,
      .attempt = attempt,
      .time_left = std::max(deadline - store_.clock->since_boot(), Duration(0))};
  observe(true, to_string(ask), participant.name);
  Called called;
  try {
    if (ask == Ask::prepare) {
      called.answer = participant.prepare(call);
    } else if (const auto& tell = settling(participant, ask)) {
      if (auto told = tell(call); !told) called.answer = pass(told);
    }
  } catch (...) {
    if (!thrown_) thrown_ = std::current_exception();
    ++throws_;
    called.threw = true;
    called.answer = fail(ErrorCode::work_unknown, "it threw an exception");
  }
  observe(false, to_string(ask), participant.name);
  return called;
}

Result<void> Drive::save(Checkpoint checkpoint, Durability durability, std::string_view what,
                         std::string_view participant) {
  observe(true, what, participant);
  auto saved = store_.transition<std::monostate>(
      reservation_.key, durability, [&](const ledger::Moment& moment) {
        return ledger::save_checkpoint(moment, reservation_.token, checkpoint);
      });
  if (!saved) return pass(saved);
  observe(false, what, participant);
  return {};
}

Result<void> Drive::ask_all() {
  const Duration deadline = deadline_after(options_.prepare_timeout);
  for (std::size_t part = 0; part < participants_.size(); ++part) {
    asked_[part] = true;
    for (std::uint32_t attempt = 1;; ++attempt) {
      const Called called = call(part, Ask::prepare, attempt, deadline);
      const bool late = store_.clock->since_boot() >= deadline;
      if (called.answer && !late) {
        const Bytes& vote = *called.answer;
        if (auto fits = check_checkpoint(name(part), vote, store_.options); !fits) {
          return decide({.commit = false,
                         .reason = fmt::format("the vote of {} cannot be kept: {}", name(part),
                                               fits.error().message)});
        }
        if (auto kept = keep_vote(part, vote); !kept) return kept;
        break;
      }
      if (called.answer) {
        return decide({.commit = false,
                       .reason = fmt::format("the vote of {} came after prepare_timeout, {} ms",
                                             name(part), options_.prepare_timeout.count())});
      }
      if (may_be_asked_again(called.answer.error()) && !called.threw && !late) {
        pause(attempt, deadline);
        if (store_.clock->since_boot() < deadline && !options_.stop.stop_requested()) continue;
      }
      if (holds_nothing(called.answer.error())) asked_[part] = false;
      return decide({.commit = false,
                     .reason = fmt::format("{} voted no: {}", name(part),
                                           message_of(called.answer.error()))});
    }
  }
  return {};
}

Result<void> Drive::keep_vote(std::size_t part, const Bytes& vote) {
  // The last one needs no sync of its own: the decision's comes next, or everybody is aborted.
  const bool sync = participants_[part]->saga && part + 1 < participants_.size();
  auto saved = save(vote_entry(name(part), vote), sync ? Durability::synced : Durability::buffered,
                    "vote", name(part));
  if (saved) log_.progress[part].vote = vote;
  return saved;
}

Result<void> Drive::decide(Decided decided) {
  // Abort is what is presumed without a decision on disk: only the reason could be lost.
  const Durability durability = decided.commit ? Durability::synced : Durability::buffered;
  auto saved = save(decision_entry(decided), durability, "decision", {});
  if (saved) log_.decision = std::move(decided);
  return saved;
}

void Drive::presume_asked() {
  for (std::size_t part = 0; part < participants_.size(); ++part) {
    asked_[part] = true;
    // Its vote would have been synced before the next was asked.
    if (participants_[part]->saga && !log_.progress[part].vote) break;
  }
}

std::vector<std::size_t> Drive::unsettled() const {
  std::vector<std::size_t> parts;
  for (std::size_t part = 0; part < participants_.size(); ++part) {
    if (log_.progress[part].settled) continue;
    if (log_.decision->commit || asked_[part]) parts.push_back(part);
  }
  if (!log_.decision->commit) std::ranges::reverse(parts);
  return parts;
}

Result<void> Drive::settle() {
  const Duration deadline = deadline_after(options_.settle_timeout);
  for (std::uint32_t attempt = 1;; ++attempt) {
    const int throws_before = throws_;
    for (const std::size_t part : unsettled()) {
      if (auto told = settle_one(part, attempt, deadline); !told) return told;
    }
    const bool over = throws_ != throws_before || store_.clock->since_boot() >= deadline;
    if (over || options_.stop.stop_requested() || store_.closed || unsettled().empty()) return {};
    pause(attempt, deadline);
  }
}

Result<void> Drive::settle_one(std::size_t part, std::uint32_t attempt, Duration deadline) {
  const Ask ask = log_.decision->commit ? Ask::commit : Ask::abort;
  const Called called = call(part, ask, attempt, deadline);
  Progress& progress = log_.progress[part];
  if (called.answer) {
    auto saved = save(settled_entry(name(part)), Durability::buffered, "settled", name(part));
    if (saved) progress.settled = true;
    return saved;
  }
  Trouble trouble = progress.trouble;
  trouble.failures = trouble.failures + 1 == 0 ? trouble.failures : trouble.failures + 1;
  trouble.message = message_of(called.answer.error());
  auto saved =
      save(trouble_entry(name(part), trouble), Durability::buffered, "trouble", name(part));
  if (saved) progress.trouble = std::move(trouble);
  return saved;
}

Result<void> Drive::finish() {
  const Outcome outcome = log_.decision->commit
                              ? Outcome::success("committed")
                              : Outcome::failure(std::string(aborted_code), log_.decision->reason);
  observe(true, "outcome", {});
  auto finished = store_.transition<Provenance>(
      reservation_.key, Durability::synced, [&](const ledger::Moment& moment) {
        return ledger::finish(moment, reservation_.token, outcome, options_.retention);
      });
  if (!finished) return pass(finished);
  finished_ = true;
  observe(false, "outcome", {});
  return {};
}

void Drive::pause(std::uint32_t attempt, Duration deadline) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const double longest = static_cast<double>(options_.longest_pause.count());
  const double whole =
      std::min(longest, static_cast<double>(options_.first_pause.count()) *
                            std::pow(options_.pause_factor, std::min(attempt - 1, 1000U)));
  const double length = whole * std::uniform_real_distribution<double>(0.5, 1)(random);
  const Duration until = std::min(deadline, after(store_.clock->since_boot(), duration_of(length)));
  while (true) {
    // Woken by close(), by the stop token, and when somebody else takes the key over, which the
    // next write finds out.
    const std::uint64_t ticket = store_.waiters.ticket(reservation_.key);
    const bool over = store_.clock->since_boot() >= until || store_.closed;
    if (over || options_.stop.stop_requested()) return;
    store_.waiters.wait(reservation_.key, ticket, *store_.clock, until);
  }
}

}  // namespace once::transaction
