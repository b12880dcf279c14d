// Checkpoints as rows: the golden row, round trips, and hostile bytes.
#include "model/checkpoint_codec.h"

#include <doctest/doctest.h>

#include "model/row_header.h"
#include "rows.h"

namespace once::model {
namespace {

Checkpoint golden() {
  return {.name = "step",
          .data = Bytes("out\0put", 7),
          .token = {5},
          .sequence = 8,
          .created_at = Time(Duration(1700000000000))};
}

Result<Checkpoint> decode(ByteView row) {
  return decode_checkpoint("step", row);
}
Bytes encode_back(const Checkpoint& checkpoint, ByteView) {
  return encode_checkpoint(checkpoint);
}

TEST_CASE("golden checkpoint") {
  CHECK(testing::to_hex(encode_checkpoint(golden())) ==
        "01000000000000000000080000000000000005000000000000000068e5cf8b010000070000006f757400"
        "707574");
}

TEST_CASE("checkpoints come back") {
  testing::Random random(8);
  for (int i = 0; i < 2000; ++i) {
    const Checkpoint checkpoint{.name = random.bytes(9),
                                .data = random.bytes(60),
                                .token = {random.u64()},
                                .sequence = random.u64(),
                                .created_at = random.time()};
    REQUIRE(decode_checkpoint(checkpoint.name, encode_checkpoint(checkpoint)).value() ==
            checkpoint);
  }
}

TEST_CASE("the sequence stands at its place, and no checkpoint is ever removable by itself") {
  CHECK(testing::u64_at(encode_checkpoint(golden()), checkpoint_sequence_offset) == 8);
  CHECK_FALSE(may_remove(encode_checkpoint(golden()), Time::max()));
}

TEST_CASE("hostile checkpoints") {
  testing::check_hostile(encode_checkpoint(golden()), &decode, &encode_back);
  testing::check_versions(encode_checkpoint(golden()), &decode);
  const Bytes row = encode_checkpoint(golden());
  testing::check_damaged_with(row, 1, 1, &decode);
  testing::check_damaged_with(row, 2, 1, &decode);
  testing::check_damaged_with(row, 37, 0x7f, &decode);  // a length of 2 GiB
}

}  // namespace
}  // namespace once::model
