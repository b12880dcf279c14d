// Which members count: include and exclude, by name and by pointer.
#include <doctest/doctest.h>

#include <string>

#include "once/key.h"

namespace once {
namespace {

constexpr std::string_view document = R"({"b":1,"a":{"x":[1,2,3],"y~":0,"p/q":{"":5}},"c":null})";

std::string selected(const Selection& selection, std::string_view json = document) {
  auto text = canonical_json(json, selection);
  REQUIRE_MESSAGE(text.has_value(), text.error().message);
  return *text;
}

void check_refused(const Selection& selection, std::string_view why,
                   std::string_view json = document) {
  const auto text = canonical_json(json, selection);
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == ErrorCode::invalid_argument);
  CHECK_MESSAGE(text.error().message.find(why) != std::string::npos, text.error().message);
}

TEST_CASE("without a selection everything counts") {
  CHECK(selected({}) == canonical_json(document).value());
}

TEST_CASE("only what is included counts, in its place") {
  CHECK(selected({.include = {"b"}}) == R"({"b":1})");
  CHECK(selected({.include = {"c", "/b"}}) == R"({"b":1,"c":null})");
  CHECK(selected({.include = {"/a/x/1"}}) == R"({"a":{"x":[2]}})");
  CHECK(selected({.include = {"/a/y~0", "/a/p~1q/"}}) == R"({"a":{"p/q":{"":5},"y~":0}})");
  CHECK(selected({.include = {"a"}}) == R"({"a":{"p/q":{"":5},"x":[1,2,3],"y~":0}})");
}

TEST_CASE("of what is included, what is excluded does not count") {
  CHECK(selected({.include = {"a", "b"}, .exclude = {"/a/x"}}) ==
        R"({"a":{"p/q":{"":5},"y~":0},"b":1})");
  CHECK(selected({.include = {"/a/x/0", "/a/x/2"}, .exclude = {"/a/x/0"}}) == R"({"a":{"x":[3]}})");
  // Whatever the order, and however often.
  CHECK(selected({.include = {"/a/x", "a", "/a/x/0", "a"}, .exclude = {"/a/y~0", "/a/y~0"}}) ==
        R"({"a":{"p/q":{"":5},"x":[1,2,3]}})");
  CHECK(selected({.include = {"b"}, .exclude = {"a"}}) == R"({"b":1})");
  check_refused({.include = {"b"}, .exclude = {"b"}}, "leave nothing");
}

TEST_CASE("the order in which members are chosen does not matter") {
  const auto key = content_key(document, {.include = {"b", "c"}}).value();
  CHECK(content_key(document, {.include = {"c", "b"}}).value() == key);
  CHECK(content_key(R"({"c":null,"a":7,"b":1.0})", {.include = {"/b", "/c"}}).value() == key);
  CHECK(content_key(document, {.exclude = {"a"}}).value() == key);
}

TEST_CASE("a path that is not there is an error that names it") {
  check_refused({.include = {"z"}}, "the included path 'z' is not in the JSON");
  check_refused({.include = {"b", "/a/z"}}, "the included path '/a/z' is not in the JSON");
  check_refused({.include = {"b"}, .exclude = {"z"}}, "the excluded path 'z' is not in the JSON");
  check_refused({.include = {""}}, "an included path is empty");
  check_refused({.include = {"/a~2"}}, "included path");
  check_refused({.include = {"a"}}, "not in the JSON", "[1]");
}

}  // namespace
}  // namespace once
