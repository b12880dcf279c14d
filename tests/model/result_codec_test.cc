// Outcomes as rows: the golden row, round trips, and hostile bytes.
#include "model/result_codec.h"

#include <doctest/doctest.h>

#include "model/row_header.h"
#include "rows.h"

namespace once::model {
namespace {

StoredResult golden() {
  Outcome outcome = Outcome::failure("declined", "no funds");
  outcome.value = Bytes("a\0\xff", 3);
  outcome.content_type = "text/plain";
  return {.token = {5}, .expires_at = Time(Duration(1700000086400)), .outcome = outcome};
}

Bytes encode_back(const StoredResult& result, ByteView) {
  return encode_result(result);
}

TEST_CASE("golden outcomes") {
  CHECK(testing::to_hex(encode_result(golden())) ==
        "010180b9e6cf8b010000050000000000000002010000000000000000080000006465636c696e65640800"
        "00006e6f2066756e64730a000000746578742f706c61696e030000006100ff");
  StoredResult omitted{.token = {5}, .outcome = Outcome::success()};
  omitted.outcome.omitted_bytes = 9;
  CHECK(testing::to_hex(encode_result(omitted)) ==
        "01000000000000000000050000000000000001000900000000000000000000000000000000000000");
}

TEST_CASE("outcomes come back, with and without a value") {
  testing::Random random(6);
  for (int i = 0; i < 3000; ++i) {
    StoredResult result;
    result.token = {random.u64()};
    if (random.coin()) result.expires_at = random.time();
    Outcome& outcome = result.outcome;
    outcome.kind = random.one_of(OutcomeKind::killed);
    if (random.coin()) outcome.value = random.bytes(50);
    outcome.code = random.bytes(20);
    outcome.message = random.bytes(20);
    outcome.content_type = random.bytes(20);
    outcome.omitted_bytes = random.u64();
    REQUIRE(decode_result(encode_result(result)).value() == result);
  }
  for (const auto& value : {std::optional<Bytes>(), std::optional<Bytes>("")}) {
    const StoredResult result{.token = {1}, .outcome = Outcome::success(value)};
    CHECK(decode_result(encode_result(result)).value().outcome.value == value);
  }
}

TEST_CASE("an outcome may be removed when it has expired, and never when it has no expiry") {
  StoredResult result = golden();
  CHECK(may_remove(encode_result(result), result.expires_at));
  CHECK_FALSE(may_remove(encode_result(result), result.expires_at - Duration(1)));
  result.expires_at = {};
  CHECK_FALSE(may_remove(encode_result(result), Time::max()));
}

TEST_CASE("hostile outcomes") {
  testing::check_hostile(encode_result(golden()), &decode_result, &encode_back);
  testing::check_hostile(encode_result({.token = {1}, .outcome = Outcome::success()}),
                         &decode_result, &encode_back);
  testing::check_versions(encode_result(golden()), &decode_result);
  const Bytes row = encode_result(golden());
  for (const int byte : {0, 5, 255}) testing::check_damaged_with(row, 18, byte, &decode_result);
  testing::check_damaged_with(row, 1, 0, &decode_result);   // expires, and is never removable
  testing::check_damaged_with(row, 19, 3, &decode_result);  // unknown presence bit
  testing::check_damaged_with(row, 19, 0, &decode_result);  // a value that is said not to be there
  testing::check_damaged_with(row, 31, 0x7f, &decode_result);  // a length of 2 GiB
}

TEST_CASE("texts at their limits are taken, longer ones are damage") {
  StoredResult most;
  most.outcome = Outcome::failure(std::string(255, 'c'), std::string(65536, 'm'));
  most.outcome.content_type = std::string(255, 't');
  CHECK(decode_result(encode_result(most)).value() == most);
  for (std::string* text :
       {&most.outcome.code, &most.outcome.message, &most.outcome.content_type}) {
    *text += 'x';
    CHECK(decode_result(encode_result(most)).error().code == ErrorCode::damaged);
    text->pop_back();
  }
}

}  // namespace
}  // namespace once::model
