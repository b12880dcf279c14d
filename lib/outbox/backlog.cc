#include "outbox/backlog.h"

#include <algorithm>

namespace once::outbox {

void Backlog::begin(std::uint64_t from) {
  open_.clear();
  lines_.clear();
  ready_.clear();
  waiting_.clear();
  window_.clear();
  pending_ = dead_ = settled_in_window_ = 0;
  oldest_blocked_.reset();
  from_ = moved_to_ = seen_ = from;
}

// Null for an event of no aggregate: it is in nobody's way.
Backlog::Lines::value_type* Backlog::line_of(const Event& event) {
  if (event.aggregate_type.empty() && event.aggregate_id.empty()) return nullptr;
  // The length first, so that no two pairs meet.
  std::string name = std::to_string(event.aggregate_type.size());
  name += ':';
  name += event.aggregate_type;
  name += event.aggregate_id;
  return &*lines_.try_emplace(std::move(name)).first;
}

void Backlog::see(std::uint64_t sequence) {
  if (sequence <= from_) return;
  seen_ = sequence;
  window_.push_back({.sequence = sequence});
}

void Backlog::add_unreadable(std::uint64_t sequence) {
  see(sequence);
}

void Backlog::add(const Event& event) {
  see(event.sequence);
  if (event.status == EventStatus::delivered) {
    close_slot(event.sequence);
    return;
  }
  if (event.status == EventStatus::pending) {
    ++pending_;
    add_pending(event, line_of(event));
    return;
  }
  ++dead_;
  if (after_dead_letter_ == AfterDeadLetter::block) {
    // What stands before it may still go.
    if (auto* line = line_of(event)) line->second.blocked = true;
  }
}

void Backlog::add_pending(const Event& event, Lines::value_type* line) {
  if (line != nullptr && line->second.blocked) {
    oldest_blocked_ = std::min(oldest_blocked_.value_or(event.created_at), event.created_at);
    return;
  }
  open_[event.sequence] = {
      .line = line, .not_before = event.next_attempt_at, .created_at = event.created_at};
  if (line == nullptr || line->second.first == 0) {
    if (line != nullptr) line->second.first = event.sequence;
    enqueue(event.sequence);
  } else {
    open_[line->second.last].next = event.sequence;
  }
  if (line != nullptr) line->second.last = event.sequence;
}

void Backlog::enqueue(std::uint64_t sequence) {
  const Time not_before = open_.at(sequence).not_before;
  if (not_before == Time{}) {
    ready_.insert(sequence);
  } else {
    waiting_.emplace(not_before, sequence);
  }
}

std::optional<std::uint64_t> Backlog::take_new() {
  if (ready_.empty()) return std::nullopt;
  return ready_.extract(ready_.begin()).value();
}

std::optional<std::uint64_t> Backlog::take_again(Time now) {
  if (waiting_.empty() || waiting_.begin()->first > now) return std::nullopt;
  return waiting_.extract(waiting_.begin()).value().second;
}

std::optional<std::uint64_t> Backlog::take(Time now) {
  const auto taken = take_new();
  return taken ? taken : take_again(now);
}

bool Backlog::occupy(std::uint64_t sequence) {
  const auto at = open_.find(sequence);
  if (at == open_.end()) return false;
  // An earlier one may be the head by now: it was a dead letter, and is to be delivered again.
  const auto* line = at->second.line;
  const std::uint64_t head = line == nullptr ? sequence : line->second.first;
  ready_.erase(head);
  waiting_.erase({open_.at(head).not_before, head});
  return true;
}

void Backlog::settle(std::uint64_t sequence) {
  --pending_;
  remove(sequence);
  close_slot(sequence);
}

void Backlog::retry_at(std::uint64_t sequence, Time not_before) {
  Open& open = open_.at(sequence);
  open.not_before = not_before;
  enqueue(open.line == nullptr ? sequence : open.line->second.first);
}

void Backlog::die(std::uint64_t sequence) {
  --pending_;
  ++dead_;
  auto* line = open_.at(sequence).line;
  if (line == nullptr || after_dead_letter_ == AfterDeadLetter::skip) return remove(sequence);
  // Whoever retries or drops the dead letter has everything read anew, so that nothing of what
  // stands behind it needs to be kept.
  drop_from(sequence);
  line->second.blocked = true;
  let_forward(line);
}

std::uint64_t* Backlog::place_of(Line& line, std::uint64_t sequence, std::uint64_t& before) {
  before = 0;
  std::uint64_t* place = &line.first;
  while (*place != sequence) {
    before = *place;
    place = &open_.at(before).next;
  }
  return place;
}

void Backlog::remove(std::uint64_t sequence) {
  const auto at = open_.find(sequence);
  auto* line = at->second.line;
  const std::uint64_t next = at->second.next;
  if (line != nullptr) {
    std::uint64_t before = 0;
    *place_of(line->second, sequence, before) = next;
    if (next == 0) line->second.last = before;
  }
  open_.erase(at);
  if (line != nullptr) let_forward(line);
}

void Backlog::let_forward(Lines::value_type* line) {
  if (line->second.first != 0) return enqueue(line->second.first);
  if (!line->second.blocked) lines_.erase(lines_.find(line->first));
}

void Backlog::drop_from(std::uint64_t sequence) {
  Line& line = open_.at(sequence).line->second;
  std::uint64_t before = 0;
  *place_of(line, sequence, before) = 0;
  line.last = before;
  const std::uint64_t dead = sequence;
  for (std::uint64_t at = sequence; at != 0;) {
    const auto open = open_.find(at);
    const Time created = open->second.created_at;
    if (at != dead) oldest_blocked_ = std::min(oldest_blocked_.value_or(created), created);
    at = open->second.next;
    open_.erase(open);
  }
}

void Backlog::close_slot(std::uint64_t sequence) {
  if (sequence <= from_) return;
  const auto slot = std::ranges::lower_bound(window_, sequence, {}, &Slot::sequence);
  if (slot == window_.end() || slot->sequence != sequence) return;  // was left behind
  slot->settled = true;
  ++settled_in_window_;
  while (!window_.empty() && window_.front().settled) {
    moved_to_ = window_.front().sequence;
    window_.pop_front();
    --settled_in_window_;
  }
}

std::optional<Time> Backlog::next_due() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.begin()->first;
}

CursorMove Backlog::move_cursor() {
  CursorMove move;
  const std::size_t open = window_.size() - settled_in_window_;
  if (settled_in_window_ >= settled_before_jump && settled_in_window_ >= open) {
    while (!window_.empty() && (window_.front().settled || move.left.size() < most_left)) {
      moved_to_ = window_.front().sequence;
      if (window_.front().settled) {
        --settled_in_window_;
      } else {
        move.left.push_back(moved_to_);
      }
      window_.pop_front();
    }
  }
  if (moved_to_ > from_) move.from = from_ = moved_to_;
  return move;
}

std::optional<Time> Backlog::oldest() const {
  if (open_.empty()) return oldest_blocked_;
  const Time first = open_.begin()->second.created_at;
  return std::min(oldest_blocked_.value_or(first), first);
}

}  // namespace once::outbox
