// Questions: the fingerprint and the digests of JSON, and which parts get a digest of their own.
#include "once/question.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace once {
namespace {

using Names = std::vector<std::string>;

Question asked(std::string_view json, const Selection& selection = {}) {
  auto question = question_of(json, selection);
  REQUIRE_MESSAGE(question.has_value(), question.error().message);
  return *question;
}

Names names_of(const Question& question) {
  Names names;
  for (const FieldDigest& field : question.fields) names.push_back(field.name);
  CHECK(std::ranges::is_sorted(names));
  return names;
}

std::string object_of(int members, const std::string& name = "m", const std::string& value = "1") {
  std::string json = "{";
  for (int i = 0; i < members; ++i) {
    json += (i == 0 ? "" : ",") + ("\"" + name + std::to_string(i)) + "\":" + value;
  }
  return json + "}";
}

TEST_CASE("the fingerprint is that of the canonical form") {
  const Question question = asked(R"({ "to": "bob", "amount": 42e2 })");
  CHECK(question.fingerprint == Fingerprint::of(R"({"amount":4200,"to":"bob"})"));
  CHECK(asked("[1]").fingerprint == Fingerprint::of("[1]"));
  CHECK(asked(R"({"a":1,"at":2})", {.exclude = {"at"}}).fingerprint ==
        asked(R"({"a":1})").fingerprint);
}

TEST_CASE("each member has a digest of its value in its one spelling") {
  const Question question = asked(R"({"to":"\u0062ob","amount":42e2,"list":[ 1, {"b":2,"a":1} ]})");
  CHECK(question.fields == std::vector{FieldDigest::of("amount", "4200"),
                                       FieldDigest::of("list", R"([1,{"a":1,"b":2}])"),
                                       FieldDigest::of("to", "\"bob\"")});
  CHECK(asked("{}").fields.empty());
  CHECK(asked("[1]").fields.empty());
  CHECK(asked("1").fields.empty());
  CHECK(names_of(asked(R"({"a":1,"b":{"c":1,"d":1}})", {.exclude = {"/b/d"}})) ==
        Names{"/b/c", "a"});
}

TEST_CASE("members of objects have digests under pointers, as Selection writes them") {
  const std::string_view json = R"({"a":{"b":{"c":1,"x/y":2},"e":{}},"":3,"/z":4,"f":[{"g":1}]})";
  const Names names = names_of(asked(json));
  CHECK(names == Names{"/", "/a/b/c", "/a/b/x~1y", "/a/e", "/~1z", "f"});
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK(names_of(asked(json, {.include = {name}})) == Names{name});
  }
}

TEST_CASE("objects are taken apart from the top, as long as 64 suffice") {
  CHECK(asked(object_of(64)).fields.size() == 64);
  // 62 and a pair: there is room for it, and for no more.
  std::string json = object_of(62);
  json.back() = ',';
  json += R"("pair":{"a":1,"b":{"c":1,"d":1}}})";
  const Names names = names_of(asked(json));
  CHECK(names.size() == 64);
  CHECK(std::ranges::count(names, "/pair/b") == 1);
  // The nearer one to the top is taken apart, not the one that comes first.
  const Names two =
      names_of(asked(R"({"a":{"deep":)" + object_of(40) + R"(},"z":)" + object_of(40) + "}"));
  CHECK(two.size() == 41);
  CHECK(std::ranges::count(two, "/a/deep") == 1);
}

TEST_CASE("which digests there are follows from names alone") {
  const std::string one = R"({"a":)" + object_of(30, "x", "1") + R"(,"b":)" + object_of(40) + "}";
  const std::string two =
      R"({"a":)" + object_of(30, "x", "[{}]") + R"(,"b":)" + object_of(40) + "}";
  CHECK(names_of(asked(one)) == names_of(asked(two)));
}

TEST_CASE("names that would be too long stay with the object above") {
  const std::string name(200, 'n');
  const auto nested = [&](const std::string& inner) {
    return R"({")" + name + R"(":{")" + inner + R"(":1}})";
  };
  CHECK(names_of(asked(nested(std::string(53, 'i'))))[0].size() == 255);
  CHECK(names_of(asked(nested(std::string(54, 'i')))) == Names{name});
}

TEST_CASE("too many members at the top, or too long a name, is an error that says what to do") {
  for (const std::string& json : {object_of(65), R"({")" + std::string(256, 'n') + R"(":1})"}) {
    const auto question = question_of(json);
    REQUIRE_FALSE(question.has_value());
    CHECK(question.error().code == ErrorCode::limit_exceeded);
    CHECK(question.error().message.find("fingerprint alone") != std::string::npos);
  }
  CHECK(asked(object_of(65), {.exclude = {"m64"}}).fields.size() == 64);
  CHECK(question_of("{").error().code == ErrorCode::invalid_argument);
  CHECK(question_of("{}", {.include = {"x"}}).error().code == ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace once
