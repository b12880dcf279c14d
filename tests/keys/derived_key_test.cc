// Derived keys: their spelling is shared with other programs, so it is pinned down here. The
// expected digests were computed with another implementation of SHA-256 (Python's hashlib).
#include <doctest/doctest.h>

#include <string>

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

TEST_CASE("intent keys are the smith keys of run intent:actor, and of step 0 if none is told") {
  CHECK(intent_key({.intent = "refund", .actor = "agent-7", .episode = "episode-2", .step = 3})
            .value() == Key("idem_8a2564bee0c6579e"));
  CHECK(intent_key({.intent = "refund", .actor = "agent-7"}).value() ==
        Key("idem_bbe16e36c0099443"));
  CHECK(intent_key({.intent = "refund", .actor = "agent-7", .step = 0}).value() ==
        smith_key("refund:agent-7", "", "0").value());
  for (const Intent& wrong : {Intent{.actor = "agent-7"}, Intent{.intent = "refund"}}) {
    const auto key = intent_key(wrong);
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().code == ErrorCode::invalid_argument);
    CHECK(key.error().message.find(wrong.intent.empty() ? "intent" : "actor") != std::string::npos);
  }
}

TEST_CASE("the key of the sample of RFC 8785") {
  CHECK(content_key(R"({
    "numbers": [333333333.33333329, 1E30, 4.50,
                2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  })")
            .value() == Key("operation:2d5e01a318d0f0879ab568c4be289c8b"));
}

TEST_CASE("operation keys") {
  const std::string_view input = R"({ "to": "bob", "amount": 42e2 })";
  CHECK(operation_key(input, {.user = "alice", .organisation = "acme"}).value() ==
        Key("operation:41350ab401ec6f0fcb6f800ee0828860"));
  CHECK(operation_key(input, {.user = "alice"}).value() ==
        Key("operation:dcd8bce9694ba76d39764b5a3d56933d"));
  CHECK(operation_key(input, {}).value() == Key("operation:c3c6e2bcc7cacb85faac3ba83e608c55"));
  // The same name as user and as organisation are two contexts, and so is an empty one.
  CHECK(operation_key(input, {.organisation = "alice"}).value() !=
        Key("operation:dcd8bce9694ba76d39764b5a3d56933d"));
  CHECK(operation_key(input, {.user = ""}).value() !=
        Key("operation:c3c6e2bcc7cacb85faac3ba83e608c55"));
  CHECK(
      operation_key(R"({"to":"bob","at":17,"amount":4200})", {.user = "alice"}, {.exclude = {"at"}})
          .value() == Key("operation:dcd8bce9694ba76d39764b5a3d56933d"));
  CHECK(operation_key("{", {}).error().code == ErrorCode::invalid_argument);
  const auto broken = operation_key(input, {.user = "\xff"});
  REQUIRE_FALSE(broken.has_value());
  CHECK(broken.error().message.find("user") != std::string::npos);
  CHECK(broken.error().code == ErrorCode::invalid_argument);
}

TEST_CASE("hybrid keys have what is given in front, and the digits of the content behind it") {
  const std::string_view json = R"({"to":"bob","amount":4200})";
  CHECK(hybrid_key("order-42", json).value() == Key("order-42:41e89c4e179da1d917d7e322f19f203d"));
  CHECK(hybrid_key(Key("acme", "charge", "a/b"), json).value() ==
        Key("acme", "charge", "a/b:41e89c4e179da1d917d7e322f19f203d"));
  CHECK(hybrid_key("order-42", json, {.include = {"to"}}).value() !=
        hybrid_key("order-42", json).value());
  CHECK(hybrid_key("order-43", json).value() != hybrid_key("order-42", json).value());
  CHECK(hybrid_key("", json).error().code == ErrorCode::invalid_argument);
  CHECK(hybrid_key(std::string(1024 - 33, 'x'), json).has_value());
  CHECK(hybrid_key(std::string(1024 - 32, 'x'), json).error().code == ErrorCode::limit_exceeded);
  CHECK(hybrid_key("x", "{").error().code == ErrorCode::invalid_argument);
}

// RFC 9562, appendix A.6, has the time of its example.
TEST_CASE("UUID keys") {
  const Key key = uuid_key(Time(Duration(1645557742000)));
  CHECK(key.tenant.empty());
  CHECK(key.id.starts_with("017f22e2-79b0-7"));
  CHECK(check_format(key, KeyFormat::uuid).has_value());
  CHECK(uuid_key(Time(Duration(1645557742001))).id > key.id);
  CHECK(uuid_key(Time(Duration(1645557742000))) != key);
  CHECK(check_format(uuid_key(), KeyFormat::uuid).has_value());
  CHECK(uuid_key() != uuid_key());
}

TEST_CASE("a scope puts a key into its tenant and operation, and finds them again") {
  const Scope charges{.tenant = "a/b", .operation = "charge"};
  const Key key = charges.key("42").value();
  CHECK(key == Key("a/b", "charge", "42"));
  CHECK(charges.key(key).value() == key);
  CHECK(key.to_string().starts_with(charges.prefix()));
  CHECK(charges.prefix() == "a%2Fb/charge/");
  CHECK(Scope{.tenant = "acme"}.prefix() == "acme/");
  CHECK(Scope{.operation = "charge"}.prefix() == "/charge/");
  CHECK(Scope{}.prefix().empty());
  CHECK(Scope{}.key("42").value() == Key("42"));
  CHECK(charges.key(Key("c", "charge", "42")).error().code == ErrorCode::invalid_argument);
  CHECK(charges.key(Key("a/b", "", "42")).error().code == ErrorCode::invalid_argument);
  CHECK(charges.key("").error().code == ErrorCode::invalid_argument);
  CHECK((Scope{.tenant = std::string(256, 'x')}.key("1").error().code) ==
        ErrorCode::limit_exceeded);
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
  CHECK(
      content_key(R"({"to":"bob","sent_at":17,"amount":4200})", {.exclude = {"sent_at"}}).value() ==
      key);
  CHECK(content_key(R"({"to":"bob","amount":4200,"sent_at":18})", {.exclude = {"/sent_at"}})
            .value() == key);
  CHECK(content_key(R"({"to":"bob"})", {.exclude = {"sent_at"}}).error().code ==
        ErrorCode::invalid_argument);
  CHECK(content_key("{").error().code == ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace once
