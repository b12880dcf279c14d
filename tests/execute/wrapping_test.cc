// idempotent(), pipelines, and the codecs of once/json_codec.h.
#include <doctest/doctest.h>

#include <stdexcept>

#include "once/idempotent.h"
#include "once/json_codec.h"
#include "once/pipeline.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;
using Json = nlohmann::json;

namespace {

struct Receipt {
  std::string id;
  int cents = 0;
  friend bool operator==(const Receipt&, const Receipt&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Receipt, id, cents)

struct Packed {
  std::vector<int> numbers;
  friend bool operator==(const Packed&, const Packed&) = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Packed, numbers)

}  // namespace

template <>
struct once::Codec<Receipt> : once::JsonCodec<Receipt> {};
template <>
struct once::Codec<Packed> : once::MessagePackCodec<Packed> {};

TEST_CASE("a wrapped callable runs once for each set of arguments") {
  Store store = Simulation().open();
  int runs = 0;
  auto charge = idempotent(store, "charge", [&](const std::string& order, int cents) {
    ++runs;
    return order + ":" + std::to_string(cents);
  });
  CHECK(value_of(charge("order-42", 1999)).value() == "order-42:1999");
  CHECK(value_of(charge(std::string("order-42"), 1999)).replayed());
  CHECK_FALSE(value_of(charge("order-42", 2000)).replayed());
  CHECK_FALSE(value_of(charge("order-43", 1999)).replayed());
  CHECK(runs == 3);
  CHECK(charge.key("order-42", 1999).operation == "charge");
  CHECK(charge.key("order-42", 1999).id.size() == 5 + 32);
}

TEST_CASE("no two lists of arguments share a key, and the keys are those of before") {
  Store store = Simulation().open();
  auto wrapped = idempotent(store, "f", [](auto&&...) {}, {.tenant = "acme"});
  const std::optional<Bytes> null;
  const std::vector<Key> keys{
      wrapped.key(),          wrapped.key(""),     wrapped.key("", ""),   wrapped.key(null),
      wrapped.key("a", "b"),  wrapped.key("ab"),   wrapped.key("ab", ""), wrapped.key("", "ab"),
      wrapped.key(1),         wrapped.key(1.5),    wrapped.key(true),     wrapped.key("1"),
      wrapped.key("1.5"),     wrapped.key("true"), wrapped.key(1.0),      wrapped.key(Json(1)),
      wrapped.key(Json("1")), wrapped.key(0.1),    wrapped.key(0.1F),     wrapped.key(false),
      wrapped.key(0),         wrapped.key(0.0),    wrapped.key(1, 1),     wrapped.key(1, "1")};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK(keys[i] != keys[j]);
  }
  CHECK(wrapped.key().tenant == "acme");
  // SHA-256 of nothing: for ever the key of no arguments.
  CHECK(wrapped.key().id == "args:e3b0c44298fc1c149afbf4c8996fb924");
  CHECK(wrapped.key(null, true, -7, 0.5, "a", Json{{"a", 1}}).id ==
        "args:a4996c79d2f22272ff827636ccd61dff");
}

TEST_CASE("equal arguments of one kind share a key, whatever their types") {
  Store store = Simulation().open();
  auto wrapped = idempotent(store, "f", [](auto&&...) {});
  CHECK(wrapped.key(1) == wrapped.key(std::uint8_t{1}));
  CHECK(wrapped.key(1) == wrapped.key(std::int64_t{1}));
  CHECK(wrapped.key(1) == wrapped.key(std::optional(1)));
  CHECK(wrapped.key(0.5) == wrapped.key(0.5F));
  CHECK(wrapped.key(0.1F) == wrapped.key(static_cast<double>(0.1F)));
  CHECK(wrapped.key(0.1F) == wrapped.key(std::optional(0.1F)));
  CHECK(wrapped.key(0.0) == wrapped.key(-0.0));
  CHECK(wrapped.key("a") == wrapped.key(std::string("a")));
  CHECK(wrapped.key("a") == wrapped.key(std::string_view("a")));
  CHECK(wrapped.key(std::optional<int>()) == wrapped.key(std::optional<Json>()));
  const Json scattered = Json::parse(R"({"b": 1.0, "a": 2})");
  CHECK(wrapped.key(scattered) == wrapped.key(std::optional(Json::parse(R"({"a":2,"b":1})"))));
}

