// A store and fork(): the child is told, does not hang, and the parent goes on.
#include <doctest/doctest.h>

#include <optional>

#include "store/sample_store.h"
#include "support/child.h"
#include "support/layouts.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;

namespace {

template <class T>
bool forked(const Result<T>& result) {
  return !result && result.error().code == ErrorCode::forked;
}

// Calls everything there is; the number of calls that gave something else than `forked`.
int call_all(Store& store, const Reservation& mine) {
  int wrong = 0;
  const auto check = [&](bool right) { wrong += right ? 0 : 1; };
  check(forked(store.reserve("new")));
  check(forked(store.execute("new", [] { return 1; })));
  check(forked(store.transact("new", [](Transaction&) { return 1; })));
  check(forked(store.complete(mine, Outcome::success())));
  check(forked(store.renew(mine, std::chrono::minutes(1))));
  check(forked(store.release(mine)));
  check(forked(store.doubt(mine)));
  check(forked(store.resolve(mine.key, Verdict::rerun)));
  check(forked(store.remove(mine.key)));
  check(forked(store.reserve_many({})));
  check(forked(store.complete_many({})));
  check(forked(store.find(mine.key)));
  check(forked(store.scan({}, [](const Key&, const Record&) { return true; })));
  check(forked(store.history({}, [](const HistoryEntry&) { return true; })));
  check(forked(store.data("row")));
  check(forked(store.stats()));
  check(forked(store.publish({.type = "event"})));
  check(forked(store.events({}, [](const Event&) { return true; })));
  check(forked(store.save_checkpoint(mine, "step", "")));
  check(forked(store.load_checkpoints(mine.key)));
  check(forked(store.sweep()));
  check(forked(store.verify()));
  check(forked(store.backup("/nowhere")));
  check(forked(store.rows(Table::all, [](const Row&) { return true; })));
  return wrong;
}

}  // namespace

TEST_CASE_TEMPLATE(
    "every call in the child says that it is a fork, and destroying the store is fine", L,
    LAYOUTS) {
  const TemporaryDirectory directory;
  for (const std::string& where : {std::string("memory:"), directory.file("store")}) {
    CAPTURE(where);
    std::optional<Store> store = value_of(Store::open(where, {.layout = L::layout}));
    const Reservation mine = reserve(*store, "mine");
    // A heartbeat thread and RocksDB's are there when the fork happens.
    value_of(store->execute("before", [] { return 1; }));
    Child child([&](Child&) {
      const int wrong = call_all(*store, mine);
      store.reset();
      return wrong;
    });
    CHECK(child.end() == 0);
    value_of(store->complete(mine, Outcome::success("by the parent")));
    CHECK(value_of(store->find("mine"))->outcome->value == "by the parent");
    CHECK_FALSE(value_of(store->find("new")).has_value());
  }
}

TEST_CASE_TEMPLATE("a child that lives on does not keep the store, and may open it by itself", L,
                   LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("store");
  std::optional<Store> store = value_of(Store::open(path, {.layout = L::layout}));
  const Reservation mine = reserve(*store, "mine");
  Child child([&](Child& me) {
    me.tell();
    if (!me.wait()) return 1;
    auto own = Store::open(path);
    if (!own) return 2;
    const auto done = own->execute("by the child", [] { return 7; });
    return done && own->sweep() && own->close() ? 0 : 3;
  });
  REQUIRE(child.wait());
  value_of(store->complete(mine, Outcome::success()));
  value_of(store->close());
  child.tell();
  CHECK(child.end() == 0);
  Store again = value_of(Store::open(path));
  CHECK(value_of(again.find("by the child")).has_value());
}
