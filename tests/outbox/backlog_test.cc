// The backlog by itself: who is next, and where the cursor goes. A model that keeps every event
// says what is right.
#include "outbox/backlog.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace once;
using namespace once::outbox;

namespace {

Event open_event(std::uint64_t sequence, std::string aggregate,
                 EventStatus status = EventStatus::pending) {
  return {.sequence = sequence,
          .aggregate_type = "t",
          .aggregate_id = std::move(aggregate),
          .status = status,
          .created_at = Time(Duration(static_cast<std::int64_t>(sequence)))};
}

constexpr Time at(std::int64_t ms) {
  return Time(Duration(ms));
}

// What is in a store, and what a relay may do with it.
struct Model {
  std::map<std::uint64_t, Event> events;
  std::uint64_t from = 0;
  std::set<std::uint64_t> left;

  void apply(const CursorMove& move) {
    if (move.from != 0) {
      CHECK(move.from > from);
      from = move.from;
    }
    left.insert(move.left.begin(), move.left.end());
    for (const auto& [sequence, event] : events) {
      if (event.status == EventStatus::delivered) {
        left.erase(sequence);
      } else if (sequence <= from) {
        // The promise: what is not settled is found again.
        REQUIRE(left.contains(sequence));
      }
    }
  }
  // What a relay that begins anew reads. `out` are with the publisher; those that it must not hear
  // of any more go.
  void read_into(Backlog& backlog, std::set<std::uint64_t>& out) const {
    backlog.begin(from);
    for (const std::uint64_t sequence : left) backlog.add(events.at(sequence));
    for (auto each = events.upper_bound(from); each != events.end(); ++each) {
      backlog.add(each->second);
    }
    std::erase_if(out, [&](std::uint64_t sequence) {
      const bool there = backlog.occupy(sequence);
      CHECK(there == (events.contains(sequence)));
      return !there;
    });
  }
  // The first that was never put off; `again`: of those that were, the one that is due longest.
  [[nodiscard]] std::optional<std::uint64_t> next(Time now, bool block, bool again,
                                                  const std::set<std::uint64_t>& out) const {
    std::set<std::string> held;
    for (const std::uint64_t sequence : out) {
      const std::string& aggregate = events.at(sequence).aggregate_id;
      if (!aggregate.empty()) held.insert(aggregate);
    }
    std::optional<std::pair<Time, std::uint64_t>> first;
    for (const auto& [sequence, event] : events) {
      if (event.status == EventStatus::delivered || held.contains(event.aggregate_id)) continue;
      if (out.contains(sequence)) continue;
      const bool dead = event.status == EventStatus::dead;
      if (!dead && (event.next_attempt_at != Time{}) == again && event.next_attempt_at <= now) {
        const std::pair mine(event.next_attempt_at, sequence);
        first = std::min(first.value_or(mine), mine);
      }
      if (!event.aggregate_id.empty() && (!dead || block)) held.insert(event.aggregate_id);
    }
    return first ? std::optional(first->second) : std::nullopt;
  }
  [[nodiscard]] std::size_t unsettled() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        events, [](const auto& each) { return each.second.status != EventStatus::delivered; }));
  }
  [[nodiscard]] std::size_t rows_read() const {
    return left.size() +
           static_cast<std::size_t>(std::distance(events.upper_bound(from), events.end()));
  }
};

}  // namespace

TEST_CASE("random lives of a backlog: next, figures and cursor are what the model says") {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    const bool block = below(2) == 0;
    const std::uint32_t aggregates = 1 + below(6);
    // How often a delivery fails, and how often for good.
    const std::uint32_t failing = below(4);
    Model model;
    Backlog backlog(block ? AfterDeadLetter::block : AfterDeadLetter::skip);
    std::uint64_t sequence = 0;
    std::int64_t now = 1;
    // With the publisher, at most so many.
    const std::uint32_t at_once = below(4);
    std::set<std::uint64_t> out;
    for (int step = 0; step < 3000; ++step) {
      const std::uint32_t what = below(20);
      if (what < 8) {
        sequence += 1 + below(3);
        Event event = open_event(sequence, std::to_string(below(aggregates)));
        if (below(10) == 0) event.aggregate_type = event.aggregate_id = "";
        model.events[sequence] = event;
        backlog.add(event);
      } else if (what < 18) {
        const auto fresh = model.next(at(now), block, false, out);
        const auto again = model.next(at(now), block, true, out);
        std::optional<std::uint64_t> taken;
        switch (below(3)) {
          case 0:
            taken = backlog.take_new();
            REQUIRE(taken == fresh);
            break;
          case 1:
            taken = backlog.take_again(at(now));
            REQUIRE(taken == again);
            break;
          default:
            taken = backlog.take(at(now));
            REQUIRE(taken == (fresh ? fresh : again));
        }
        if (taken) out.insert(*taken);
        if (out.size() <= (taken ? at_once : 0)) continue;
        // One of them comes back.
        taken = *std::next(out.begin(), below(static_cast<std::uint32_t>(out.size())));
        out.erase(*taken);
        Event& event = model.events[*taken];
        const std::uint32_t answer = below(12);
        if (answer < failing) {
          event.next_attempt_at = at(now + 1 + below(50));
          backlog.retry_at(*taken, event.next_attempt_at);
        } else if (answer < failing + failing / 2) {
          event.status = EventStatus::dead;
          backlog.die(*taken);
        } else {
          event.status = EventStatus::delivered;
          backlog.settle(*taken);
        }
        if (below(3) == 0) model.apply(backlog.move_cursor());
      } else if (what == 18) {
        now += below(40);
      } else if (below(40) == 0) {
        // Somebody retries one dead letter, or drops one that is under way; the relay reads
        // everything anew.
        model.apply(backlog.move_cursor());
        if (!out.empty() && below(2) == 0) {
          model.left.erase(*out.begin());
          model.events.erase(*out.begin());
        }
        for (auto& [each, event] : model.events) {
          if (event.status != EventStatus::dead || below(2) == 0) continue;
          event.status = EventStatus::pending;
          event.next_attempt_at = {};
          break;
        }
        model.read_into(backlog, out);
      }
      CHECK(backlog.pending() + backlog.dead() == model.unsettled());
    }
    model.apply(backlog.move_cursor());
    // What the next opening reads follows what is not settled.
    CHECK(model.rows_read() <= 2 * model.unsettled() + 2 * Backlog::settled_before_jump);
  }
}

