#include "outbox/relay_impl.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/saturating.h"
#include "base/utf8.h"
#include "outbox/backoff.h"

namespace once {
namespace {

constexpr std::size_t most_error_bytes = 500;

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  for (const std::uint8_t byte : random_id()) seed = (seed << 5) ^ (seed >> 59) ^ byte;
  return seed;
}

// The relays in whose publisher this thread is: it must not wait for itself.
thread_local std::vector<const void*> in_publisher_of;

}  // namespace

Relay::Impl::Impl(Store::Impl& store, std::unique_ptr<Publisher> publisher,
                  const RelayOptions& options)
    : store_(store),
      publisher_(std::move(publisher)),
      options_(options),
      backlog_(options.after_dead_letter),
      random_(options.seed != 0 ? options.seed : random_seed()),
      at_once_(std::min(options.at_once, std::max<std::size_t>(publisher_->at_once(), 1))),
      back_key_("", "once.relay", "back") {
  if (at_once_ == 1) return;
  handover_ = std::make_unique<outbox::Handover>(
      at_once_,
      [this](const Event& event) { return guarded([&] { return publisher_->publish(event); }); },
      [this] { store_.waiters.notify(back_key_); });
}

std::size_t Relay::Impl::size_of(const Event& event) {
  std::size_t bytes = event.payload.size() + event.last_error.size() + 64;
  for (const auto* pairs : {&event.headers, &event.metadata}) {
    for (const auto& [name, value] : *pairs) bytes += name.size() + value.size();
  }
  return bytes;
}

Relay::Impl::~Impl() {
  (void)stop();
}

bool Relay::Impl::stopping() const {
  MutexLock lock(mutex_);
  return stopping_ != 0;
}

bool Relay::Impl::in_publisher() const {
  return std::ranges::find(in_publisher_of, this) != in_publisher_of.end();
}

Result<void> Relay::Impl::start() {
  MutexLock lock(mutex_);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::io,
                "no thread could be started to deliver events ({}); try again when the system has "
                "threads to spare",
                error.what());
  }
  return {};
}

Result<void> Relay::Impl::stop() {
  if (in_publisher()) {
    return fail(ErrorCode::invalid_argument,
                "stop() waits for the publisher and cannot be called from it; have another thread "
                "stop the relay");
  }
  if (auto checked = check_process(); !checked) return checked;
  std::thread thread;
  {
    MutexLock lock(mutex_);
    ++stopping_;
    thread = std::move(thread_);
  }
  store_.waiters.notify(Store::Impl::relay_key());
  if (thread.joinable()) thread.join();
  {
    MutexLock delivering(delivering_);
    // Some are still there when the store gave an error meanwhile.
    if (handover_) handover_->wait_for_all();
    let_go();
  }
  MutexLock lock(mutex_);
  --stopping_;
  return {};
}

void Relay::Impl::run() {
  std::uint32_t failures = 0;  // of the store, one after the other
  while (!stopping()) {
    // Before the look, so that what comes after it is not missed.
    const std::uint64_t ticket = store_.waiters.ticket(Store::Impl::relay_key());
    Result<DeliveryReport> done;
    {
      MutexLock delivering(delivering_);
      done = deliver(0, forever);
    }
    // A store that takes no writes any more, until it is opened again.
    const bool over = !done && (done.error().code == ErrorCode::closed ||
                                done.error().code == ErrorCode::forked ||
                                done.error().code == ErrorCode::poisoned);
    {
      MutexLock lock(mutex_);
      if (!done) status_.error = done.error();
    }
    if (over) return;
    if (!done && done.error().code == ErrorCode::fenced) continue;  // stands by from now on
    failures = done || done.error().code == ErrorCode::busy ? 0 : failures + 1;
    wait(ticket, failures);
  }
}

void Relay::Impl::wait(std::uint64_t ticket, std::uint32_t failures) {
  const Duration now = store_.clock->since_boot();
  Duration deadline = after(now, options_.poll_interval);
  // What cannot be noted as delivered is delivered again each time.
  if (failures != 0) {
    deadline = std::max(deadline, after(now, outbox::delay_after(options_.backoff, failures, 0)));
  }
  {
    MutexLock lock(mutex_);
    if (stopping_ != 0) return;
    if (failures == 0 && next_due_) {
      deadline = std::min(deadline, store_.engine->since_boot_at(*next_due_));
    }
  }
  store_.waiters.wait(Store::Impl::relay_key(), ticket, *store_.clock, deadline);
}

