// Records: the golden row, round trips, and hostile bytes.
#include "model/record_codec.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "model/row_header.h"
#include "rows.h"

namespace once::model {
namespace {

using std::chrono::hours;

Fingerprint counted(int first) {
  Fingerprint fingerprint;
  for (auto& byte : fingerprint.digest) byte = static_cast<std::uint8_t>(first++);
  return fingerprint;
}

Record golden() {
  Record record;
  record.status = Status::completed;
  record.on_abandon = OnAbandon::rerun;
  record.token = {0x100000005};
  record.origin = {0x100000004};
  record.attempt = 3;
  record.created_at = Time(Duration(1700000000000));
  record.updated_at = Time(Duration(1700000000123));
  record.lease_until = Time(Duration(1700000300000));
  record.expires_at = Time(Duration(1700000086400));
  record.retention = hours(24);
  record.holder = testing::golden_holder();
  record.fingerprint = counted(0xa0);
  record.outcome = counted(0xb0);
  record.last_history = 77;
  return record;
}

FieldDigest field(const std::string& name, int first) {
  FieldDigest field{.name = name};
  for (auto& byte : field.digest) byte = static_cast<std::uint8_t>(first++);
  return field;
}

std::vector<FieldDigest> random_fields(testing::Random& random) {
  std::set<std::string> names;
  for (std::uint64_t i = random.below(max_question_fields); i != 0; --i) {
    names.insert(random.bytes(max_field_name_bytes));
  }
  std::vector<FieldDigest> fields;
  for (const std::string& name : names) {
    fields.push_back(field(name, static_cast<int>(random.below(200))));
  }
  return fields;
}

Record random_record(testing::Random& random) {
  Record record;
  record.status = random.one_of(Status::released);
  record.on_abandon = random.one_of(OnAbandon::rerun);
  record.token = {random.u64()};
  record.origin = {random.u64()};
  record.attempt = random.u32();
  record.created_at = random.time();
  record.updated_at = random.time();
  record.lease_until = random.time();
  record.expires_at = random.time();
  record.retention = random.duration();
  record.holder = random.holder();
  if (random.coin()) record.fingerprint = random.fingerprint();
  if (random.coin()) record.outcome = random.fingerprint();
  record.last_history = random.u64();
  if (random.coin()) record.fields = random_fields(random);
  return record;
}

Bytes encode_back(const Record& record, ByteView) {
  return encode_record(record);
}

TEST_CASE("golden records") {
  CHECK(testing::to_hex(encode_record(golden())) ==
        "010180b9e6cf8b0100004d0000000000000002020303000000050000000100000004000000010000000068e5cf"
        "8b0100007b68e5cf8b010000e0fbe9cf8b010000005c260500000000101112131415161718191a1b1c1d1e1f08"
        "07060504030201921000006300000000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9"
        "babbbcbdbebf");
  Record bare;
  bare.token = bare.origin = {5};
  bare.created_at = Time(Duration(1));
  bare.updated_at = Time(Duration(2));
  bare.lease_until = Time(Duration(3));
  bare.retention = Duration(4);
  CHECK(testing::to_hex(encode_record(bare)) ==
        "0100000000000000000000000000000000000101000100000005000000000000000500000000000000010000"
        "0000000000020000000000000003000000000000000400000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000");
}

TEST_CASE("golden records with fields are of version 2") {
  Record record = golden();
  const Bytes without = encode_record(record);
  record.fields = {field("", 0x30), field("amount", 0x40)};
  CHECK(testing::to_hex(encode_record(record)) == "02" + testing::to_hex(without.substr(1)) +
                                                      "02"
                                                      "00"
                                                      "3031323334353637"
                                                      "06"
                                                      "616d6f756e74"
                                                      "4041424344454647");
  CHECK(decode_record(encode_record(record)).value() == record);
  record.fingerprint.reset();
  record.outcome.reset();
  CHECK(decode_record(encode_record(record)).value() == record);
}

TEST_CASE("records of version 1 are read, and written again as they were") {
  const Bytes row = encode_record(golden());
  CHECK(row[0] == 1);
  const Record record = decode_record(row).value();
  CHECK(record.fields.empty());
  CHECK(encode_record(record) == row);
}

TEST_CASE("a record takes as many and as long fields as the limits say") {
  Record record = golden();
  for (std::size_t i = 0; i < max_question_fields; ++i) {
    std::string name(max_field_name_bytes, 'x');
    name[0] = static_cast<char>(i);
    record.fields.push_back(field(name, static_cast<int>(i)));
  }
  CHECK(decode_record(encode_record(record)).value() == record);
  Bytes row = encode_record(record);
  const std::size_t count_at = encode_record(golden()).size();
  CHECK(row[count_at] == 64);
  testing::check_damaged_with(row, count_at, 65, &decode_record);
  testing::check_damaged_with(row, count_at, 63, &decode_record);
  testing::check_damaged_with(row, count_at, 0, &decode_record);
}

// Computed with another implementation of SHA-256 (Python's hashlib), so that stores keep meaning
// what they meant.
TEST_CASE("fields are bound to their key") {
  const Key key("acme", "charge", "42");
  const auto bound =
      bind_fields(key, {FieldDigest::of("b", "\"x\""), FieldDigest::of("amount", "4200")});
  REQUIRE(bound.size() == 2);
  CHECK(bound[0].name == "amount");
  CHECK(bound[1].name == "b");
  CHECK(testing::to_hex({reinterpret_cast<const char*>(bound[0].digest.data()), 8}) ==
        "615f7d036259cc7d");
  const auto other = bind_fields(Key("acme", "charge", "43"), {FieldDigest::of("amount", "4200")});
  CHECK(other[0].digest != bound[0].digest);
  const auto renamed = bind_fields(key, {FieldDigest::of("amounts", "4200")});
  CHECK(renamed[0].digest != bound[0].digest);
  CHECK(bind_fields(key, {FieldDigest::of("amount", "4200")})[0] == bound[0]);
  CHECK(bind_fields(key, {}).empty());
}

TEST_CASE("records come back") {
  testing::Random random(5);
  for (int i = 0; i < 3000; ++i) {
    const Record record = random_record(random);
    REQUIRE(decode_record(encode_record(record)).value() == record);
  }
  Record eternal = golden();
  eternal.retention = forever;
  eternal.expires_at = Time::max();
  CHECK(decode_record(encode_record(eternal)).value() == eternal);
}

TEST_CASE("only finished records may be removed, and only when expired") {
  for (int i = 1; i <= 5; ++i) {
    Record record = golden();
    record.status = static_cast<Status>(i);
    const Bytes row = encode_record(record);
    CHECK(may_remove(row, record.expires_at) == is_finished(record.status));
    CHECK_FALSE(may_remove(row, record.expires_at - Duration(1)));
  }
}

TEST_CASE("last_history can be patched at its place") {
  Record record = golden();
  Bytes row = encode_record(record);
  CHECK(testing::u64_at(row, record_last_history_offset) == 77);
  Bytes patch;
  Writer(patch).u64(0x1122334455667788);
  row.replace(record_last_history_offset, patch.size(), patch);
  record.last_history = 0x1122334455667788;
  CHECK(decode_record(row).value() == record);
}

TEST_CASE("hostile records") {
  Record bare;
  testing::check_hostile(encode_record(bare), &decode_record, &encode_back);
  testing::check_hostile(encode_record(golden()), &decode_record, &encode_back);
  testing::check_versions(encode_record(golden()), &decode_record, record_version_with_fields);
  const Bytes row = encode_record(golden());
  for (const int byte : {0, 6, 255}) testing::check_damaged_with(row, 18, byte, &decode_record);
  for (const int byte : {0, 3, 255}) testing::check_damaged_with(row, 19, byte, &decode_record);
  testing::check_damaged_with(row, 1, 0, &decode_record);      // finished, and never removable
  testing::check_damaged_with(row, 1, 3, &decode_record);      // unknown flag in the header
  testing::check_damaged_with(row, 18, 1, &decode_record);     // removable while in progress
  testing::check_damaged_with(row, 20, 7, &decode_record);     // unknown presence bit
  testing::check_damaged_with(row, 72, 0x80, &decode_record);  // negative retention
}

TEST_CASE("hostile records with fields") {
  Record record = golden();
  record.fields = {field("a", 1), field("b", 2)};
  const Bytes row = encode_record(record);
  testing::check_hostile(row, &decode_record, &encode_back);
  testing::check_versions(row, &decode_record, record_version_with_fields);
  testing::check_damaged_with(row, 0, 1, &decode_record);  // fields in version 1
  const std::size_t first_name = row.size() - 19;
  REQUIRE(row[first_name] == 'a');
  testing::check_damaged_with(row, first_name, 'b', &decode_record);  // named twice
  testing::check_damaged_with(row, first_name, 'c', &decode_record);  // out of order
  const Bytes bare = encode_record(golden());
  testing::check_damaged_with(bare, 0, 2, &decode_record);  // version 2 without fields
  CHECK(decode_record("\x02" + bare.substr(1) + '\0').error().code == ErrorCode::damaged);
}

}  // namespace
}  // namespace once::model
