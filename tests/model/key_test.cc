// The written form of keys: exact for any bytes, and clear about what is wrong with it.
#include "once/key.h"

#include <doctest/doctest.h>

#include "rows.h"

namespace once {
namespace {

Key parsed(std::string_view written) {
  auto key = Key::parse(written);
  REQUIRE_MESSAGE(key.has_value(), std::string(written));
  return *key;
}

Error refused(std::string_view written) {
  auto key = Key::parse(written);
  REQUIRE_FALSE_MESSAGE(key.has_value(), std::string(written));
  return key.error();
}

bool contains(const Error& error, std::string_view part) {
  return error.message.find(part) != std::string::npos;
}

TEST_CASE("a plain id has an empty tenant and operation") {
  CHECK(parsed("charge:order-42") == Key("charge:order-42"));
  CHECK(parsed("//x") == Key("", "", "x"));
  CHECK(Key("", "", "x").to_string() == "x");
}

TEST_CASE("tenant, operation and id are divided by two slashes") {
  CHECK(parsed("acme/charge/order-42") == Key("acme", "charge", "order-42"));
  CHECK(parsed("acme//7") == Key("acme", "", "7"));
  CHECK(parsed("/charge/7") == Key("", "charge", "7"));
  CHECK(Key("acme", "", "7").to_string() == "acme//7");
  CHECK(Key("", "charge", "7").to_string() == "/charge/7");
}

TEST_CASE("a slash within a part is escaped, in a bare id too") {
  CHECK(Key("a/b").to_string() == "a%2Fb");
  CHECK(Key("a/b/c").to_string() == "a%2Fb%2Fc");
  CHECK(parsed("a%2Fb%2fc") == Key("a/b/c"));
  CHECK(Key("t/", "/", "%").to_string() == "t%2F/%2F/%25");
}

TEST_CASE("hexadecimal digits are written upper case and read in any") {
  CHECK(escape("\xff\x0a") == "%FF%0A");
  CHECK(unescape("%ff%fF%Ff%0a").value() == "\xff\xff\xff\n");
}

TEST_CASE("only letters, digits and -._~:@+=, stand for themselves") {
  for (int c = 0; c < 256; ++c) {
    const char byte = static_cast<char>(c);
    const bool kept =
        std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@+=,")
            .contains(byte);
    CHECK((escape(ByteView(&byte, 1)).size() == 1) == kept);
    CHECK(unescape(escape(ByteView(&byte, 1))).value() == ByteView(&byte, 1));
  }
}

TEST_CASE("bytes that would be escaped are read as they are") {
  CHECK(parsed("a b\x01\xff") == Key("a b\x01\xff"));
  CHECK(parsed(std::string_view("a\0b", 3)) == Key(std::string_view("a\0b", 3)));
}

TEST_CASE("every key comes back from its written form") {
  testing::Random random(1);
  for (int i = 0; i < 5000; ++i) {
    const Key key = random.key(12);
    CHECK(parsed(key.to_string()) == key);
  }
  Bytes all;
  for (int c = 0; c < 255; ++c) all += static_cast<char>(c);
  const Key every(all, all.substr(100) + '\xff', '\xff' + all + all + all + all);
  CHECK(parsed(every.to_string()) == every);
}

TEST_CASE("one slash, or more than two, is an error that says what to write") {
  for (const std::string_view written : {"a/b", "/b", "a/", "/", "a/b/c/d", "///"}) {
    const Error error = refused(written);
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(contains(error, "tenant/operation/id"));
    CHECK(contains(error, "%2F"));
    CHECK(contains(error, written));
  }
}

TEST_CASE("a broken escape is refused with its place") {
  CHECK(contains(refused("ab%"), "byte 2"));
  CHECK(contains(refused("ab%4"), "byte 2"));
  CHECK(contains(refused("ab%4g"), "byte 2"));
  CHECK(contains(refused("%%41"), "byte 0"));
  CHECK(contains(refused("a/b/c%zz"), "byte 5"));
  CHECK(contains(refused("a/b%4/c"), "byte 3"));
  CHECK(contains(refused("%/b/c"), "byte 0"));
  CHECK(refused("ab%4g").code == ErrorCode::invalid_argument);
  CHECK(unescape("x%+1").error().code == ErrorCode::invalid_argument);
  CHECK(unescape("% 1").error().code == ErrorCode::invalid_argument);
}

TEST_CASE("an empty id is refused") {
  CHECK(refused("").code == ErrorCode::invalid_argument);
  CHECK(refused("a/b/").code == ErrorCode::invalid_argument);
  CHECK(Key("a", "b", "").validate().error().code == ErrorCode::invalid_argument);
  CHECK(contains(refused("a/b/"), "id"));
}

TEST_CASE("limits count bytes, name the part, its length and the limit") {
  const std::string most(255, 'x');
  const std::string id(1024, '/');
  CHECK(Key(most, most, id).validate().has_value());
  CHECK(parsed(Key(most, most, id).to_string()) == Key(most, most, id));

  const auto check = [](const Key& key, std::string_view part, std::string_view size,
                        std::string_view limit) {
    const Error by_hand = key.validate().error();
    const Error by_text = refused(key.to_string());
    for (const Error& error : {by_hand, by_text}) {
      CHECK(error.code == ErrorCode::limit_exceeded);
      CHECK(contains(error, part));
      CHECK(contains(error, size));
      CHECK(contains(error, limit));
    }
  };
  check(Key(most + "x", "", "i"), "tenant", "256", "255");
  check(Key("", most + "\xff", "i"), "operation", "256", "255");
  check(Key("", "", id + "x"), "id", "1025", "1024");
}

TEST_CASE("messages are short and printable, whatever was written") {
  const Error error = refused("\xff/" + std::string(100000, '\n'));
  CHECK(error.message.size() < 500);
  for (const char c : error.message) CHECK((c >= ' ' && c <= '~'));
}

}  // namespace
}  // namespace once
