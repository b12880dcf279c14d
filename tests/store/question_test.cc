// Questions: another one under the same key is refused, and the error names the fields that differ.
#include "once/question.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "fixture.h"
#include "once/salvage.h"
#include "support/layouts.h"

using namespace once;
using namespace once::testing;

namespace {

Question order(int amount, const std::string& currency = "EUR") {
  return value_of(question_of(Fields().add("amount", amount).add("currency", currency)));
}

ReserveOptions reserving(const Question& question) {
  return {.fingerprint = question.fingerprint, .fields = question.fields};
}

template <class T>
void check_names(const Result<T>& refused, const std::vector<std::string>& names) {
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::mismatch);
  CHECK(refused.error().differing_fields == names);
  for (const std::string& name : names) {
    CHECK(refused.error().message.find("'" + name + "'") != std::string::npos);
  }
}

Record record_of(Store& store, const Key& key) {
  const auto found = value_of(store.find(key));
  REQUIRE(found.has_value());
  return found->record;
}

}  // namespace

TEST_CASE("execute, transact, reserve and a batch name the fields that differ") {
  Store store = Simulation().open();
  const Question asked = order(4200);
  const Question other = order(4300);
  const ExecuteOptions executing{.fingerprint = asked.fingerprint, .fields = asked.fields};
  CHECK_FALSE(value_of(store.execute("k", [] {}, executing)).replayed());
  CHECK(value_of(store.execute("k", [] {}, executing)).replayed());
  check_names(store.execute("k", [] { FAIL("ran"); },
                            {.fingerprint = other.fingerprint, .fields = other.fields}),
              {"amount"});
  check_names(store.transact("k", [](Transaction&) { FAIL("ran"); },
                             {.fingerprint = other.fingerprint, .fields = other.fields}),
              {"amount"});
  check_names(store.reserve("k", reserving(order(1, "USD"))), {"amount", "currency"});
  const std::vector<ReserveRequest> batch{{.key = "k", .options = reserving(other)}};
  check_names(value_of(store.reserve_many(batch))[0], {"amount"});
  // Fields without a fingerprint are a question too.
  check_names(store.reserve("k", {.fields = other.fields}), {"amount"});
  CHECK(replayed(store.reserve("k", {.fields = asked.fields})).provenance.replayed);
  CHECK(value_of(store.stats()).mismatches == 5);
}

TEST_CASE("a transaction keeps the fields of its question") {
  Store store = Simulation().open();
  const Question asked = order(1);
  value_of(store.transact("k", [](Transaction&) {},
                          {.fingerprint = asked.fingerprint, .fields = asked.fields}));
  check_names(store.reserve("k", reserving(order(2))), {"amount"});
}

TEST_CASE("a mismatch is told before busy, and a released key may ask anew") {
  Store store = Simulation().open();
  const Reservation mine = reserved(store.reserve("k", reserving(order(1))));
  check_names(store.reserve("k", reserving(order(2))), {"amount"});
  CHECK(error_of(store.reserve("k", reserving(order(1)))) == ErrorCode::busy);
  value_of(store.release(mine));
  reserved(store.reserve("k", reserving(order(2))));
  check_names(store.reserve("k", reserving(order(1))), {"amount"});
}

TEST_CASE(
    "a record of a program that gave no fields answers as before, and is told by fingerprint") {
  Store store = Simulation().open();
  value_of(store.execute("k", [] {}, {.fingerprint = order(1).fingerprint}));
  CHECK(replayed(store.reserve("k", reserving(order(1)))).provenance.replayed);
  const auto refused = store.reserve("k", reserving(order(2)));
  check_names(refused, {});
  CHECK(refused.error().message.find("fingerprint") != std::string::npos);
}

TEST_CASE("values are not kept, and equal ones under two keys do not look equal") {
  Store store = Simulation().open();
  reserved(store.reserve("a", reserving(order(4200))));
  reserved(store.reserve("b", reserving(order(4200))));
  const Record a = record_of(store, "a");
  const Record b = record_of(store, "b");
  REQUIRE(a.fields.size() == 2);
  REQUIRE(b.fields.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(a.fields[i].name == b.fields[i].name);
    CHECK(a.fields[i].digest != b.fields[i].digest);
    CHECK(a.fields[i].digest != order(4200).fields[i].digest);
  }
}