TEST_CASE("JSON arguments are written in one form") {
  Store store = Simulation().open();
  auto wrapped = idempotent(store, "f", [](const Json&) { return 1; });
  const auto a = Json::parse(R"({"b": 1, "a": [1.0, 2]})");
  const auto b = Json::parse(R"({"a":[1,2.0],"b":1e0})");
  CHECK(wrapped.key(a) == wrapped.key(b));
  CHECK(wrapped.key(a) != wrapped.key(Json::parse(R"({"a":[2,1],"b":1})")));
  CHECK_FALSE(value_of(wrapped(a)).replayed());
  CHECK(value_of(wrapped(b)).replayed());
  CHECK(wrapped.key(Receipt{.id = "x", .cents = 1}) ==
        wrapped.key(Json{{"cents", 1}, {"id", "x"}}));
}

TEST_CASE("typed results in JSON and in MessagePack") {
  Store store = Simulation().open();
  const Receipt receipt{.id = "r-1", .cents = 5};
  const Packed packed{.numbers = {1, 2, 3}};
  const Json json = {{"list", {1, nullptr, "x"}}, {"deep", {{"er", true}}}};
  for (int i = 0; i < 2; ++i) {
    CHECK(value_of(store.execute("receipt", [&] { return receipt; })).value() == receipt);
    CHECK(value_of(store.execute("packed", [&] { return packed; })).value() == packed);
    CHECK(value_of(store.execute("json", [&] { return json; })).value() == json);
    CHECK(value_of(store.execute("null", [] { return Json(); })).value() == Json());
    CHECK(value_of(store.execute("none", [] { return std::optional<Receipt>(); })).value() ==
          std::nullopt);
  }
  CHECK(value_of(store.find("receipt"))->outcome->value == R"({"cents":5,"id":"r-1"})");
}

