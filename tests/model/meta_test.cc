// The store's own facts: golden rows, round trips, and hostile bytes.
#include "model/meta.h"

#include <doctest/doctest.h>

#include "rows.h"

namespace once::model {
namespace {

ClockMark golden() {
  return {.time = Time(Duration(1700000000000)),
          .boot = testing::golden_holder().boot,
          .since_boot = Duration(3600000)};
}

Bytes encode_back(const ClockMark& mark, ByteView) {
  return encode_clock_mark(mark);
}
Bytes encode_number(std::uint64_t number, ByteView) {
  return encode_u64(number);
}

TEST_CASE("golden facts") {
  CHECK(testing::to_hex(encode_clock_mark(golden())) ==
        "010068e5cf8b010000101112131415161718191a1b1c1d1e1f80ee360000000000");
  CHECK(testing::to_hex(encode_u64(0x0102030405060708)) == "0807060504030201");
}

TEST_CASE("rows of events left behind sort as their sequences do") {
  CHECK(testing::to_hex(encode_outbox_left(0x0102)) == "6f7574626f785f6c6566740000000000000102");
  CHECK(encode_outbox_left(0xff) < encode_outbox_left(0x100));
  CHECK(decode_outbox_left(encode_outbox_left(77)).value() == 77);
  CHECK_FALSE(decode_outbox_left("outbox_from"));
  CHECK_FALSE(decode_outbox_left(encode_outbox_left(77) + "x"));
  CHECK_FALSE(decode_outbox_left("outbox_left"));
}

TEST_CASE("facts come back") {
  testing::Random random(10);
  for (int i = 0; i < 1000; ++i) {
    const ClockMark mark{
        .time = random.time(), .boot = random.holder().boot, .since_boot = random.duration()};
    CHECK(decode_clock_mark(encode_clock_mark(mark)).value() == mark);
    const std::uint64_t number = random.u64();
    CHECK(decode_u64(encode_u64(number)).value() == number);
  }
}

TEST_CASE("hostile facts") {
  testing::check_hostile(encode_clock_mark(golden()), &decode_clock_mark, &encode_back);
  testing::check_versions(encode_clock_mark(golden()), &decode_clock_mark);
  testing::check_damaged_with(encode_clock_mark(golden()), 32, 0x80, &decode_clock_mark);
  testing::check_hostile(encode_u64(7), &decode_u64, &encode_number);
}

}  // namespace
}  // namespace once::model
