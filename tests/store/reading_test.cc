// Looking at a store while another process writes: consistent, changes nothing, blocks nobody.
#include <doctest/doctest.h>

#include <thread>

#include "store/sample_store.h"
#include "support/child.h"
#include "support/layouts.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

struct Place {
  TemporaryDirectory directory;
  std::string path = directory.file("store");
};

template <class L>
Store make_store(const std::string& path) {
  return value_of(Store::open(path, {.layout = L::layout}));
}

std::string name_of(int number) {
  return "key " + std::to_string(number);
}

}  // namespace

TEST_CASE_TEMPLATE("on a held store a reader sees what was acknowledged before it came", L,
                   LAYOUTS) {
  const Place place;
  const std::string& path = place.path;
  Store writer = make_store<L>(path);
  write_some(writer, "first");
  const auto before = value_of(rows_of(writer));
  Store reader = value_of(Store::open(path, {.read_only = true}));
  write_some(writer, "second");
  CHECK(value_of(rows_of(reader)) == before);
  CHECK(value_of(reader.verify()).problems.empty());
  CHECK(value_of(rows_of(writer)).size() > before.size());
}

TEST_CASE_TEMPLATE("a reader changes no byte, held or not", L, LAYOUTS) {
  const Place place;
  const std::string& path = place.path;
  std::optional<Store> writer = make_store<L>(path);
  // No sweep: the writer would be compacting in the background.
  write_some(*writer, "first");
  for (const bool held : {true, false}) {
    if (!held) writer.reset();
    const auto before = content_of(path);
    {
      Store reader = value_of(Store::open(path, {.read_only = true}));
      (void)value_of(rows_of(reader));
      (void)value_of(reader.stats());
      (void)value_of(reader.verify());
      (void)value_of(reader.find("nothing"));
      value_of(reader.close());
    }
    CHECK(content_of(path) == before);
  }
}

TEST_CASE_TEMPLATE("what would change it is refused by name", L, LAYOUTS) {
  const Place place;
  const std::string& path = place.path;
  make_sample(path, L::layout);
  Store reader = value_of(Store::open(path, {.read_only = true}));
  const auto before = content_of(path);
  CHECK(error_of(reader.reserve("key")) == ErrorCode::unsupported);
  CHECK(error_of(reader.execute("key", [] { return 1; })) == ErrorCode::unsupported);
  CHECK(error_of(reader.transact("key", [](Transaction&) { return 1; })) == ErrorCode::unsupported);
  CHECK(error_of(reader.remove("key")) == ErrorCode::unsupported);
  CHECK(error_of(reader.publish({.type = "event"})) == ErrorCode::unsupported);
  CHECK(error_of(reader.sweep()) == ErrorCode::unsupported);
  CHECK(content_of(path) == before);
  // A finished key is answered.
  const auto replay =
      value_of(reader.execute(Key("tenant", "last", "done 0"), [] { return Bytes("again"); }));
  CHECK(replay.replayed());
  CHECK(replay.value() == std::string(100, 'a'));
}

TEST_CASE_TEMPLATE("a reader keeps nobody from opening to write, nor from closing", L, LAYOUTS) {
  const Place place;
  const std::string& path = place.path;
  make_sample(path, L::layout);
  Store reader = value_of(Store::open(path, {.read_only = true}));
  const auto before = value_of(rows_of(reader));
  for (int i = 0; i < 3; ++i) {
    Store writer = value_of(Store::open(path, {.open_timeout_ms = 0ms}));
    write_some(writer, "more " + std::to_string(i));
    value_of(writer.sweep());
    value_of(writer.close());
  }
  CHECK(value_of(rows_of(reader)) == before);
}

TEST_CASE_TEMPLATE("readers come and go while another process flushes and compacts", L, LAYOUTS) {
  const Place place;
  const std::string& path = place.path;
  Child writer([&](Child& me) {
    auto store = Store::open(path, {.layout = L::layout});
    if (!store) return 1;
    // Tells of each commit after it was acknowledged, and sweeps after each few.
    for (int i = 0;; ++i) {
      const auto done = store->transact(name_of(i), [&](Transaction&) { return Bytes("value"); },
                                        {.durability = Durability::buffered});
      if (!done) return 2;
      if (i % 4 == 3 && !store->sweep()) return 3;
      me.tell();
    }
  });
  int acknowledged = 0;
  int missing = 0;
  for (int i = 0; i < 100; ++i) {
    REQUIRE(writer.wait());
    ++acknowledged;
    auto reader = Store::open(path, {.read_only = true});
    if (!reader) {
      const std::string why = reader.error().message;
      FAIL(why);
    }
    for (int j = 0; j < acknowledged; ++j) {
      const auto found = value_of(reader->find(name_of(j)));
      if (!found || !found->outcome || found->outcome->value != "value") ++missing;
    }
    if (i % 20 == 0) CHECK(value_of(reader->verify()).problems.empty());
  }
  CHECK(missing == 0);
  writer.kill(SIGKILL);
  CHECK(writer.end() == -SIGKILL);
}

TEST_CASE_TEMPLATE("readers come and go while writers open, close and are killed", L, LAYOUTS) {
  const Place place;
  const std::string& path = place.path;
  value_of(make_store<L>(path).execute("first", [] { return 1; }));
  for (int round = 0; round < 5; ++round) {
    Child writer([&, round](Child& me) {
      for (int i = 0; i < 100; ++i) {
        auto store = Store::open(path);
        if (!store) return 1;
        const Key key("", std::to_string(round), name_of(i));
        if (!store->execute(key, [] { return Bytes("value"); })) return 2;
        me.tell();
      }
      return 0;
    });
    int missing = 0;
    for (int i = 0; i < 6; ++i) {
      REQUIRE(writer.wait());
      Store reader = value_of(Store::open(path, {.read_only = true}));
      for (int j = 0; j <= i; ++j) {
        const Key key("", std::to_string(round), name_of(j));
        if (!value_of(reader.find(key))) ++missing;
      }
      CHECK(value_of(reader.find("first")).has_value());
    }
    CHECK(missing == 0);
    writer.kill(SIGKILL);
    (void)writer.end();
  }
  Store whole = value_of(Store::open(path));
  CHECK(value_of(whole.verify()).problems.empty());
}