Result<DeliveryReport> Relay::Impl::deliver_now(std::uint64_t most, Duration longest) {
  if (in_publisher()) {
    return fail(ErrorCode::invalid_argument,
                "deliver_now() was called from the publisher, which it would wait for");
  }
  if (auto checked = check_process(); !checked) return pass(checked);
  MutexLock delivering(delivering_);
  auto done = deliver(most, longest);
  bool has_thread = false;
  {
    MutexLock lock(mutex_);
    has_thread = thread_.joinable();
  }
  if (!has_thread) let_go();
  return done;
}

Result<DeliveryReport> Relay::Impl::deliver(std::uint64_t most, Duration longest) {
  if (auto acquired = acquire(); !acquired) return pass(acquired);
  auto done = handover_ ? deliver_at_once(most, longest) : deliver_in_turn(most, longest);
  if (done) return done;
  // The backlog may be ahead of the store.
  known_ = false;
  if (done.error().code == ErrorCode::fenced) let_go();
  return done;
}

Result<DeliveryReport> Relay::Impl::deliver_in_turn(std::uint64_t most, Duration longest) {
  DeliveryReport report;
  // Counts from when it has seen what there is, so that a long backlog gets on all the same.
  std::optional<Duration> end;
  while (!stopping()) {
    if (end && store_.clock->since_boot() >= *end) break;
    auto fresh = refresh();
    if (!end) end = after(store_.clock->since_boot(), longest);
    auto done = fresh ? deliver_batch() : pass(fresh);
    if (!done) return pass(done);
    if (!*done) break;
    report.delivered += (*done)->delivered;
    report.failed += (*done)->failed;
    report.dead += (*done)->dead;
    if (most != 0 && report.delivered + report.failed + report.dead >= most) break;
  }
  return report;
}

Result<std::optional<DeliveryReport>> Relay::Impl::deliver_batch() {
  auto batch = take_batch();
  if (!batch) return pass(batch);
  DeliveryReport report;
  if (!batch->empty()) {
    auto done = commit(*batch);
    if (!done) return pass(done);
    report = *done;
  }
  note(report);
  // What somebody has changed by hand meanwhile may be due.
  if (batch->empty() && edits_ == store_.outbox_edits) return std::nullopt;
  return report;
}

Result<void> Relay::Impl::acquire() {
  if (reservation_) return {};
  // Buffered: a power cut ends this process as well. Nothing is kept of it afterwards.
  const ReserveOptions request{
      .lease = options_.lease, .retention = Duration(0), .on_abandon = OnAbandon::rerun};
  auto answer = store_.transition<ledger::ReserveDecision>(
      Store::Impl::relay_key(), Durability::buffered,
      [&](const ledger::Moment& moment) { return ledger::reserve(moment, request); });
  if (!answer) {
    if (answer.error().code == ErrorCode::busy) {
      answer.error().message = "another relay delivers from this store: " + answer.error().message;
    }
    return pass(answer);
  }
  if (!std::holds_alternative<Reservation>(*answer)) {
    return fail(ErrorCode::conflict,
                "key {} stands for the right to deliver events, and somebody has completed it by "
                "hand; remove it: once rm STORE {}",
                Store::Impl::relay_key().to_string(), Store::Impl::relay_key().to_string());
  }
  reservation_ = std::get<Reservation>(*std::move(answer));
  if (options_.heartbeat) {
    beat_ =
        store_.heartbeat.start(options_.lease / 3, [store = &store_, reservation = *reservation_] {
          auto renewed = store->transition<Reservation>(
              reservation.key, Durability::buffered, [&](const ledger::Moment& moment) {
                return ledger::renew(moment, reservation.token, reservation.lease);
              });
          return renewed || (renewed.error().code != ErrorCode::fenced &&
                             renewed.error().code != ErrorCode::closed);
        });
    if (!beat_) {
      let_go();
      return fail(ErrorCode::io,
                  "no thread could be started to keep the right to deliver; nothing was delivered; "
                  "try again when the system has threads to spare");
    }
  }
  known_ = false;  // somebody else may have delivered meanwhile
  MutexLock lock(mutex_);
  status_.active = true;
  return {};
}

void Relay::Impl::let_go() {
  beat_.reset();
  known_ = false;
  if (reservation_) {
    // Who lost it already, or cannot write, leaves it to its lease.
    const Token token = reservation_->token;
    (void)store_.transition<std::monostate>(
        Store::Impl::relay_key(), Durability::buffered,
        [&](const ledger::Moment& moment) { return ledger::release(moment, token, ""); });
    reservation_.reset();
  }
  MutexLock lock(mutex_);
  status_.active = false;
  next_due_.reset();  // it is not this one's any more
}

Result<void> Relay::Impl::refresh() {
  auto in_use = store_.use();
  if (!in_use) return pass(in_use);
  if (!known_ || edits_ != store_.outbox_edits) return read_all();
  return read_new();
}

