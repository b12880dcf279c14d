// Fields: the same text, keys and digests as the JSON object that they are.
#include "once/fields.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <list>
#include <string>
#include <vector>

#include "once/question.h"

namespace once {
namespace {

std::string text_of(const Fields& fields, const Selection& selection = {}) {
  auto text = canonical_json(fields, selection);
  REQUIRE_MESSAGE(text.has_value(), text.error().message);
  return *text;
}

std::string text_of(FieldValue value) {
  return text_of(Fields().add("v", std::move(value)));
}

void check_refused(const Fields& fields, std::string_view why) {
  const auto text = canonical_json(fields);
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == ErrorCode::invalid_argument);
  CHECK_MESSAGE(text.error().message.find(why) != std::string::npos, text.error().message);
  CHECK(text.error().message.size() < 800);
  CHECK(content_key(fields).error().message == text.error().message);
  CHECK(operation_key(fields, {}).error().message == text.error().message);
  CHECK(hybrid_key("x", fields).error().message == text.error().message);
  CHECK(question_of(fields).error().message == text.error().message);
}

struct Order {
  std::string id = "order-42";
  std::int64_t amount = 4200;
  std::string currency = "EUR";
  std::optional<std::string> note{};
  std::vector<std::string> items{"a", "b"};
  double weight = 1.5;
  bool express = true;
  std::int64_t sent_at = 0;
  [[nodiscard]] std::size_t count() const { return items.size(); }
};

Fields fields_of_order(const Order& order) {
  return fields_of(order, field("amount", &Order::amount), field("currency", &Order::currency),
                   field("express", &Order::express), field("id", &Order::id),
                   field("items", &Order::items), field("note", &Order::note),
                   field("weight", &Order::weight), field("count", &Order::count),
                   field("upper", [](const Order& one) { return one.id + "!"; }));
}

constexpr std::string_view order_json =
    R"({"upper":"order-42!","count":2,"weight":1.50,"note":null,"items":["a","b"],
        "id":"order-42","express":true,"currency":"EUR","amount":4200})";

TEST_CASE("fields have the text, the keys and the digests of the JSON object that they are") {
  const Fields fields = fields_of_order({});
  CHECK(text_of(fields) == canonical_json(order_json).value());
  CHECK(content_key(fields).value() == content_key(order_json).value());
  const OperationContext context{.user = "alice"};
  CHECK(operation_key(fields, context).value() == operation_key(order_json, context).value());
  CHECK(hybrid_key("x", fields).value() == hybrid_key("x", order_json).value());
  const Question by_fields = question_of(fields).value();
  const Question by_json = question_of(order_json).value();
  CHECK(by_fields.fingerprint == by_json.fingerprint);
  CHECK(by_fields.fields == by_json.fields);
}

TEST_CASE("the order in which fields are listed does not matter, what they say does") {
  const Fields one = Fields().add("amount", 4200).add("currency", "EUR");
  const Fields two = Fields().add("currency", "EUR").add("amount", 4200);
  CHECK(content_key(one).value() == content_key(two).value());
  Order order;
  const Key key = content_key(fields_of_order(order)).value();
  order.sent_at = 17;  // not listed
  CHECK(content_key(fields_of_order(order)).value() == key);
  order.amount = 4201;
  CHECK(content_key(fields_of_order(order)).value() != key);
}

TEST_CASE("include, exclude, and the user's own key") {
  const Fields fields = Fields().add("a", 1).add("b", Fields().add("c", 2).add("d", 3));
  CHECK(text_of(fields, {.include = {"/b/c"}}) == R"({"b":{"c":2}})");
  CHECK(text_of(fields, {.exclude = {"a", "/b/d"}}) == R"({"b":{"c":2}})");
  CHECK(content_key(fields, {.include = {"z"}}).error().code == ErrorCode::invalid_argument);
  CHECK(given_or_content_key(Key("mine"), fields).value() == Key("mine"));
  CHECK(given_or_content_key(std::nullopt, fields, {.include = {"a"}}).value() ==
        content_key(R"({"a":1})").value());
  CHECK(given_or_content_key(Key(""), fields).error().code == ErrorCode::invalid_argument);
}

