// Backlog: what a relay knows of the events that are not delivered yet, and which is next.
//
//   Backlog backlog(AfterDeadLetter::block);
//   backlog.begin(cursor.from);
//   for (...) backlog.add(event);             // in the order of sequences
//   while (auto sequence = backlog.take(now)) {
//     deliver(*sequence) ? backlog.settle(*sequence) : backlog.retry_at(*sequence, later);
//   }
//   commit(backlog.move_cursor());
//
// Of each aggregate only the first event may be taken (the head), and no other until it is settled,
// put off or dead. Heads that were never put off are
// in `ready_` by sequence, those that were in `waiting_` by the time for which they wait. So among
// those that were put off the one that is due longest goes first: none that fails over and over
// goes before another one twice.
//
// The cursor. Events behind it, delivered or not, are in `window_`. As long as the first of these
// is not settled the cursor cannot move by itself; when enough settled ones have gathered behind
// it, what is not settled is left behind (by name) and the cursor jumps. So what is read at the
// next opening is never more than about twice what is not settled, and the number of names written
// is never more than the number of events delivered.
//
// Pure: knows no store, no clock, no thread. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "once/event.h"
#include "once/outbox.h"

namespace once::outbox {

struct CursorMove {
  std::uint64_t from = 0;           // 0: it stays
  std::vector<std::uint64_t> left;  // left behind
};

class Backlog {
 public:
  // The cursor jumps when so many settled events have gathered behind it, and as many as are not,
  // and leaves at most `most_left` behind at a time.
  static constexpr std::size_t settled_before_jump = 256;
  static constexpr std::size_t most_left = 4096;

  explicit Backlog(AfterDeadLetter after_dead_letter) : after_dead_letter_(after_dead_letter) {}

  // Forgets everything; the cursor is at `from`.
  void begin(std::uint64_t from);
  // Takes note of an event; its sequence is greater than those of all before.
  void add(const Event& event);
  // The same for one that cannot be read: it is never taken, and never settled.
  void add_unreadable(std::uint64_t sequence);

  // An event that may be delivered. Until it is settled, put off or dead, it is not taken again,
  // and none of its aggregate follows.
  //   take_new     of those that were never put off, the first in the order of commits
  //   take_again   of those that were put off and are due at `now`, the one that is due longest
  //   take         the first of these that there is
  [[nodiscard]] std::optional<std::uint64_t> take_new();
  [[nodiscard]] std::optional<std::uint64_t> take_again(Time now);
  [[nodiscard]] std::optional<std::uint64_t> take(Time now);
  // After begin() and what was read: an event that was taken before, and is still with the
  // publisher. Neither it nor another one of its aggregate is taken until it is settled, put off or
  // dead. False when there is no such event any more, and none of these is to be called.
  bool occupy(std::uint64_t sequence);
  // Of an event taken: it was delivered, or is gone.
  void settle(std::uint64_t sequence);
  void retry_at(std::uint64_t sequence, Time not_before);
  void die(std::uint64_t sequence);

  // When the next of those that were put off is due. nullopt: there is none.
  [[nodiscard]] std::optional<Time> next_due() const;
  // Where the cursor may go now; it counts as moved.
  [[nodiscard]] CursorMove move_cursor();

  [[nodiscard]] std::uint64_t pending() const { return pending_; }
  [[nodiscard]] std::uint64_t dead() const { return dead_; }
  [[nodiscard]] std::optional<Time> oldest() const;
  // The greatest sequence seen.
  [[nodiscard]] std::uint64_t seen() const { return seen_; }

 private:
  struct Line {
    std::uint64_t first = 0;  // the head
    std::uint64_t last = 0;
    bool blocked = false;  // there is a dead letter in it: nothing behind that is kept
  };
  using Lines = std::unordered_map<std::string, Line>;
  struct Open {
    Lines::value_type* line = nullptr;  // null: of no aggregate
    std::uint64_t next = 0;             // of the same aggregate; 0: it is the last
    Time not_before{};
    Time created_at{};
  };
  struct Slot {
    std::uint64_t sequence = 0;
    bool settled = false;
  };

  Lines::value_type* line_of(const Event& event);
  void see(std::uint64_t sequence);
  void add_pending(const Event& event, Lines::value_type* line);
  void enqueue(std::uint64_t sequence);
  // Where `sequence` is named in its line, and the event before it (0: it is the head).
  std::uint64_t* place_of(Line& line, std::uint64_t sequence, std::uint64_t& before);
  // Takes an event, which is not queued, out of its aggregate: the head, but for one that was
  // occupied.
  void remove(std::uint64_t sequence);
  // Lets the head of the aggregate forward, or forgets it when there is none.
  void let_forward(Lines::value_type* line);
  // Forgets `sequence` and all that stands behind it.
  void drop_from(std::uint64_t sequence);
  void close_slot(std::uint64_t sequence);

  const AfterDeadLetter after_dead_letter_;
  std::map<std::uint64_t, Open> open_;
  Lines lines_;  // nodes stay where they are
  std::set<std::uint64_t> ready_;
  std::set<std::pair<Time, std::uint64_t>> waiting_;
  std::uint64_t pending_ = 0;
  std::uint64_t dead_ = 0;
  std::optional<Time> oldest_blocked_;

  std::deque<Slot> window_;  // the first is not settled
  std::size_t settled_in_window_ = 0;
  std::uint64_t from_ = 0;
  std::uint64_t moved_to_ = 0;
  std::uint64_t seen_ = 0;
};

}  // namespace once::outbox
