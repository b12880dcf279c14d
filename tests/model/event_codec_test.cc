// Events as rows: the golden row, round trips, and hostile bytes.
#include "model/event_codec.h"

#include <doctest/doctest.h>

#include "model/row_header.h"
#include "rows.h"

namespace once::model {
namespace {

Event golden() {
  Event event;
  event.sequence = 12;
  event.id = "e1";
  event.aggregate_type = "order";
  event.aggregate_id = "9";
  event.type = "order.placed";
  event.payload = "{}";
  event.headers = {{"a", "1"}, {"b\xff", ""}};
  event.metadata = {{"m", "2"}};
  event.status = EventStatus::delivered;
  event.retries = 3;
  event.created_at = Time(Duration(1700000000000));
  event.published_at = Time(Duration(1700000000500));
  event.expires_at = Time(Duration(1700000086400));
  return event;
}

// One that an attempt to deliver has left something in.
Event golden_tried() {
  Event event;
  event.sequence = 12;
  event.id = "e1";
  event.status = EventStatus::pending;
  event.retries = 1;
  event.next_attempt_at = Time(Duration(1700000001000));
  event.last_error = "down";
  return event;
}

Result<Event> decode(ByteView row) {
  return decode_event(12, row);
}
Bytes encode_back(const Event& event, ByteView) {
  return encode_event(event);
}

TEST_CASE("golden event") {
  CHECK(testing::to_hex(encode_event(golden())) ==
        "010180b9e6cf8b01000002030000000068e5cf8b010000f469e5cf8b010000020000006531050000006f"
        "7264657201000000390c0000006f726465722e706c6163656402000000010000006101000000310200000062"
        "ff0000000001000000010000006d0100000032020000007b7d");
}

TEST_CASE("golden event of version 2") {
  CHECK(testing::to_hex(encode_event(golden_tried())) ==
        "0200000000000000000001010000000000000000000000000000000000000002000000653100000000000000"
        "0000000000000000000000000000000000e86be5cf8b01000004000000646f776e");
}

TEST_CASE("an event that no attempt has touched is written as version 0.1.0 of Once wrote it") {
  Event event = golden_tried();
  event.next_attempt_at = {};
  event.last_error.clear();
  CHECK(encode_event(event)[0] == 1);
  event.last_error = "x";
  CHECK(encode_event(event)[0] == 2);
  // One value has one encoding: version 2 with nothing in it is damage.
  Bytes row = encode_event(event);
  row.resize(row.size() - 1);
  row[row.size() - 4] = 0;
  testing::check_damaged_with(row, 0, 2, &decode);
}

TEST_CASE("events come back") {
  testing::Random random(7);
  for (int i = 0; i < 2000; ++i) {
    Event event;
    event.sequence = random.u64();
    event.id = random.bytes(9);
    event.aggregate_type = random.bytes(9);
    event.aggregate_id = random.bytes(9);
    event.type = random.bytes(9);
    event.payload = random.bytes(60);
    for (auto n = random.below(5); n > 0; --n) event.headers[random.bytes(4)] = random.bytes(9);
    for (auto n = random.below(5); n > 0; --n) event.metadata[random.bytes(4)] = random.bytes(9);
    event.status = random.one_of(EventStatus::dead);
    event.retries = random.u32();
    event.created_at = random.time();
    event.published_at = random.time();
    event.expires_at = random.time();
    if (random.below(2) == 0) event.next_attempt_at = random.time();
    if (random.below(2) == 0) event.last_error = random.bytes(9);
    REQUIRE(decode_event(event.sequence, encode_event(event)).value() == event);
  }
}

TEST_CASE("only delivered events may be removed") {
  for (const auto status : {EventStatus::pending, EventStatus::delivered, EventStatus::dead}) {
    Event event = golden();
    event.status = status;
    CHECK(may_remove(encode_event(event), Time::max()) == (status == EventStatus::delivered));
  }
}

TEST_CASE("hostile events") {
  testing::check_hostile(encode_event(golden()), &decode, &encode_back);
  testing::check_hostile(encode_event(Event{.sequence = 12}), &decode, &encode_back);
  testing::check_hostile(encode_event(golden_tried()), &decode, &encode_back);
  testing::check_versions(encode_event(golden()), &decode, event_version);
  testing::check_damaged_with(encode_event(golden()), 0, 2, &decode);        // without its end
  testing::check_damaged_with(encode_event(golden_tried()), 0, 1, &decode);  // bytes left over
  const Bytes row = encode_event(golden());
  for (const int byte : {0, 4, 255}) testing::check_damaged_with(row, 10, byte, &decode);
  testing::check_damaged_with(row, 1, 0, &decode);
  testing::check_damaged_with(row, 10, 1, &decode);     // removable while pending
  testing::check_damaged_with(row, 34, 0x7f, &decode);  // a length of 2 GiB
}

TEST_CASE("headers out of order, twice, or of an absurd number are damage") {
  Event event;
  event.headers = {{"a", ""}, {"b", ""}};
  const Bytes row = encode_event(event);
  const std::size_t count = event_fixed_bytes + 4 * 4;
  REQUIRE(row[count] == 2);
  REQUIRE(row[count + 8] == 'a');
  testing::check_damaged_with(row, count + 8, 'b', &decode);  // b, b
  testing::check_damaged_with(row, count + 8, 'c', &decode);  // c, b
  testing::check_damaged_with(row, count + 3, 0xff, &decode);
}

}  // namespace
}  // namespace once::model