TEST_CASE("values of every kind") {
  CHECK(text_of(FieldValue("t\"\xe2\x82\xac\n")) == "{\"v\":\"t\\\"\xe2\x82\xac\\n\"}");
  CHECK(text_of(FieldValue(std::string("a\0b", 3))) == R"({"v":"a\u0000b"})");
  CHECK(text_of(FieldValue(std::string_view("x"))) == R"({"v":"x"})");
  CHECK(text_of(FieldValue(true)) == R"({"v":true})");
  CHECK(text_of(FieldValue(nullptr)) == R"({"v":null})");
  CHECK(text_of(FieldValue(std::nullopt)) == R"({"v":null})");
  CHECK(text_of(FieldValue(std::optional<int>())) == R"({"v":null})");
  CHECK(text_of(FieldValue(std::optional<int>(7))) == R"({"v":7})");
  CHECK(text_of(FieldValue(std::vector<std::optional<bool>>{true, std::nullopt})) ==
        R"({"v":[true,null]})");
  CHECK(text_of(FieldValue(std::vector<bool>{true, false})) == R"({"v":[true,false]})");
  CHECK(text_of(FieldValue(std::vector<std::vector<int>>{{1}, {}})) == R"({"v":[[1],[]]})");
  CHECK(text_of(FieldValue(std::list<std::string>{"a"})) == R"({"v":["a"]})");
  CHECK(text_of(FieldValue(std::array<double, 2>{0.5, 1})) == R"({"v":[0.5,1]})");
  CHECK(text_of(FieldValue(std::vector<Fields>{Fields().add("b", 1).add("a", 2)})) ==
        R"({"v":[{"a":2,"b":1}]})");
  CHECK(text_of(FieldValue(std::uint8_t{200})) == R"({"v":200})");
  CHECK(text_of(FieldValue(static_cast<signed char>(-3))) == R"({"v":-3})");
  CHECK(text_of(Fields()) == "{}");
}

TEST_CASE("doubles have the shortest digits, and -0 is 0") {
  CHECK(text_of(FieldValue(1.0)) == R"({"v":1})");
  CHECK(text_of(FieldValue(-0.0)) == R"({"v":0})");
  CHECK(text_of(FieldValue(0.1)) == R"({"v":0.1})");
  CHECK(text_of(FieldValue(1e21)) == R"({"v":1e+21})");
  CHECK(text_of(FieldValue(0.5F)) == R"({"v":0.5})");
}

// As the JSON number where it can be one, which is exact; as the text that canonical_json() asks
// the author of a document to write where not. So no two integers have one text.
TEST_CASE("integers of 64 bits keep every digit") {
  CHECK(text_of(FieldValue(9007199254740991)) == R"({"v":9007199254740991})");
  CHECK(text_of(FieldValue(9007199254740993)) == R"({"v":"9007199254740993"})");
  CHECK(text_of(FieldValue(-9007199254740993)) == R"({"v":"-9007199254740993"})");
  CHECK(text_of(FieldValue(std::numeric_limits<std::uint64_t>::max())) ==
        R"({"v":"18446744073709551615"})");
  CHECK(text_of(FieldValue(std::numeric_limits<std::int64_t>::max())) ==
        R"({"v":"9223372036854775807"})");
  // Whatever document is taken, fields with the same members agree with it.
  const std::int64_t power = std::int64_t{1} << 60;
  CHECK(content_key(Fields().add("v", power)).value() ==
        content_key(R"({"v":1152921504606846976})").value());
  CHECK(content_key(Fields().add("v", std::numeric_limits<std::int64_t>::min())).value() ==
        content_key(R"({"v":-9223372036854775808})").value());
  CHECK(text_of(FieldValue(power)) != text_of(FieldValue(power + 1)));
  CHECK_FALSE(content_key(R"({"v":9007199254740993})").has_value());
  CHECK(content_key(R"({"v":"9007199254740993"})").value() ==
        content_key(Fields().add("v", 9007199254740993)).value());
}

TEST_CASE("what cannot be written is an error that names the field") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  check_refused(Fields().add("a", std::nan("")), "/a is infinite or not a number");
  check_refused(Fields().add("a", -infinity), "/a is infinite");
  check_refused(Fields().add("a", std::numeric_limits<float>::infinity()), "/a is infinite");
  check_refused(Fields().add("a", "\xff"), "/a is no UTF-8");
  check_refused(Fields().add("a", static_cast<const char*>(nullptr)), "/a is a null pointer");
  check_refused(Fields().add("\xed\xa0\x80", 1), "has a name that is no UTF-8");
  check_refused(Fields().add("ok", 1).add("l", std::vector<double>{1, infinity}),
                "/l/1 is infinite");
  check_refused(Fields().add("o", Fields().add("p", Fields().add("q", "\xff"))),
                "/o/p/q is no UTF-8");
  // The first one is told.
  check_refused(Fields().add("one", "\xff").add("two", infinity).add("three", 3), "/one is");
}

TEST_CASE("a field listed twice is an error, wherever it is") {
  check_refused(Fields().add("a", 1).add("b", 2).add("a", 1), "'a' is listed twice");
  check_refused(Fields().add("o", Fields().add("x", 1).add("x", 2)), "'x' is listed twice");
  CHECK(text_of(Fields().add("a", Fields().add("a", 1))) == R"({"a":{"a":1}})");
}

TEST_CASE("500 levels are taken, 10,000 are a clear error") {
  const auto nested = [](int levels) {
    Fields fields;
    for (int i = 1; i < levels; ++i) {
      Fields around;
      around.add("a", fields);
      fields = around;
    }
    return fields;
  };
  std::string text;
  for (int i = 1; i < 500; ++i) text += R"({"a":)";
  text += "{}" + std::string(499, '}');
  CHECK(text_of(nested(500)) == text);
  CHECK(canonical_json(text).value() == text);
  check_refused(nested(501), "deeper than 500 levels");
  check_refused(nested(10000), "deeper than 500 levels");
}

}  // namespace
}  // namespace once
