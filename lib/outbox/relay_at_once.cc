// Delivering several events at once: one that hangs keeps neither others from being handed over nor
// what was delivered from being noted.
//
//   begin_some ── handover ── publisher, on its threads ── take_back ── commit_batch
//
// One thread does all but call the publisher. What it waits for: that something comes back, that
// something is committed, that a retry is due, and that the batch has waited long enough.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"
#include "outbox/relay_impl.h"

namespace once {

// One call of deliver_at_once().
struct Relay::Impl::Pass {
  std::uint64_t most = 0;  // attempts; 0: no limit
  Duration longest{};

  DeliveryReport report{};
  std::vector<Attempt> batch{};
  std::map<std::uint64_t, Time> put_off{};  // of the batch, with the time of the next attempt
  std::size_t bytes = 0;                    // of the batch
  Duration batch_end{};                     // when it is to be noted, since boot
  std::uint64_t begun = 0;
  bool looked = false;              // at what there is
  Duration end{};                   // then: when `longest` is over
  std::set<std::uint64_t> early{};  // begun before the end, and not back
  bool ended = false;
  Duration next_look{};  // without being woken
  std::uint64_t seen_commits = 0;
  std::uint64_t commits = 0;  // tickets, before the look
  std::uint64_t backs = 0;
};

Result<DeliveryReport> Relay::Impl::deliver_at_once(std::uint64_t most, Duration longest) {
  Pass pass{.most = most, .longest = longest};
  while (true) {
    pass.commits = store_.waiters.ticket(Store::Impl::relay_key());
    pass.backs = store_.waiters.ticket(back_key_);
    take_back(pass);
    const Duration now = store_.clock->since_boot();
    if (pass.looked && !pass.ended && now >= pass.end) {
      // What hangs is waited for; until it is back others may go on.
      pass.ended = true;
      for (const auto& [sequence, out] : out_) pass.early.insert(sequence);
    }
    const bool over =
        stopping() || (pass.ended && pass.early.empty()) || (most != 0 && pass.begun >= most);
    // What is read anew does not know of a batch that is not noted.
    const bool anew = !known_ || edits_ != store_.outbox_edits;
    if (!over && (!anew || pass.batch.empty())) {
      if (auto begun = begin_some(pass); !begun) {
        if (!pass.batch.empty()) (void)commit_batch(pass);
        return once::pass(begun);
      }
    }
    const bool idle = out_.empty();
    const bool full = pass.batch.size() >= options_.batch || pass.bytes >= batch_bytes;
    if (!pass.batch.empty() && (full || idle || (!over && anew) || now >= pass.batch_end)) {
      if (auto done = commit_batch(pass); !done) return once::pass(done);
      continue;
    }
    // What somebody has changed by hand meanwhile may be due.
    if (idle && (over || edits_ == store_.outbox_edits)) break;
    if (!idle && over) {
      const Duration until = pass.batch.empty() ? forever : pass.batch_end;
      handover_->wait(*store_.clock, until);
    } else if (!idle) {
      wait_at_once(pass);
    }
  }
  note({});
  return pass.report;
}

void Relay::Impl::take_back(Pass& pass) {
  for (outbox::Handover::Back& back : handover_->take()) {
    const std::uint64_t sequence = back.event.sequence;
    if (back.event.next_attempt_at != Time{}) --again_out_;
    pass.early.erase(sequence);
    const Out out = out_.extract(sequence).mapped();
    if (!out.in_order && back.answer) {
      known_ = false;
      continue;
    }
    if (pass.batch.empty()) pass.batch_end = after(store_.clock->since_boot(), batch_time);
    pass.bytes += size_of(back.event);
    pass.batch.push_back(attempt(back.event, back.answer));
    const Attempt& done = pass.batch.back();
    if (!out.in_backlog) {
      // Decided on by hand meanwhile. If not, it is read anew.
      known_ = false;
    } else if (done.status == EventStatus::delivered) {
      backlog_.settle(sequence);
    } else if (done.status == EventStatus::dead) {
      backlog_.die(sequence);
    } else {
      // Not before that is noted: else it would be read again as it was before this attempt.
      pass.put_off[sequence] = done.next_attempt_at;
    }
  }
}

// Of those that failed before one goes first, so that a stream of new ones does not hold them up,
// and never so many that there is no room for new ones.
std::optional<std::uint64_t> Relay::Impl::next_at_once() {
  const Time now = store_.engine->now();
  if (again_out_ == 0) {
    if (const auto sequence = backlog_.take_again(now)) return sequence;
  }
  if (const auto sequence = backlog_.take_new()) return sequence;
  return again_out_ + 1 < at_once_ ? backlog_.take_again(now) : std::nullopt;
}

Result<void> Relay::Impl::begin_some(Pass& pass) {
  // Nobody who waits is woken any more by a store that is closed.
  if (auto in_use = store_.use(); !in_use) return once::pass(in_use);
  const Duration now = store_.clock->since_boot();
  const bool anew = !known_ || edits_ != store_.outbox_edits;
  if (anew || !pass.looked || pass.commits != pass.seen_commits || now >= pass.next_look) {
    if (auto fresh = refresh(); !fresh) return fresh;
    pass.seen_commits = pass.commits;
    pass.next_look = after(now, options_.poll_interval);
    if (!pass.looked) pass.end = after(store_.clock->since_boot(), pass.longest);
    pass.looked = true;
  }
  while (handover_->room() > 0 && (pass.most == 0 || pass.begun < pass.most)) {
    const auto sequence = next_at_once();
    if (!sequence) break;
    auto event = read(*sequence);
    if (!event) return once::pass(event);
    if (!*event || (*event)->status != EventStatus::pending) {
      // Changed by hand since the last look; everything is read anew before the next one.
      backlog_.settle(*sequence);
      continue;
    }
    ++pass.begun;
    out_[*sequence] = {.aggregate = {(*event)->aggregate_type, (*event)->aggregate_id}};
    if ((*event)->next_attempt_at != Time{}) ++again_out_;
    handover_->begin(std::move(**event));
  }
  return {};
}

Result<void> Relay::Impl::commit_batch(Pass& pass) {
  for (const auto& [sequence, next] : pass.put_off) backlog_.retry_at(sequence, next);
  pass.put_off.clear();
  auto done = commit(pass.batch);
  if (!done) deliver_again(pass.batch);
  pass.batch.clear();
  pass.bytes = 0;
  if (!done) return once::pass(done);
  pass.report.delivered += done->delivered;
  pass.report.failed += done->failed;
  pass.report.dead += done->dead;
  note(*done);
  return {};
}

void Relay::Impl::deliver_again(const std::vector<Attempt>& batch) {
  for (const Attempt& attempt : batch) {
    if (attempt.status != EventStatus::delivered || attempt.aggregate == Aggregate{}) continue;
    for (auto& [sequence, out] : out_) {
      if (out.aggregate == attempt.aggregate) out.in_order = false;
    }
  }
}

void Relay::Impl::wait_at_once(const Pass& pass) {
  const Duration now = store_.clock->since_boot();
  Duration until = pass.next_look;
  if (!pass.batch.empty()) until = std::min(until, pass.batch_end);
  if (!pass.ended) until = std::min(until, pass.end);
  // One that is due already waits for room.
  if (const auto due = backlog_.next_due()) {
    const Duration at = store_.engine->since_boot_at(*due);
    if (at > now) until = std::min(until, at);
  }
  const std::array<ledger::Waiters::Watched, 2> watched{
      {{.key = &Store::Impl::relay_key(), .ticket = pass.commits},
       {.key = &back_key_, .ticket = pass.backs}}};
  store_.waiters.wait_any(watched, *store_.clock, until);
}

}  // namespace once
