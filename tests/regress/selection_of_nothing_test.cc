// Paths that leave nothing of the content gave one key to whatever was asked.
#include <doctest/doctest.h>

#include "once/fields.h"
#include "once/key.h"
#include "once/question.h"
#include "support/check_result.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a selection that leaves nothing is refused") {
  const Selection nothing{.include = {"a"}, .exclude = {"a"}};
  const std::string json = R"({"a":1,"b":2})";
  const Fields fields = Fields().add("a", 1).add("b", 2);
  CHECK(error_of(canonical_json(json, nothing)) == ErrorCode::invalid_argument);
  CHECK(error_of(content_key(json, nothing)) == ErrorCode::invalid_argument);
  CHECK(error_of(operation_key(json, {.user = "alice"}, nothing)) == ErrorCode::invalid_argument);
  CHECK(error_of(hybrid_key("k", json, nothing)) == ErrorCode::invalid_argument);
  CHECK(error_of(question_of(json, nothing)) == ErrorCode::invalid_argument);
  CHECK(error_of(canonical_json(fields, nothing)) == ErrorCode::invalid_argument);
  CHECK(error_of(content_key(fields, nothing)) == ErrorCode::invalid_argument);
  CHECK(error_of(content_key(json, {.exclude = {"a", "b"}})) == ErrorCode::invalid_argument);
  // Of what is deeper only the shell is left.
  const std::string deep = R"({"a":{"b":{"c":1}},"d":[1]})";
  CHECK(error_of(content_key(deep, {.include = {"/a/b"}, .exclude = {"/a/b/c"}})) ==
        ErrorCode::invalid_argument);
  CHECK(error_of(content_key(deep, {.exclude = {"/a/b", "/d/0"}})) == ErrorCode::invalid_argument);
}

TEST_CASE("what was empty before is no selection of nothing") {
  CHECK(content_key("{}"));
  CHECK(content_key(R"({"a":{},"b":1})", {.include = {"a"}}));
  CHECK(content_key(R"({"a":[],"b":1})", {.exclude = {"b"}}));
  CHECK(content_key(R"({"a":null,"b":1})", {.exclude = {"b"}}));
}
