// History as rows: the golden row, round trips, and hostile bytes.
#include "model/history_codec.h"

#include <doctest/doctest.h>

#include "model/row_header.h"
#include "rows.h"

namespace once::model {
namespace {

const Time week_later = Time(Duration(1700604800000));

HistoryEntry golden() {
  HistoryEntry entry;
  entry.sequence = 77;
  entry.previous = 76;
  entry.time = Time(Duration(1700000000123));
  entry.deadline = Time(Duration(1700000086400));
  entry.key = Key("acme", "charge", std::string_view("order\0", 6));
  entry.what = What::completed;
  entry.status = Status::completed;
  entry.token = {0x100000005};
  entry.attempt = 3;
  entry.holder = testing::golden_holder();
  entry.note = "why";
  return entry;
}

Result<HistoryEntry> decode(ByteView row) {
  return decode_history(77, row);
}
Bytes encode_back(const HistoryEntry& entry, ByteView row) {
  RowHeader header;
  Reader in(row);
  REQUIRE(read_header(in, header));
  return encode_history(entry, header.expires_at);
}

TEST_CASE("golden history entry") {
  CHECK(testing::to_hex(encode_history(golden(), week_later)) ==
        "010100ecf1f38b0100004c000000000000007b68e5cf8b01000080b9e6cf8b0100000302050000000100"
        "000003000000101112131415161718191a1b1c1d1e1f0807060504030201921000006300000000000000"
        "0400000061636d6506000000636861726765060000006f726465720003000000776879");
}

TEST_CASE("history entries come back") {
  testing::Random random(9);
  for (int i = 0; i < 2000; ++i) {
    HistoryEntry entry;
    entry.sequence = random.u64();
    entry.previous = random.u64();
    entry.time = random.time();
    entry.deadline = random.time();
    entry.key = random.key(9);
    entry.what = random.one_of(What::removed);
    entry.status = random.one_of(Status::released);
    entry.token = {random.u64()};
    entry.attempt = random.u32();
    entry.holder = random.holder();
    entry.note = random.bytes(30);
    REQUIRE(decode_history(entry.sequence, encode_history(entry, random.time())).value() == entry);
  }
}

TEST_CASE("history may be removed when its own retention is over") {
  const Bytes row = encode_history(golden(), week_later);
  CHECK(may_remove(row, week_later));
  CHECK_FALSE(may_remove(row, week_later - Duration(1)));
}

TEST_CASE("hostile history") {
  const Bytes row = encode_history(golden(), week_later);
  testing::check_hostile(row, &decode, &encode_back);
  testing::check_versions(row, &decode);
  for (const int byte : {0, 9, 255}) testing::check_damaged_with(row, 34, byte, &decode);
  for (const int byte : {0, 6, 255}) testing::check_damaged_with(row, 35, byte, &decode);
  testing::check_damaged_with(row, 1, 0, &decode);
  HistoryEntry entry = golden();
  entry.key = Key("a", "b", "");
  CHECK(decode(encode_history(entry, week_later)).error().code == ErrorCode::damaged);
  entry.key = Key(std::string(256, 'x'), "b", "c");
  CHECK(decode(encode_history(entry, week_later)).error().code == ErrorCode::damaged);
}

}  // namespace
}  // namespace once::model
