// Derived keys: their spelling is shared with other programs, so it is pinned down here. The
// expected digests were computed with another implementation of SHA-256 (Python's hashlib).
#include <doctest/doctest.h>

#include "once/key.h"

namespace once {
namespace {

TEST_CASE("smith keys") {
  CHECK(smith_key("run-1", "episode-2", "step-3").value() == Key("idem_d1650ebb65d5bb22"));
  CHECK(smith_key("r\xc3\xbcn", "", "").value() == Key("idem_a15c4e879b801b3b"));
  CHECK(smith_key("run-1", "episode-2", "step-3").value().to_string().size() == 21);
  CHECK(smith_key("run-1", "episode-2", "step-4").value() != Key("idem_d1650ebb65d5bb22"));
}

TEST_CASE("a smith key needs a run") {
  const auto key = smith_key("", "episode", "step");
  REQUIRE_FALSE(key.has_value());
  CHECK(key.error().code == ErrorCode::invalid_argument);
}

TEST_CASE("content keys") {
  const Key expected("operation:41e89c4e179da1d917d7e322f19f203d");
  CHECK(content_key(R"({"amount":4200,"to":"bob"})").value() == expected);
  CHECK(content_key("{}").value() == Key("operation:44136fa355b3678a1146ad16f7e8649e"));
  CHECK(content_key(R"({"amount":4200,"to":"bob"})").value().to_string().size() == 42);
}

TEST_CASE("the order of members and the way of writing do not matter, what is said does") {
  const Key key = content_key(R"({"amount":4200,"to":"bob"})").value();
  for (const std::string_view same : {R"({"to":"bob","amount":4200})", R"( { "to" : "\u0062ob",
        "amount" : 42e2 } )",
                                      R"({"\u0061mount":4200.0,"to":"bob"})"}) {
    CHECK(content_key(same).value() == key);
  }
  for (const std::string_view other :
       {R"({"to":"bob","amount":4201})", R"({"to":"bob","amount":"4200"})",
        R"({"to":"Bob","amount":4200})", R"({"to":"bob","amount":4200,"x":null})",
        R"([{"to":"bob","amount":4200}])"}) {
    CHECK(content_key(other).value() != key);
  }
  CHECK(content_key("[1,2]").value() != content_key("[2,1]").value());
}

TEST_CASE("what is excluded does not matter") {
  const Key key = content_key(R"({"amount":4200,"to":"bob"})").value();
  CHECK(content_key(R"({"to":"bob","sent_at":17,"amount":4200})", {"sent_at"}).value() == key);
  CHECK(content_key(R"({"to":"bob","amount":4200,"sent_at":18})", {"/sent_at"}).value() == key);
  CHECK(content_key(R"({"to":"bob"})", {"sent_at"}).error().code == ErrorCode::invalid_argument);
  CHECK(content_key("{").error().code == ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace once
