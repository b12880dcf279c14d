// What every engine must do with events that are in the outbox already (lib/engine/engine.h).
#include <doctest/doctest.h>

#include <functional>

#include "engines.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

const Key outbox_key("", "test", "outbox");

// What update_outbox() writes when `change` decides.
void change_outbox(
    Engine& engine, const std::vector<std::uint64_t>& sequences,
    const std::function<OutboxChange(std::span<const std::optional<Event>>)>& change) {
  value_of(engine.update_outbox(
      outbox_key, sequences,
      [&](const Current& current) {
        Change decided;
        decided.outbox = change(current.events);
        return decided;
      },
      Durability::buffered));
}

void deliver(Engine& engine, std::uint64_t sequence, OutboxChange move = {}) {
  change_outbox(engine, {sequence}, [&](std::span<const std::optional<Event>> events) {
    OutboxChange change = move;
    change.put.push_back(events[0].value());
    change.put[0].status = EventStatus::delivered;
    change.put[0].expires_at = engine.now() + 1h;
    return change;
  });
}

std::vector<std::uint64_t> append_events(Engine& engine, int count) {
  std::vector<Event> events;
  for (int i = 0; i < count; ++i) events.push_back({.id = std::to_string(i)});
  value_of(engine.append(events, Durability::buffered));
  std::vector<std::uint64_t> sequences;
  for (const Event& event : events) sequences.push_back(event.sequence);
  return sequences;
}

OutboxCursor cursor_of(Engine& engine) {
  return value_of(value_of(engine.read())->outbox_cursor());
}

std::optional<Event> event_at(Engine& engine, std::uint64_t sequence) {
  return value_of(value_of(engine.read())->event_at(sequence));
}

using Sequences = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE_TEMPLATE("update_outbox: shows events, and writes over them and erases them in one", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  const Sequences at = append_events(engine, 3);
  change_outbox(engine, {at[2], at[2] + 1000, at[0]},
                [&](std::span<const std::optional<Event>> events) {
                  REQUIRE(events.size() == 3);
                  CHECK(events[0]->id == "2");
                  CHECK_FALSE(events[1]);
                  CHECK(events[2]->id == "0");
                  OutboxChange change;
                  change.put.push_back(*events[0]);
                  change.put[0].retries = 7;
                  change.put[0].next_attempt_at = Time(5ms);
                  change.put[0].last_error = "down";
                  change.erase.push_back(at[0]);
                  return change;
                });
  CHECK_FALSE(event_at(engine, at[0]));
  CHECK(event_at(engine, at[2])->retries == 7);
  CHECK(event_at(engine, at[2])->next_attempt_at == Time(5ms));
  CHECK(event_at(engine, at[2])->last_error == "down");
  CHECK(rows_of(engine, {.table = Table::outbox}).size() == 2);
  // No record comes of it, and no history.
  CHECK_FALSE(value_of(engine.find(outbox_key)).has_value());
  CHECK(rows_of(engine, {.table = Table::history}).empty());
}

TEST_CASE_TEMPLATE("update_outbox: an empty change writes nothing; the record is shown too", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  value_of(engine.update(outbox_key, reserving(outbox_key), Durability::buffered));
  const Sequences at = append_events(engine, 1);
  const Event before = event_at(engine, at[0]).value();
  value_of(engine.update_outbox(
      outbox_key, at,
      [&](const Current& current) {
        CHECK(current.record->status == Status::in_progress);
        return Change();
      },
      Durability::synced));
  CHECK(event_at(engine, at[0]) == before);
}

TEST_CASE_TEMPLATE("the outbox's cursor: what is left behind is found until it is settled", P,
                   ENGINES) {
  Opened<P> opened;
  CHECK(cursor_of(*opened.engine).from == 0);
  const Sequences at = append_events(*opened.engine, 6);
  deliver(*opened.engine, at[0], {.from = at[0]});
  CHECK(cursor_of(*opened.engine).from == at[0]);
  CHECK(cursor_of(*opened.engine).left.empty());
  deliver(*opened.engine, at[4], {.from = at[4], .left = {at[1], at[2], at[3]}});
  CHECK(cursor_of(*opened.engine).left == Sequences{at[1], at[2], at[3]});
  // It never goes back.
  deliver(*opened.engine, at[1], {.from = at[0]});
  CHECK(cursor_of(*opened.engine).from == at[4]);
  change_outbox(*opened.engine, {at[2]}, [&](std::span<const std::optional<Event>>) {
    return OutboxChange{.erase = {at[2]}};
  });
  CHECK(cursor_of(*opened.engine).left == Sequences{at[3]});
  if (P::lasting) opened.reopen();
  CHECK(cursor_of(*opened.engine).from == at[4]);
  CHECK(cursor_of(*opened.engine).left == Sequences{at[3]});
  // What is behind the cursor and becomes pending once more is found again.
  change_outbox(*opened.engine, {at[0]}, [](std::span<const std::optional<Event>> events) {
    OutboxChange change;
    change.put.push_back(events[0].value());
    change.put[0].status = EventStatus::pending;
    change.put[0].expires_at = {};
    return change;
  });
  CHECK(cursor_of(*opened.engine).left == Sequences{at[0], at[3]});
  deliver(*opened.engine, at[3]);
  CHECK(cursor_of(*opened.engine).left == Sequences{at[0]});
  value_of(opened.engine->compact({}));
  CHECK(cursor_of(*opened.engine).left == Sequences{at[0]});
}

TEST_CASE_TEMPLATE("the outbox's cursor: a reading sees it as of one moment", P, ENGINES) {
  Opened<P> opened;
  const Sequences at = append_events(*opened.engine, 2);
  const auto reading = value_of(opened.engine->read());
  deliver(*opened.engine, at[1], {.from = at[1], .left = {at[0]}});
  CHECK(value_of(reading->outbox_cursor()).from == 0);
  CHECK(value_of(reading->event_at(at[1]))->status == EventStatus::pending);
}

TEST_CASE_TEMPLATE("the outbox's cursor: rows that are imported are found, delivered ones passed",
                   P, ENGINES) {
  Opened<P> from;
  const Sequences at = append_events(*from.engine, 4);
  deliver(*from.engine, at[0]);
  deliver(*from.engine, at[2]);
  const auto rows = rows_of(*from.engine, {});
  Opened<P> to;
  value_of(to.engine->import_rows(rows));
  value_of(to.engine->finish_import());
  if (P::lasting) to.reopen();
  CHECK(cursor_of(*to.engine).from == at[3]);
  CHECK(cursor_of(*to.engine).left == Sequences{at[1], at[3]});
  if (P::lasting) CHECK(append_events(*to.engine, 1)[0] > at[3]);
}

TEST_CASE_TEMPLATE("sweep: delivered events go in their time, pending and dead ones never", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  const Sequences at = append_events(engine, 3);
  deliver(engine, at[0], {.from = at[2], .left = {at[1], at[2]}});
  change_outbox(engine, {at[1]}, [](std::span<const std::optional<Event>> events) {
    OutboxChange change;
    change.put.push_back(events[0].value());
    change.put[0].status = EventStatus::dead;
    return change;
  });
  opened.clock->advance(1h - 1ms);
  CHECK(value_of(engine.sweep({})).events == 0);
  opened.clock->advance(24h * 3650);
  CHECK(value_of(engine.sweep({})).events == 1);
  CHECK_FALSE(event_at(engine, at[0]));
  CHECK(event_at(engine, at[1])->status == EventStatus::dead);
  CHECK(cursor_of(engine).left == Sequences{at[1], at[2]});
}
