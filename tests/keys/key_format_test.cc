// Telling keys apart by their form, and what is said of one that is not what it should be.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "once/key.h"

namespace once {
namespace {

const std::string digits = "0123456789abcdef";

void check_wrong(std::string_view id, KeyFormat format, std::string_view why) {
  CAPTURE(std::string(id));
  const auto checked = check_format(Key(id), format);
  REQUIRE_FALSE(checked.has_value());
  CHECK(checked.error().code == ErrorCode::invalid_argument);
  CHECK_MESSAGE(checked.error().message.find(why) != std::string::npos, checked.error().message);
  CHECK(format_of(Key(id)) != format);
}

TEST_CASE("derived keys have their format, and what looks like none is given") {
  CHECK(format_of(smith_key("r", "e", "s").value()) == KeyFormat::smith);
  CHECK(format_of(intent_key({.intent = "i", .actor = "a"}).value()) == KeyFormat::smith);
  CHECK(format_of(content_key("{}").value()) == KeyFormat::operation);
  CHECK(format_of(operation_key("{}", {.user = "u"}).value()) == KeyFormat::operation);
  CHECK(format_of(hybrid_key(Key("t", "o", "x"), "{}").value()) == KeyFormat::hybrid);
  CHECK(format_of(uuid_key()) == KeyFormat::uuid);
  for (const char* given : {"charge:order-42", "idem_", "operation:", "", ":"}) {
    CHECK(format_of(given) == KeyFormat::given);
  }
}

TEST_CASE("a smith key has 21 characters, idem_ in front and digits behind") {
  const std::string smith = "idem_" + digits;
  CHECK(parse_smith_key(smith).value() == Key(smith));
  CHECK(parse_smith_key("acme/agent/" + smith).value() == Key("acme", "agent", smith));
  check_wrong("idem_" + digits.substr(1), KeyFormat::smith, "20 characters, and 21");
  check_wrong("idem_" + digits + "0", KeyFormat::smith, "22 characters, and 21");
  check_wrong("Idem_" + digits, KeyFormat::smith, "begin with 'idem_'");
  check_wrong("idem_0123456789abcdeg", KeyFormat::smith, "'g' at character 20");
  check_wrong("idem_0123456789ABCDEF", KeyFormat::smith, "'A' at character 15");
  check_wrong("idem_0123456789abcd\n0", KeyFormat::smith, "'%0A' at character 19");
  CHECK(parse_smith_key("idem_%").error().code == ErrorCode::invalid_argument);
  CHECK(parse_smith_key("").error().code == ErrorCode::invalid_argument);
}

TEST_CASE("an operation key has 42 characters, a hybrid one more than 33") {
  CHECK(check_format("operation:" + digits + digits, KeyFormat::operation).has_value());
  check_wrong("operation:" + digits, KeyFormat::operation, "26 characters, and 42");
  check_wrong("operations" + digits + digits, KeyFormat::operation, "begin with 'operation:'");
  check_wrong("operation:" + digits + "0123456789abcdeX", KeyFormat::operation, "character 41");
  CHECK(check_format("x:" + digits + digits, KeyFormat::hybrid).has_value());
  check_wrong(":" + digits + digits, KeyFormat::hybrid, "more than 33");
  check_wrong("x-" + digits + digits, KeyFormat::hybrid, "':'");
  check_wrong("x:" + digits + "0123456789abcde!", KeyFormat::hybrid, "no hexadecimal digit");
}

TEST_CASE("a UUID key is of version 7 and of the variant of RFC 9562") {
  const std::string uuid = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";  // RFC 9562, appendix A.6
  CHECK(check_format(uuid, KeyFormat::uuid).has_value());
  check_wrong(uuid + "0", KeyFormat::uuid, "37 characters, and a UUID has 36");
  check_wrong("017f22e2079b0-7cc3-98c4-dc0c0c07398f", KeyFormat::uuid, "character 8");
  check_wrong("017F22e2-79b0-7cc3-98c4-dc0c0c07398f", KeyFormat::uuid, "'F' at character 3");
  check_wrong("919108f7-52d1-4320-9bac-f847db4148a8", KeyFormat::uuid, "version 4, and not 7");
  check_wrong("017f22e2-79b0-7cc3-c8c4-dc0c0c07398f", KeyFormat::uuid, "variant");
}

TEST_CASE("any id is a given one, if it is a key at all") {
  CHECK(check_format("x", KeyFormat::given).has_value());
  CHECK(check_format("", KeyFormat::given).error().code == ErrorCode::invalid_argument);
  CHECK(check_format(std::string(1025, 'x'), KeyFormat::hybrid).error().code ==
        ErrorCode::limit_exceeded);
}

TEST_CASE("formats have names") {
  for (const auto& [format, name] :
       {std::pair(KeyFormat::given, "given"), std::pair(KeyFormat::smith, "smith"),
        std::pair(KeyFormat::operation, "operation"), std::pair(KeyFormat::hybrid, "hybrid"),
        std::pair(KeyFormat::uuid, "uuid")}) {
    CHECK(to_string(format) == name);
    CHECK(parse_key_format(name).value() == format);
  }
  const auto none = parse_key_format("md5");
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().message.find("given, smith, operation, hybrid, uuid") != std::string::npos);
}

}  // namespace
}  // namespace once
