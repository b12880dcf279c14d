// What every engine must do (lib/engine/engine.h), tried on each of them.
#include "engine/engine.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "engines.h"

using namespace once;
using namespace once::engine;
using namespace once::testing;
using namespace std::chrono_literals;

TEST_CASE_TEMPLATE("update: shows the record, and makes the whole change", P, ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  const Key key("tenant", "operation", "id");
  CHECK_FALSE(value_of(engine.find(key)).has_value());
  bool seen = true;
  value_of(engine.update(
      key,
      [&](const Current& current) {
        seen = current.record.has_value();
        CHECK(current.now == engine.now());
        Change change = completing(key, "value")(current);
        change.checkpoints.push_back({.name = "step", .data = "output", .token = current.fresh});
        change.events.push_back({.id = "1", .type = "told"});
        return change;
      },
      Durability::synced));
  CHECK_FALSE(seen);
  const Found found = value_of(engine.find(key)).value();
  CHECK(found.outcome->value == "value");
  CHECK(found.record.last_history != 0);
  const auto entry = value_of(value_of(engine.read())->history_at(found.record.last_history));
  CHECK(entry->key == key);
  CHECK(entry->token == found.record.token);
  CHECK(rows_of(engine, {.table = Table::checkpoints}).size() == 1);
  CHECK(rows_of(engine, {.table = Table::outbox}).size() == 1);
  value_of(engine.update(
      key,
      [&](const Current& current) {
        CHECK(current.record == found.record);
        CHECK(value_of(engine.checkpoint(key, "step")).value().data == "output");
        CHECK(value_of(engine.checkpoint(key, "step")).value().token == found.record.token);
        CHECK_FALSE(value_of(engine.checkpoint(key, "ste")));
        CHECK_FALSE(value_of(engine.checkpoint("id", "step")));
        CHECK(current.fresh > found.record.token);
        return Change();
      },
      Durability::synced));
}

TEST_CASE_TEMPLATE("find_many: each as it is found by itself", P, ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  std::vector<Key> keys;
  for (int i = 0; i < 40; ++i) {
    keys.emplace_back("tenant", "operation", std::to_string(i));
    // Every fourth is never seen, every fourth has no outcome.
    if (i % 4 == 0) continue;
    const auto change = [&](const Current& current) {
      if (i % 4 == 1) return Change{.put = Record{.token = current.fresh}};
      return completing(keys.back(), std::to_string(i))(current);
    };
    value_of(engine.update(keys.back(), change, Durability::synced));
  }
  std::vector<const Key*> asked;
  for (const Key& key : keys) asked.push_back(&key);
  std::ranges::reverse(asked);
  asked.push_back(&keys[2]);  // named twice
  auto found = engine.find_many(asked);
  REQUIRE(found.size() == asked.size());
  int finished = 0;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto alone = value_of(engine.find(*asked[i]));
    const auto& together = value_of(std::move(found[i]));
    REQUIRE(together.has_value() == alone.has_value());
    if (!alone) continue;
    CHECK(together->record == alone->record);
    CHECK(together->outcome == alone->outcome);
    if (alone->outcome) ++finished;
  }
  CHECK(finished == 21);
  CHECK(engine.find_many({}).empty());
}

TEST_CASE_TEMPLATE("update: an empty change writes nothing", P, ENGINES) {
  Opened<P> opened;
  value_of(opened.engine->update("key", nothing, Durability::synced));
  CHECK(rows_of(*opened.engine, {}).size() == 1);  // the store's own
}

