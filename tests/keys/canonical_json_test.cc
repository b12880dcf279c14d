// The canonical form of JSON (RFC 8785), what is refused, and what is left out.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "keys/json_tree.h"
#include "once/key.h"

namespace once {
namespace {

std::string canonical(std::string_view json, const std::vector<std::string>& exclude = {}) {
  auto text = canonical_json(json, {.exclude = exclude});
  REQUIRE_MESSAGE(text.has_value(), std::string(json) << ": " << text.error().message);
  return *text;
}

void check_refused(std::string_view json, std::string_view why,
                   const std::vector<std::string>& exclude = {}) {
  CAPTURE(json);
  const auto text = canonical_json(json, {.exclude = exclude});
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == ErrorCode::invalid_argument);
  CHECK_MESSAGE(text.error().message.find(why) != std::string::npos, text.error().message);
  CHECK(text.error().message.size() < 500);
  for (const char c : text.error().message) CHECK((c >= ' ' && c <= '~'));
}

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

TEST_CASE("RFC 8785, section 3.2.2: the sample") {
  CHECK(canonical(R"({
    "numbers": [333333333.33333329, 1E30, 4.50,
                2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  })") == R"({"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],)"
          "\"string\":\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

TEST_CASE("RFC 8785, section 3.2.3: members by UTF-16 code units") {
  CHECK(canonical(R"({
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\ud83d\ude00": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis"
  })") ==
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
        "\"\u00f6\":\"Latin Small Letter O With Diaeresis\",\"\u20ac\":\"Euro Sign\","
        "\"\U0001f600\":\"Emoji: Grinning Face\","
        "\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}");
}

TEST_CASE("code units are compared, not code points and not bytes") {
  // In the order of UTF-16; a name before the names that it begins.
  const std::vector<std::string> names = {
      "",           "a",          "aa",          "b",      "\u0080", "\u4e00", "\ud7ff",
      "\U00010000", "\U0010ffff", "\U0010ffffa", "\ue000", "\ufb33", "\uffff"};
  for (std::size_t a = 0; a < names.size(); ++a) {
    for (std::size_t b = 0; b < names.size(); ++b) {
      CAPTURE(a);
      CAPTURE(b);
      CHECK(keys::utf16_less(names[a], names[b]) == (a < b));
    }
  }
}

TEST_CASE("scalars, empty containers and white space") {
  CHECK(canonical(" null ") == "null");
  CHECK(canonical("\t\"\"\r\n") == "\"\"");
  CHECK(canonical("[ ]") == "[]");
  CHECK(canonical("{ }") == "{}");
  CHECK(canonical(R"({"":{"":[]}})") == R"({"":{"":[]}})");
  CHECK(canonical(R"([[1],[],{"b":1,"a":[2]}])") == R"([[1],[],{"a":[2],"b":1}])");
}

TEST_CASE("strings have as few escapes as can be") {
  CHECK(canonical(R"("\u0008\u0009\u000a\u000c\u000d\u0000\u001f\u007f\u0022\u005c\u002f")") ==
        "\"\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\\\"\\\\/\"");
  CHECK(canonical(R"("\ud83d\ude00")") == "\"\U0001f600\"");
}

TEST_CASE("numbers have one spelling") {
  CHECK(canonical("[-0,-0.0,0e5,1.0,10e-1,100000000000000000000,1e21,1e-6,1e-7]") ==
        "[0,0,0,1,1,100000000000000000000,1e+21,0.000001,1e-7]");
  CHECK(canonical("[9007199254740991,9007199254740992,9007199254740994,-9007199254740994]") ==
        "[9007199254740991,9007199254740992,9007199254740994,-9007199254740994]");
  CHECK(canonical("18446744073709551616") == "18446744073709552000");
}

TEST_CASE("integers that a double cannot carry are refused") {
  check_refused("9007199254740993", "9007199254740993");
  check_refused("-9007199254740993", "-9007199254740993");
  check_refused("18446744073709551615", "exactly");
  check_refused("18446744073709551617", "exactly");
  check_refused("333333333333333333333333333333", "exactly");
  check_refused(R"({"a":[1,{"b":9007199254740993}]})", "/a/1/b");
  check_refused("1e400", "no JSON");
  check_refused("-1e400", "no JSON");
  check_refused("1" + std::string(400, '0'), "no JSON");
}

TEST_CASE("what is no JSON is refused") {
  for (const std::string_view json :
       {"",         " ",       "{",   "[1,]",   "{\"a\":1,}", "{a:1}", "'a'",  "NaN",
        "Infinity", "-",       "01",  "+1",     ".5",         "1.",    "0x10", "nul",
        "[1] 2",    "// x\n1", "\"a", "\"\t\"", "\"\\x\"",    "[1 2]", "}"}) {
    check_refused(json, "no JSON");
  }
}

TEST_CASE("a NUL does not end the text") {
  check_refused(std::string_view("{}\0", 3), "byte 2");
  check_refused(std::string_view("{}\0garbage", 10), "NUL");
  check_refused(std::string_view("\"\0\"", 3), "NUL");
}

TEST_CASE("invalid UTF-8 and lone surrogates are refused") {
  for (const std::string_view text :
       {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"",
        R"("\ud800")", R"("\ude00")", R"("\ud83dx")", R"("\ud83d\u0041")", R"({"\ud800":1})"}) {
    check_refused(text, "no JSON");
  }
}

TEST_CASE("a member named twice is refused, however it is written") {
  check_refused(R"({"a":1,"a":1})", "twice");
  check_refused(R"({"a":1,"b":2,"\u0061":3})", "'a'");
  check_refused(R"({"x":[0,{"a":1,"a":2}]})", "/x/1");
  CHECK(canonical(R"({"a":{"a":1},"b":{"a":1}})") == R"({"a":{"a":1},"b":{"a":1}})");
}

TEST_CASE("500 levels are read, more are refused, and no number of them is a crash") {
  CHECK(canonical(nested(500)) == nested(500));
  check_refused(nested(501), "500");
  check_refused(nested(10000), "500");
  check_refused(std::string(5000000, '['), "500");
  std::string objects;
  for (int i = 0; i < 20000; ++i) objects += "{\"a\":";
  check_refused(objects, "500");
}

TEST_CASE("members are left out by name or pointer") {
  const std::string_view json = R"({"b":1,"a":{"x":[1,2,3],"y~":0,"p/q":{"":5}},"c":null})";
  CHECK(canonical(json, {"a"}) == R"({"b":1,"c":null})");
  check_refused(json, "leave nothing", {"/a", "b", "c"});
  CHECK(canonical(json, {"/a/x/0", "/a/x/2"}) ==
        R"({"a":{"p/q":{"":5},"x":[2],"y~":0},"b":1,"c":null})");
  CHECK(canonical(json, {"/a/y~0", "/a/p~1q/", "c"}) == R"({"a":{"p/q":{},"x":[1,2,3]},"b":1})");
  CHECK(canonical(json, {"/a/x", "/a/x/1", "/a/x"}) ==
        R"({"a":{"p/q":{"":5},"y~":0},"b":1,"c":null})");
  CHECK(canonical(R"({"":1,"a":2})", {"/"}) == R"({"a":2})");
  CHECK(canonical(R"([{"t":1},{"t":2}])", {"/1/t"}) == R"([{"t":1},{}])");
}

TEST_CASE("a path that is not there is an error") {
  const std::string_view json = R"({"a":{"x":[1,2]},"n":5})";
  for (const std::string_view path :
       {"z", "x", "/z", "/a/z", "/a/x/2", "/a/x/-", "/a/x/00", "/a/x/01", "/a/x/", "/a/x/1x",
        "/n/0", "/a/x/0/0", "/", "a/x", "/a/x/99999999999999999999", "/a/x/+1"}) {
    check_refused(json, "not in the JSON", {std::string(path)});
  }
  check_refused("[1]", "not in the JSON", {"a"});
  check_refused("1", "not in the JSON", {"/0"});
  check_refused(json, "empty", {""});
  check_refused(json, "~", {"/a~2"});
  check_refused(json, "~", {"/a~"});
  check_refused(json, "not in the JSON", {"a", "\xff" + std::string(1000, '\n')});
}

}  // namespace
}  // namespace once