TEST_CASE("the cursor passes an event that is never settled") {
  Backlog backlog(AfterDeadLetter::block);
  Model model;
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    model.events[i] = open_event(i, i == 1 ? "stuck" : "a");
    backlog.add(model.events[i]);
    const auto taken = backlog.take(at(1));
    REQUIRE(taken == i);
    if (i == 1) {
      backlog.retry_at(i, at(1'000'000));
    } else {
      model.events[i].status = EventStatus::delivered;
      backlog.settle(i);
    }
    model.apply(backlog.move_cursor());
  }
  CHECK(model.left == std::set<std::uint64_t>{1});
  CHECK(model.rows_read() <= Backlog::settled_before_jump + 1);
  CHECK(backlog.oldest() == at(1));
  CHECK(backlog.next_due() == at(1'000'000));
}

TEST_CASE("an event that cannot be read is never taken, and is left behind by name") {
  Backlog backlog(AfterDeadLetter::block);
  backlog.begin(0);
  backlog.add_unreadable(1);
  CHECK_FALSE(backlog.take(at(1)));
  CHECK(backlog.seen() == 1);
  CHECK(backlog.pending() == 0);
  CHECK(backlog.move_cursor().from == 0);
  constexpr std::uint64_t last = 1 + Backlog::settled_before_jump;
  for (std::uint64_t i = 2; i <= last; ++i) {
    backlog.add(open_event(i, "a"));
    REQUIRE(backlog.take(at(1)) == i);
    backlog.settle(i);
  }
  const CursorMove move = backlog.move_cursor();
  CHECK(move.from == last);
  CHECK(move.left == std::vector<std::uint64_t>{1});
  // As it is read at the next opening.
  backlog.begin(last);
  backlog.add_unreadable(1);
  CHECK_FALSE(backlog.take(at(1)));
  CHECK(backlog.seen() == last);
}

TEST_CASE("no more than so many are left behind at a time") {
  Backlog backlog(AfterDeadLetter::block);
  const std::uint64_t waiting = 3 * Backlog::most_left;
  for (std::uint64_t i = 1; i <= waiting; ++i) backlog.add(open_event(i, "a"));
  for (std::uint64_t i = 1; i <= waiting; ++i) {
    backlog.add(open_event(waiting + i, "b"));
  }
  REQUIRE(backlog.take(at(1)) == 1);
  for (std::uint64_t i = 1; i <= waiting; ++i) {
    const auto taken = backlog.take(at(1));
    REQUIRE(taken == waiting + i);
    backlog.settle(*taken);
  }
  std::size_t left = 0;
  for (int i = 0; i < 10; ++i) {
    const CursorMove move = backlog.move_cursor();
    CHECK(move.left.size() <= Backlog::most_left);
    left += move.left.size();
  }
  CHECK(left == waiting);
}

TEST_CASE("an event before a dead letter of its aggregate may still go") {
  Backlog backlog(AfterDeadLetter::block);
  backlog.begin(0);
  backlog.add(open_event(1, "a"));
  backlog.add(open_event(2, "a", EventStatus::dead));
  backlog.add(open_event(3, "a"));
  CHECK(backlog.take(at(1)) == 1);
  backlog.settle(1);
  CHECK_FALSE(backlog.take(at(1)));
  CHECK(backlog.pending() == 1);
  CHECK(backlog.dead() == 1);
  CHECK(backlog.oldest() == at(3));
}