TEST_CASE("a codec that cannot read an old result says so, and names the key") {
  Store store = Simulation().open();
  const auto refused = [&](const Key& key, const Bytes& stored, auto type) {
    using T = decltype(type);
    value_of(store.execute(key, [&] { return stored; }));
    const auto answer = store.execute(key, []() -> T { throw std::logic_error("must not run"); });
    CHECK(error_of(answer) == ErrorCode::wrong_type);
    CHECK(answer.error().message.find("key " + key.to_string()) != std::string::npos);
    CHECK(value_of(store.find(key))->outcome->value == stored);
    return answer.error().message;
  };
  refused("no-json", "{\"id\": ", Receipt());
  refused("more-behind", "{\"id\":\"x\",\"cents\":1} and more", Receipt());
  CHECK(refused("member-missing", R"({"id":"x"})", Receipt()).find("cents") != std::string::npos);
  refused("other-type", R"({"id":"x","cents":"many"})", Receipt());
  refused("no-msgpack", "\xc1", Packed());
  refused("json-deep", std::string(10'000, '[') + std::string(10'000, ']'), Json());
  // Arrays of one element, a million deep.
  refused("msgpack-deep", std::string(1'000'000, '\x91') + "\x01", Packed());
  const Bytes deep_enough = std::string(500, '[') + std::string(500, ']');
  value_of(store.execute("json-not-too-deep", [&] { return deep_enough; }));
  CHECK(value_of(store.execute("json-not-too-deep", [] { return Json(); })).value().is_array());
}

TEST_CASE("what cannot be written as JSON throws, and counts as the work's exception") {
  Store store = Simulation().open();
  const auto not_text = [] { return Receipt{.id = "\xff", .cents = 1}; };
  CHECK_THROWS_AS(store.execute("k", not_text), Json::exception);
  CHECK(value_of(store.status("k")) == KeyStatus::in_doubt);
}

namespace {

struct Checkout : Pipeline<Receipt, Receipt, std::string> {
  using Pipeline::Pipeline;
  int processed = 0;
  int executed = 0;
  bool dies_before_execute = false;
  std::optional<Error> fails{};

  Result<void> validate(const Receipt& input) override {
    if (input.cents >= 0) return {};
    return std::unexpected(work_failed("negative", "less than nothing"));
  }
  Result<Receipt> process(const Receipt& input) override {
    ++processed;
    return Receipt{.id = input.id + "/processed", .cents = input.cents * 2};
  }
  Result<std::string> execute(const Receipt& prepared, const Reservation& mine) override {
    if (std::exchange(dies_before_execute, false)) throw std::runtime_error("died");
    ++executed;
    CHECK(mine.token.value != 0);
    if (fails) return std::unexpected(*fails);
    return prepared.id + " for " + std::to_string(prepared.cents);
  }
};

}  // namespace

TEST_CASE("a pipeline runs its stages once, each under a key of its own") {
  Store store = Simulation().open();
  Executor executor(store);
  Checkout checkout(executor);
  const Key key("shop", "checkout", "42");
  const Receipt input{.id = "order", .cents = 5};
  for (int i = 0; i < 2; ++i) {
    const auto done = value_of(checkout.run(key, input));
    CHECK(done.value() == "order/processed for 10");
    CHECK(done.replayed() == (i > 0));
  }
  CHECK(checkout.processed == 1);
  CHECK(checkout.executed == 1);
  CHECK(value_of(store.status({"shop", "checkout.process", "42"})) == KeyStatus::completed);
  CHECK(value_of(store.status({"shop", "checkout.execute", "42"})) == KeyStatus::completed);
  CHECK(stage_key("alone", "process") == Key("", "process", "alone"));
}

TEST_CASE("a pipeline that died is run again, and finished stages are replayed") {
  Store store = Simulation().open();
  Executor executor(store);
  Checkout checkout(executor, {.on_abandon = OnAbandon::rerun});
  checkout.dies_before_execute = true;
  CHECK_THROWS_WITH(checkout.run("k", {.id = "order", .cents = 5}), "died");
  CHECK(value_of(store.status("k")) == KeyStatus::released);
  CHECK(value_of(checkout.run("k", {.id = "order", .cents = 5})).value() ==
        "order/processed for 10");
  CHECK(checkout.processed == 1);
  CHECK(checkout.executed == 1);
}

TEST_CASE("what stages leave when they fail") {
  Store store = Simulation().open();
  Executor executor(store);
  Checkout checkout(executor);
  CHECK(error_of(checkout.run("bad", {.id = "x", .cents = -1})) == ErrorCode::work_failed);
  CHECK(value_of(store.status("bad")) == KeyStatus::none);

  checkout.fails = work_failed("declined", "no money");
  for (int i = 0; i < 2; ++i) {
    const auto failed = checkout.run("declined", {.id = "x", .cents = 1});
    CHECK(error_of(failed) == ErrorCode::work_failed);
    CHECK(failed.error().failure_code == "declined");
    CHECK(failed.error().replayed == (i > 0));
  }
  CHECK(checkout.executed == 1);
  CHECK(value_of(store.status("declined")) == KeyStatus::failed);

  // The stage in doubt: the run can be tried again, and says so until somebody has decided.
  checkout.fails = work_unknown("no answer");
  CHECK(error_of(checkout.run("doubt", {.id = "x", .cents = 1})) == ErrorCode::in_doubt);
  CHECK(value_of(store.status("doubt")) == KeyStatus::released);
  CHECK(error_of(checkout.run("doubt", {.id = "x", .cents = 1})) == ErrorCode::in_doubt);
  CHECK(checkout.executed == 2);
  value_of(
      store.resolve(stage_key("doubt", "execute"), Verdict::success, Outcome::success("seen")));
  CHECK(value_of(checkout.run("doubt", {.id = "x", .cents = 1})).value() == "seen");
}