TEST_CASE_TEMPLATE("fields outlive the process, and go through backup, salvage and verify", L,
                   LAYOUTS) {
  const TemporaryDirectory directory;
  const Simulation simulation;
  const Key key("t", "o", "k");
  {
    Store store = simulation.open(directory.file("s"), L::layout);
    value_of(store.execute(key, [] {},
                           {.fingerprint = order(1).fingerprint, .fields = order(1).fields}));
  }
  std::vector<FieldDigest> kept;
  {
    Store store = simulation.open(directory.file("s"));
    check_names(store.reserve(key, reserving(order(2))), {"amount"});
    CHECK(problems_of(store) == 0);
    kept = record_of(store, key).fields;
    CHECK(kept.size() == 2);
    value_of(store.backup(directory.file("backup")));
  }
  const auto saved = value_of(
      salvage(directory.file("s"), directory.file("salvaged"), {.store = simulation.options()}));
  CHECK(saved.lost == 0);
  for (const char* copied : {"backup", "salvaged"}) {
    CAPTURE(copied);
    Store copy = simulation.open(directory.file(copied));
    CHECK(record_of(copy, key).fields == kept);
    check_names(copy.reserve(key, reserving(order(1, "USD"))), {"currency"});
    CHECK(problems_of(copy) == 0);
  }
}

TEST_CASE("fields over their limits are refused before anything changes") {
  Store store = Simulation().open();
  std::vector<FieldDigest> many;
  for (int i = 0; i < 65; ++i) many.push_back(FieldDigest::of(std::to_string(i), ""));
  const std::vector<FieldDigest> twice{FieldDigest::of("a", "1"), FieldDigest::of("a", "1")};
  const std::vector<FieldDigest> longer{FieldDigest::of(std::string(256, 'x'), "1")};
  for (const auto& [fields, code] :
       {std::pair(many, ErrorCode::limit_exceeded), std::pair(longer, ErrorCode::limit_exceeded),
        std::pair(twice, ErrorCode::invalid_argument)}) {
    CHECK(error_of(store.reserve("k", {.fields = fields})) == code);
    CHECK(error_of(store.execute("k", [] { FAIL("ran"); }, {.fields = fields})) == code);
    CHECK(error_of(store.transact("k", [](Transaction&) { FAIL("ran"); }, {.fields = fields})) ==
          code);
    const std::vector<ReserveRequest> batch{{.key = "b"},
                                            {.key = "k", .options = {.fields = fields}}};
    CHECK(error_of(store.reserve_many(batch)) == code);
  }
  CHECK_FALSE(value_of(store.find("k")).has_value());
  CHECK_FALSE(value_of(store.find("b")).has_value());
  many.pop_back();
  many[0].name = std::string(255, 'x');
  reserved(store.reserve("k", {.fields = many}));
  CHECK(record_of(store, "k").fields.size() == 64);
}

TEST_CASE("a loader takes fields only as a store would have kept them") {
  const TemporaryDirectory directory;
  const Simulation simulation;
  const auto added = [&](const std::vector<FieldDigest>& fields) -> Result<void> {
    Loader loader = value_of(Loader::create(directory.file("fresh"), simulation.options()));
    return loader.add(KeyRow{.key = "k", .record = {.token = Token{1}, .fields = fields}});
  };
  value_of(added({FieldDigest::of("a", ""), FieldDigest::of("b", "")}));
  CHECK(error_of(added({FieldDigest::of("b", ""), FieldDigest::of("a", "")})) ==
        ErrorCode::invalid_argument);
  CHECK(error_of(added({FieldDigest::of("a", ""), FieldDigest::of("a", "")})) ==
        ErrorCode::invalid_argument);
  CHECK(error_of(added({FieldDigest::of(std::string(256, 'x'), "")})) == ErrorCode::limit_exceeded);
  CHECK(error_of(added(std::vector(65, FieldDigest::of("a", "")))) == ErrorCode::limit_exceeded);
}