Result<void> Relay::Impl::read_all() {
  edits_ = store_.outbox_edits;
  auto reading = store_.engine->read();
  if (!reading) return pass(reading);
  auto cursor = (*reading)->outbox_cursor();
  if (!cursor) return pass(cursor);
  backlog_.begin(cursor->from);
  unreadable_.reset();
  auto visited = outbox::visit_events(**reading, cursor->left, cursor->from,
                                      [this](std::uint64_t sequence, const Result<Event>& event)
                                          ONCE_REQUIRES(delivering_) {
                                            take(sequence, event);
                                            return true;
                                          });
  if (!visited) return visited;
  for (auto& [sequence, out] : out_) out.in_backlog = backlog_.occupy(sequence);
  known_ = true;
  return {};
}

Result<void> Relay::Impl::read_new() {
  auto reading = store_.engine->read();
  if (!reading) return pass(reading);
  return outbox::visit_events(**reading, {}, backlog_.seen(),
                              [this](std::uint64_t sequence, const Result<Event>& event)
                                  ONCE_REQUIRES(delivering_) {
                                    take(sequence, event);
                                    return true;
                                  });
}

void Relay::Impl::take(std::uint64_t sequence, const Result<Event>& event) {
  if (event) return backlog_.add(*event);
  backlog_.add_unreadable(sequence);
  if (!unreadable_) unreadable_ = event.error();
}

Result<std::optional<Event>> Relay::Impl::read(std::uint64_t sequence) {
  // For as short as can be: a reading holds sweeping back, and closing waits for it.
  auto in_use = store_.use();
  if (!in_use) return pass(in_use);
  auto reading = store_.engine->read();
  if (!reading) return pass(reading);
  return (*reading)->event_at(sequence);
}

std::optional<std::uint64_t> Relay::Impl::next(std::size_t taken, bool late, bool& again) {
  const Time now = store_.engine->now();
  // In a batch of one a coin says whose turn it is.
  const bool last = taken + 1 == options_.batch && (options_.batch > 1 || random_() % 2 == 0);
  if (!again && (last || late)) {
    if (const auto sequence = backlog_.take_again(now)) {
      again = true;
      return sequence;
    }
  }
  if (late) return std::nullopt;
  if (const auto sequence = backlog_.take_new()) return sequence;
  const auto sequence = backlog_.take_again(now);
  again = again || sequence;
  return sequence;
}

Result<std::vector<Relay::Impl::Attempt>> Relay::Impl::take_batch() {
  std::vector<Attempt> batch;
  std::size_t bytes = 0;
  bool again = false;
  const Duration end = after(store_.clock->since_boot(), batch_time);
  while (batch.size() < options_.batch && bytes < batch_bytes && !stopping()) {
    const bool late = !batch.empty() && store_.clock->since_boot() >= end;
    const auto sequence = next(batch.size(), late, again);
    if (!sequence) break;
    auto event = read(*sequence);
    if (!event) {
      if (batch.empty()) return pass(event);
      // First what was delivered; then it is read anew, and the error comes back.
      known_ = false;
      break;
    }
    if (!*event || (*event)->status != EventStatus::pending) {
      // Changed by hand since the last look; everything is read anew before the next batch.
      backlog_.settle(*sequence);
      continue;
    }
    bytes += size_of(**event);
    batch.push_back(attempt(**event, guarded([&] { return publisher_->publish(**event); })));
    const Attempt& done = batch.back();
    if (done.status == EventStatus::delivered) backlog_.settle(*sequence);
    if (done.status == EventStatus::dead) backlog_.die(*sequence);
  }
  // Not before, so that no event comes twice in a batch: its failure counts only when it is noted.
  for (const Attempt& done : batch) {
    if (done.status == EventStatus::pending) backlog_.retry_at(done.sequence, done.next_attempt_at);
  }
  return batch;
}

Result<void> Relay::Impl::guarded(const std::function<Result<void>()>& call) const {
  Result<void> answer;
  in_publisher_of.push_back(this);
  try {
    answer = call();
  } catch (const std::exception& error) {
    answer = fail(ErrorCode::work_retryable, "the publisher threw: {}", error.what());
  } catch (...) {
    answer = fail(ErrorCode::work_retryable, "the publisher threw what is no std::exception");
  }
  in_publisher_of.pop_back();
  return answer;
}

Relay::Impl::Attempt Relay::Impl::attempt(const Event& event, const Result<void>& published) {
  Attempt attempt{.sequence = event.sequence,
                  .aggregate = {event.aggregate_type, event.aggregate_id},
                  .retries = event.retries,
                  .retries_before = event.retries,
                  .attempt_was_at = event.next_attempt_at};
  return published ? attempt : failed(std::move(attempt), published.error());
}