TEST_CASE_TEMPLATE("update: nothing happens in between on a key", P, ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  constexpr int threads = 8;
  constexpr std::uint32_t times = 100;
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      for (std::uint32_t j = 0; j < times; ++j) {
        (void)engine.update(
            "counter",
            [](const Current& current) {
              Change change;
              change.put = current.record.value_or(Record{.attempt = 0});
              ++change.put->attempt;
              return change;
            },
            Durability::buffered);
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  CHECK(value_of(engine.find("counter"))->record.attempt == threads * times);
}

TEST_CASE_TEMPLATE("update: removing takes outcome and checkpoints along, of this key only", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  for (const Key& key : {Key("a"), Key("ab"), Key("a", "", "b")}) {
    value_of(engine.update(
        key,
        [&](const Current& current) {
          Change change = completing(key, "value")(current);
          change.checkpoints = {{.name = "1", .data = "", .token = current.fresh},
                                {.name = "2", .data = "", .token = current.fresh}};
          return change;
        },
        Durability::buffered));
  }
  value_of(engine.update("a", removing("a"), Durability::buffered));
  CHECK_FALSE(value_of(engine.find("a")).has_value());
  CHECK(rows_of(engine, {.table = Table::keys}).size() == 2);
  CHECK(rows_of(engine, {.table = Table::results}).size() == 2);
  CHECK(rows_of(engine, {.table = Table::checkpoints}).size() == 4);
  CHECK(rows_of(engine, {.table = Table::checkpoints, .key = "ab"}).size() == 2);
  CHECK(rows_of(engine, {.table = Table::history}).size() == 4);
}

TEST_CASE_TEMPLATE("update_many: one commit, and later updates see what earlier ones decided", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  bool seen = false;
  const Update updates[] = {{.key = "a", .transition = completing("a", "first")},
                            {.key = "b", .transition = nothing},
                            {.key = "a", .transition = [&](const Current& current) {
                               seen = current.record && current.record->status == Status::completed;
                               return completing("a", "second")(current);
                             }}};
  value_of(engine.update_many(updates, Durability::synced));
  CHECK(seen);
  CHECK(value_at(engine, "a") == "second");
  CHECK_FALSE(value_of(engine.find("b")).has_value());
  value_of(engine.update_many({}, Durability::synced));
}

TEST_CASE_TEMPLATE("update_many: batches in opposite orders do not wait for each other", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  const auto batch = [&](bool forward) {
    std::vector<Update> updates;
    for (int i = 0; i < 40; ++i) {
      const Key key(std::to_string(forward ? i : 39 - i));
      updates.push_back({.key = key, .transition = completing(key, "value")});
    }
    for (int i = 0; i < 20; ++i) (void)engine.update_many(updates, Durability::buffered);
  };
  std::thread other([&] { batch(true); });
  batch(false);
  other.join();
  CHECK(rows_of(engine, {.table = Table::keys}).size() == 40);
}

TEST_CASE_TEMPLATE("find: what is past retention is absent; what is unfinished never is", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  value_of(engine.update("done", completing("done", "value", 1h), Durability::buffered));
  value_of(engine.update("working", reserving("working"), Durability::buffered));
  opened.clock->advance(1h - 1ms);
  CHECK(value_of(engine.find("done")).has_value());
  opened.clock->advance(1ms);
  CHECK_FALSE(value_of(engine.find("done")).has_value());
  CHECK(rows_of(engine, {.table = Table::keys}).size() == 1);
  CHECK(rows_of(engine, {.table = Table::results}).empty());
  // A transition sees it all the same.
  value_of(engine.update(
      "done",
      [](const Current& current) {
        CHECK(current.record.has_value());
        return Change();
      },
      Durability::buffered));
  opened.clock->advance(24h * 365);
  CHECK(value_of(engine.find("working")).has_value());
}

TEST_CASE_TEMPLATE("find: record and outcome belong together, while both are replaced", P,
                   ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  value_of(engine.update("key", completing("key", "0"), Durability::buffered));
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 1; i < 500; ++i) {
      (void)engine.update("key", completing("key", std::to_string(i)), Durability::buffered);
    }
    done = true;
  });
  int torn = 0;
  while (!done) {
    const auto found = engine.find("key");
    if (!found || !*found || (*found)->outcome->digest() != (*found)->record.outcome) ++torn;
  }
  writer.join();
  CHECK(torn == 0);
}

TEST_CASE_TEMPLATE("append: events get growing sequences, in the order of commits", P, ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  std::vector<Event> events{{.id = "1", .payload = "a"}, {.id = "2", .payload = "b"}};
  value_of(engine.append(events, Durability::synced));
  CHECK(events[0].sequence != 0);
  CHECK(events[1].sequence > events[0].sequence);
  std::vector<Event> more{{.id = "3"}};
  value_of(engine.append(more, Durability::buffered));
  const auto rows = rows_of(engine, {.table = Table::outbox});
  REQUIRE(rows.size() == 3);
  CHECK(std::get<Event>(rows[0]) == events[0]);
  CHECK(std::get<Event>(rows[2]) == more[0]);
  CHECK(rows_of(engine, {.table = Table::outbox, .after = events[0].sequence}).size() == 2);
  CHECK(rows_of(engine, {.table = Table::outbox, .after = more[0].sequence}).empty());
}

