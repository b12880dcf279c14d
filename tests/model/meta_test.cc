// The store's own facts: golden rows, round trips, and hostile bytes.
#include "model/meta.h"

#include <doctest/doctest.h>

#include <set>
#include <utility>
#include <vector>

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

const LabelTally golden_tally{.tenant = "acme",
                              .operation = Bytes("a\0b", 3),
                              .tally = {.executions = 1,
                                        .replays = 0x0203,
                                        .busy = 4,
                                        .mismatches = 5,
                                        .in_doubt = 6,
                                        .fenced = 7}};

TEST_CASE("golden tallies") {
  CHECK(testing::to_hex(encode_tally_name(golden_tally)) == "74616c6c7961636d6500016100ff620001");
  CHECK(testing::to_hex(encode_tally(golden_tally.tally)) ==
        "0101000000000000000302000000000000040000000000000005000000000000000600000000000000"
        "0700000000000000");
  CHECK(encode_tally_name({.others = true}) == "tally");
}

TEST_CASE("tallies come back, each under its own name") {
  std::set<Bytes> names;
  for (const auto& [tenant, operation] : std::vector<std::pair<Bytes, Bytes>>{
           {"", ""}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab", ""}, {Bytes("\0\1", 2), "\xff"}}) {
    const LabelTally label{.tenant = tenant, .operation = operation, .tally = golden_tally.tally};
    const Bytes name = encode_tally_name(label);
    CHECK(names.insert(name).second);
    CHECK(decode_tally(name, encode_tally(label.tally)).value() == label);
  }
  const LabelTally others{.others = true, .tally = golden_tally.tally};
  CHECK(decode_tally("tally", encode_tally(others.tally)).value() == others);
}

TEST_CASE("hostile tallies") {
  const auto named = [](ByteView value) {
    return decode_tally(encode_tally_name(golden_tally), value);
  };
  const auto back = [](const LabelTally& label, ByteView) { return encode_tally(label.tally); };
  testing::check_hostile(encode_tally(golden_tally.tally), named, back);
  testing::check_versions(encode_tally(golden_tally.tally), named);
  const Bytes value = encode_tally(golden_tally.tally);
  for (const Bytes& name : {Bytes("tall"), Bytes("tallya"), encode_tally_name(golden_tally) + "x",
                            Bytes("tallya\0\1b", 9), Bytes("tally") + Bytes(300, 'x')}) {
    CHECK(decode_tally(name, value).error().code == ErrorCode::damaged);
  }
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
