// Row keys: order survives, no two meet, and nothing else is accepted.
#include "model/key_codec.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "once/checkpoint.h"
#include "rows.h"

namespace once::model {
namespace {

const Key golden(std::string_view("ac\0me", 5), "", std::string_view("\0\1\xff", 3));

Bytes encode_back(const Key& key, ByteView) {
  return encode_key(key);
}

TEST_CASE("golden keys") {
  CHECK(testing::to_hex(encode_key(golden)) == "616300ff6d650001000100ff01ff0001");
  CHECK(testing::to_hex(encode_checkpoint_key(golden, ByteView("st\0ep", 5))) ==
        "616300ff6d650001000100ff01ff0001737400ff65700001");
  CHECK(testing::to_hex(encode_sequence(0x0102030405060708)) == "0102030405060708");
}

TEST_CASE("keys come back, and sort as the keys do") {
  testing::Random random(2);
  std::vector<Key> keys;
  for (int i = 0; i < 700; ++i) keys.push_back(random.key(4));
  for (const Key& a : keys) {
    const Bytes encoded = encode_key(a);
    REQUIRE(decode_key(encoded).value() == a);
    for (const Key& b : keys) {
      const Bytes other = encode_key(b);
      if ((a < b) != (encoded < other) || (a == b) != (encoded == other)) {
        FAIL("order differs: " << a.to_string() << " and " << b.to_string());
      }
      if (a != b && other.starts_with(encoded)) {
        FAIL(a.to_string() << " is a prefix of " << b.to_string());
      }
    }
  }
}

TEST_CASE("a key is the prefix of its own checkpoints and of no other's") {
  testing::Random random(3);
  std::vector<Key> keys;
  for (int i = 0; i < 300; ++i) keys.push_back(random.key(3));
  for (const Key& a : keys) {
    const Bytes name = random.bytes(5);
    const Bytes encoded = encode_checkpoint_key(a, name);
    REQUIRE(decode_checkpoint_key(encoded).value() == CheckpointKey{.key = a, .name = name});
    for (const Key& b : keys) {
      if (encoded.starts_with(encode_key(b)) != (a == b)) {
        FAIL(b.to_string() << " and a checkpoint of " << a.to_string());
      }
    }
  }
}

TEST_CASE("keys of the greatest length are taken, longer ones are damage") {
  const std::string part(255, '\0');
  const std::string id(1024, '\0');
  const Key most(part, part, id);
  CHECK(decode_key(encode_key(most)).value() == most);
  CHECK(decode_key(encode_key(Key(part + 'x', "", "i"))).error().code == ErrorCode::damaged);
  CHECK(decode_key(encode_key(Key(part + '\0', "", "i"))).error().code == ErrorCode::damaged);
  CHECK(decode_key(encode_key(Key("", part + 'x', "i"))).error().code == ErrorCode::damaged);
  CHECK(decode_key(encode_key(Key("", "", id + 'x'))).error().code == ErrorCode::damaged);
  CHECK(decode_key(encode_key(Key("a", "b", ""))).error().code == ErrorCode::damaged);
  const std::string name(max_checkpoint_name_bytes, 'n');
  CHECK(decode_checkpoint_key(encode_checkpoint_key(most, name)).value().name == name);
  CHECK(decode_checkpoint_key(encode_checkpoint_key(most, name + "n")).error().code ==
        ErrorCode::damaged);
}

TEST_CASE("other bytes are refused") {
  testing::check_hostile(encode_key(golden), &decode_key, &encode_back);
  testing::check_hostile(
      encode_checkpoint_key(golden, ByteView("st\0ep", 5)), &decode_checkpoint_key,
      [](const CheckpointKey& at, ByteView) { return encode_checkpoint_key(at.key, at.name); });
  CHECK_FALSE(decode_key(encode_checkpoint_key(golden, "step")).has_value());
  CHECK_FALSE(decode_checkpoint_key(encode_key(golden)).has_value());
}

TEST_CASE("sequences sort as numbers") {
  testing::Random random(4);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t a = random.u64();
    const std::uint64_t b = random.u64();
    CHECK(decode_sequence(encode_sequence(a)).value() == a);
    CHECK((a < b) == (encode_sequence(a) < encode_sequence(b)));
  }
  CHECK(decode_sequence(encode_sequence(UINT64_MAX)).value() == UINT64_MAX);
  testing::check_hostile(
      encode_sequence(7), &decode_sequence,
      [](std::uint64_t sequence, ByteView) { return encode_sequence(sequence); });
}

}  // namespace
}  // namespace once::model