TEST_CASE_TEMPLATE("rows: every table in key order, as of the call", P, ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  const std::vector<Key> keys{
      Key(std::string(1, '\0')), Key("a"), Key(std::string("a\0", 2)), Key("ab"), Key("\xff"),
      Key("t", "o", "a")};
  for (const Key& key : {keys[3], keys[5], keys[0], keys[4], keys[2], keys[1]}) {
    value_of(engine.update(key, completing(key, "value"), Durability::buffered));
  }
  std::vector<Key> seen;
  value_of(engine.rows({.table = Table::keys}, [&](const Result<Row>& row) {
    seen.push_back(std::get<KeyRow>(*row).key);
    // What is written meanwhile is not visited.
    return engine.update("zzz", completing("zzz", "late"), Durability::buffered).has_value();
  }));
  std::vector<Key> sorted = keys;
  std::ranges::sort(sorted);
  CHECK(seen == sorted);

  std::vector<std::size_t> kinds;
  for (const Row& row : rows_of(engine, {})) kinds.push_back(row.index());
  CHECK(kinds.front() == 0);
  CHECK(std::ranges::is_sorted(kinds));
  int visited = 0;
  value_of(engine.rows({}, [&](const Result<Row>&) { return ++visited < 3; }));
  CHECK(visited == 3);
}

TEST_CASE_TEMPLATE("view: data as of one moment, and conflicts with what came since", P, ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  value_of(write_data(engine, "1", {.writes = {{"a", Bytes("1")}, {"b", Bytes("2")}}}));
  auto view = value_of(engine.view());
  value_of(write_data(engine, "2", {.writes = {{"a", std::nullopt}, {"c", Bytes("3")}}}));
  CHECK(value_of(view->get("a")) == "1");
  CHECK_FALSE(value_of(view->get("c")).has_value());
  std::vector<Bytes> seen;
  value_of(view->scan("", "", [&](ByteView key, ByteView) {
    seen.emplace_back(key);
    return true;
  }));
  CHECK(seen == std::vector<Bytes>{"a", "b"});
  value_of(view->scan("b", "c", [&](ByteView key, ByteView value) {
    CHECK(key == "b");
    CHECK(value == "2");
    return true;
  }));
  CHECK_FALSE(data_at(engine, "a").has_value());

  const auto late = [&](DataChanges changes) {
    changes.version = view->version();
    changes.writes = {{"late", Bytes("x")}};
    return write_data(engine, "late", changes);
  };
  CHECK(error_of(late({.read = {"a"}})) == ErrorCode::conflict);
  CHECK(error_of(late({.read = {"b", "c"}})) == ErrorCode::conflict);
  CHECK(error_of(late({.ranges = {{"b", "d"}}})) == ErrorCode::conflict);
  CHECK_FALSE(data_at(engine, "late").has_value());
  CHECK_FALSE(value_of(engine.find("late")).has_value());
  value_of(late({.read = {"b"}, .ranges = {{"b", "c"}}}));
  CHECK(data_at(engine, "late") == "x");
}

TEST_CASE_TEMPLATE("data is written only by a change that says so", P, ENGINES) {
  Opened<P> opened;
  const DataChanges data{.writes = {{"a", Bytes("1")}}};
  value_of(opened.engine->update("key", completing("key", ""), Durability::buffered, &data));
  CHECK_FALSE(data_at(*opened.engine, "a").has_value());
}

TEST_CASE_TEMPLATE("sweep: what has expired goes for good, nothing else does", P, ENGINES) {
  Opened<P> opened;
  Engine& engine = *opened.engine;
  value_of(engine.update("done", completing("done", "value", 1h), Durability::buffered));
  value_of(engine.update("kept", completing("kept", "value", 3h), Durability::buffered));
  value_of(engine.update("working", reserving("working"), Durability::buffered));
  std::vector<Event> events{{.id = "pending"}};
  value_of(engine.append(events, Durability::buffered));
  opened.clock->advance(2h);
  CHECK(value_of(engine.stats()).expired == 1);
  const auto expired = [&] { return rows_of(engine, {.table = Table::keys, .expired = true}); };
  REQUIRE(expired().size() == 1);
  CHECK(std::get<KeyRow>(expired()[0]).key == Key("done"));
  CHECK(rows_of(engine, {.table = Table::keys}).size() == 2);
  std::vector<std::uint64_t> told;
  const SweepReport report = value_of(
      engine.sweep([&](std::uint64_t at, std::uint64_t, std::string_view) { told.push_back(at); }));
  CHECK(report.keys == 1);
  CHECK(report.results == 1);
  CHECK(report.events == 0);
  CHECK(std::ranges::is_sorted(told));
  const Stats stats = value_of(engine.stats());
  CHECK(stats.expired == 0);
  CHECK(expired().empty());
  CHECK(stats.completed == 1);
  CHECK(stats.in_progress == 1);
  CHECK(stats.events_pending == 1);
  CHECK(value_at(engine, "kept") == "value");
  value_of(engine.update(
      "done",
      [](const Current& current) {
        CHECK_FALSE(current.record.has_value());
        return Change();
      },
      Durability::buffered));
  int problems = 0;
  CHECK(value_of(engine.verify_bytes({}, [&](const std::string&) { ++problems; })).bytes ==
        (P::lasting ? value_of(engine.stats()).bytes_on_disk : 0));
  CHECK(problems == 0);
}

