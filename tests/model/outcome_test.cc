// Outcomes, their digests, fingerprints, and typed results.
#include "once/outcome.h"

#include <doctest/doctest.h>

#include <array>
#include <set>
#include <vector>

#include "once/codec.h"
#include "rows.h"

namespace once {
namespace {

std::string hex(const Fingerprint& fingerprint) {
  return testing::to_hex(ByteView(reinterpret_cast<const char*>(fingerprint.digest.data()),
                                  fingerprint.digest.size()));
}

TEST_CASE("a fingerprint is the first half of SHA-256") {
  CHECK(hex(Fingerprint::of("what was asked")) == "9b4a118581f3ffb2a78ed43e71ae7e80");
  CHECK(hex(Fingerprint::of("")) == "e3b0c44298fc1c149afbf4c8996fb924");
}

TEST_CASE("the makers set what they are for") {
  CHECK(Outcome::success() == Outcome{.kind = OutcomeKind::success, .value = std::nullopt});
  CHECK(Outcome::success("") != Outcome::success());
  const Outcome failure = Outcome::failure("declined", "no funds");
  CHECK(failure.kind == OutcomeKind::failure);
  CHECK(failure.code == "declined");
  CHECK(failure.message == "no funds");
  CHECK_FALSE(failure.value.has_value());
}

TEST_CASE("the digest of an outcome is what docs/formats.md says") {
  CHECK(hex(Outcome::success().digest()) == "7a0b5f0d854ac273de50b8dd90b02de6");
  Outcome full = Outcome::failure("declined", "no funds");
  full.value = Bytes("a\0\xff", 3);
  full.content_type = "text/plain";
  CHECK(hex(full.digest()) == "59c71f6989218478a4c9274c54f63f15");
}

TEST_CASE("outcomes that differ have digests that differ") {
  std::vector<Outcome> outcomes{Outcome::success(), Outcome::success(""), Outcome::success("0"),
                                Outcome::success("false"), Outcome::success("null")};
  // The same text, divided in other ways between the fields.
  for (const auto& [code, message, type, value] :
       std::vector<std::array<std::string, 4>>{{"ab", "", "", ""},
                                               {"", "ab", "", ""},
                                               {"", "", "ab", ""},
                                               {"", "", "", "ab"},
                                               {"a", "b", "", ""},
                                               {"a", "", "", "b"},
                                               {"", "a", "b", ""}}) {
    for (const auto kind : {OutcomeKind::success, OutcomeKind::failure, OutcomeKind::timeout}) {
      Outcome outcome{.kind = kind, .value = value, .code = code, .message = message};
      outcome.content_type = type;
      outcomes.push_back(outcome);
    }
  }
  outcomes.push_back({.value = std::nullopt, .omitted_bytes = 1});
  outcomes.push_back({.value = std::nullopt, .omitted_bytes = 256});
  std::set<std::string> digests;
  for (const Outcome& outcome : outcomes) digests.insert(hex(outcome.digest()));
  CHECK(digests.size() == outcomes.size());
}

TEST_CASE("typed results come back as what they were") {
  CHECK(Codec<Bytes>::decode(Codec<Bytes>::encode("")).value().empty());
  CHECK(Codec<bool>::decode(Codec<bool>::encode(false)).value() == false);
  CHECK(Codec<std::int64_t>::decode(Codec<std::int64_t>::encode(INT64_MIN)).value() == INT64_MIN);
  CHECK(Codec<double>::decode(Codec<double>::encode(0.1)).value() == 0.1);
  CHECK(Codec<std::monostate>::decode(Codec<std::monostate>::encode({})).has_value());
  using Maybe = std::optional<std::int64_t>;
  CHECK(Codec<Maybe>::decode(Codec<Maybe>::encode(Maybe(0))).value() == Maybe(0));
  CHECK(Codec<Maybe>::decode(Codec<Maybe>::encode(std::nullopt)).value() == std::nullopt);
}

TEST_CASE("a result of another type is refused, showing a little of what is stored") {
  const auto number = Codec<int>::decode(Bytes("12x"));
  REQUIRE_FALSE(number.has_value());
  CHECK(number.error().code == ErrorCode::wrong_type);
  CHECK(number.error().message.find("number") != std::string::npos);
  CHECK(number.error().message.find("'12x'") != std::string::npos);
  CHECK(Codec<bool>::decode(std::nullopt).error().message.find("null") != std::string::npos);
  CHECK_FALSE(Codec<bool>::decode(Bytes("")).has_value());
  CHECK_FALSE(Codec<std::monostate>::decode(Bytes("")).has_value());

  const Error error = wrong_type("bool", Bytes(1000000, '\0'));
  CHECK(error.message.size() < 300);
  std::string forty;
  for (int i = 0; i < 40; ++i) forty += "%00";
  CHECK(error.message.find("'" + forty + "'") != std::string::npos);
  CHECK(error.message.find("1000000") != std::string::npos);
}

}  // namespace
}  // namespace once