Relay::Impl::Attempt Relay::Impl::failed(Attempt attempt, const Error& error) {
  attempt.status = EventStatus::pending;
  attempt.error = std::string(cut_utf8(error.message, most_error_bytes));
  if (attempt.error.empty()) attempt.error = to_string(error.code);
  if (attempt.retries != std::numeric_limits<std::uint32_t>::max()) ++attempt.retries;
  if (error.code == ErrorCode::work_failed || attempt.retries > options_.max_retries) {
    attempt.status = EventStatus::dead;
  } else {
    const Duration delay = outbox::delay_after(options_.backoff, attempt.retries, random_());
    attempt.next_attempt_at = after(store_.engine->now(), delay);
  }
  return attempt;
}

void Relay::Impl::flush(std::vector<Attempt>& batch) {
  const auto delivered = [](const Attempt& attempt) {
    return attempt.status == EventStatus::delivered;
  };
  if (std::ranges::none_of(batch, delivered)) return;
  auto flushed = guarded([this] { return publisher_->flush(); });
  if (flushed) return;
  // The backlog has gone on as if they were delivered.
  known_ = false;
  deliver_again(batch);
  for (Attempt& attempt : batch) {
    if (delivered(attempt)) attempt = failed(std::move(attempt), flushed.error());
  }
}

Result<DeliveryReport> Relay::Impl::commit(std::vector<Attempt>& batch) {
  flush(batch);
  std::vector<std::uint64_t> sequences;
  sequences.reserve(batch.size());
  for (const Attempt& attempt : batch) sequences.push_back(attempt.sequence);
  const outbox::CursorMove move = known_ ? backlog_.move_cursor() : outbox::CursorMove{};
  auto settled = outbox::settle(
      store_, reservation_->token, sequences,
      [&](std::span<const std::optional<Event>> events, Time now) {
        engine::OutboxChange change{.from = move.from, .left = move.left};
        for (std::size_t i = 0; i < events.size(); ++i) {
          // What was dropped or decided by hand meanwhile stays so. What was delivered is
          // delivered, whoever asked for that meanwhile.
          if (!events[i] || events[i]->status != EventStatus::pending) continue;
          batch[i].overruled =
              batch[i].status != EventStatus::delivered && changed_since(batch[i], *events[i]);
          if (batch[i].overruled) continue;
          change.put.push_back(*events[i]);
          apply(batch[i], change.put.back(), now);
        }
        return change;
      },
      options_.durability);
  if (!settled) return pass(settled);
  DeliveryReport report;
  for (const Attempt& attempt : batch) {
    if (attempt.status == EventStatus::delivered) {
      ++report.delivered;
    } else if (attempt.status == EventStatus::pending || attempt.overruled) {
      ++report.failed;
    } else {
      ++report.dead;
    }
    // The backlog has it dead, or waiting.
    if (attempt.overruled) known_ = false;
  }
  store_.meters.count_deliveries({.delivered = report.delivered,
                                  .failures = report.failed + report.dead,
                                  .dead = report.dead});
  return report;
}

bool Relay::Impl::changed_since(const Attempt& attempt, const Event& event) {
  return event.retries != attempt.retries_before || event.next_attempt_at != attempt.attempt_was_at;
}

void Relay::Impl::apply(const Attempt& attempt, Event& event, Time now) const {
  event.status = attempt.status;
  event.retries = attempt.retries;
  event.next_attempt_at = attempt.next_attempt_at;
  event.last_error = attempt.error;
  if (attempt.status == EventStatus::delivered) {
    event.published_at = now;
    event.expires_at = after(now, options_.retention);
  }
}

void Relay::Impl::note(const DeliveryReport& done) {
  const std::int64_t second =
      std::chrono::floor<std::chrono::seconds>(store_.clock->since_boot()).count();
  MutexLock lock(mutex_);
  status_.pending = backlog_.pending();
  status_.dead = backlog_.dead();
  status_.error = unreadable_;
  status_.delivered += done.delivered;
  status_.failed += done.failed + done.dead;
  oldest_ = backlog_.oldest();
  next_due_ = backlog_.next_due();
  rate_.add(second, done.delivered);
}

RelayStatus Relay::Impl::status() const {
  if (auto checked = check_process(); !checked) {
    RelayStatus status;
    status.error = checked.error();
    return status;
  }
  const Time now = store_.engine->now();
  const std::int64_t second =
      std::chrono::floor<std::chrono::seconds>(store_.clock->since_boot()).count();
  MutexLock lock(mutex_);
  RelayStatus status = status_;
  status.per_second = rate_.per_second(second);
  if (oldest_) status.oldest_age = std::max(now - *oldest_, Duration(0));
  return status;
}

}  // namespace once