TEST_CASE_TEMPLATE("import: rows come back as they are, and tokens go on above them", P, ENGINES) {
  Opened<P> from;
  value_of(from.engine->update("done", completing("done", "value"), Durability::buffered));
  value_of(from.engine->update("working", reserving("working"), Durability::buffered));
  value_of(write_data(*from.engine, "data", {.writes = {{"a", Bytes("1")}}}));
  std::vector<Event> events{{.id = "1", .payload = "event"}};
  value_of(from.engine->append(events, Durability::buffered));
  auto rows = rows_of(*from.engine, {});
  const Token last = value_of(from.engine->find("data"))->record.token;

  Opened<P> to;
  value_of(to.engine->import_rows(rows));
  value_of(to.engine->finish_import());
  if (P::lasting) to.reopen();
  auto copied = rows_of(*to.engine, {});
  // The store's own row counts its openings.
  rows.erase(rows.begin());
  copied.erase(copied.begin());
  CHECK(copied == rows);
  if (!P::lasting) return;
  value_of(to.engine->update("new", completing("new", ""), Durability::buffered));
  CHECK(value_of(to.engine->find("new"))->record.token > last);
}

TEST_CASE_TEMPLATE("reopening: everything is there, and numbers only grow", P, InDirectory) {
  Opened<P> opened;
  Token token;
  std::uint64_t sequence = 0;
  for (int i = 0; i < 4; ++i) {
    const Key key("key " + std::to_string(i));
    value_of(opened.engine->update(key, completing(key, "value", 24h), Durability::buffered));
    const Record record = value_of(opened.engine->find(key))->record;
    CHECK(record.token > token);
    CHECK(record.last_history > sequence);
    token = record.token;
    sequence = record.last_history;
    const auto before = rows_of(*opened.engine, {.table = Table::keys});
    opened.reopen();
    CHECK(rows_of(*opened.engine, {.table = Table::keys}) == before);
  }
}

TEST_CASE_TEMPLATE("history: numbered, chained, and left out where it is switched off", P,
                   ENGINES) {
  Opened<P> opened;
  for (int i = 0; i < 3; ++i) {
    value_of(opened.engine->update("key", completing("key", "value"), Durability::buffered));
  }
  std::uint64_t before = 0;
  for (const Row& row : rows_of(*opened.engine, {.table = Table::history})) {
    const auto& entry = std::get<HistoryEntry>(row);
    CHECK(entry.previous == before);
    CHECK(entry.sequence > before);
    before = entry.sequence;
  }
  CHECK(value_of(opened.engine->find("key"))->record.last_history == before);
  CHECK_FALSE(value_of(value_of(opened.engine->read())->history_at(before + 1)).has_value());

  Opened<P> without;
  without.options.history = false;
  without.reopen();
  value_of(without.engine->update("key", completing("key", "value"), Durability::buffered));
  CHECK(rows_of(*without.engine, {.table = Table::history}).empty());
  CHECK(value_of(without.engine->find("key"))->record.last_history == 0);
}

TEST_CASE_TEMPLATE("tallies: those that are given take the place of what is kept, others stay", P,
                   ENGINES) {
  const auto label = [](Bytes operation, std::uint64_t executions) {
    return LabelTally{.operation = std::move(operation), .tally = {.executions = executions}};
  };
  // Before the engine, which asks for it when it is closed, too.
  std::vector<LabelTally> current{label("a", 1), label("b", 2)};
  Opened<P> opened;
  opened.engine->keep_tallies([&] { return current; });
  CHECK(value_of(opened.engine->tallies()).empty());
  if (!P::lasting) {
    opened.clock->advance(1min);
    value_of(opened.engine->update("key", completing("key", "value"), Durability::buffered));
    CHECK(value_of(opened.engine->tallies()) == current);
    return;
  }
  opened.reopen();
  CHECK(value_of(opened.engine->tallies()) == std::vector{label("a", 1), label("b", 2)});
  current = {label("b", 5), label("c", 1)};
  opened.engine->keep_tallies([&] { return current; });
  opened.reopen();
  CHECK(value_of(opened.engine->tallies()) ==
        std::vector{label("a", 1), label("b", 5), label("c", 1)});
}
