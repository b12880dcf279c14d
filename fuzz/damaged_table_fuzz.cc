// Any bytes as a table of RocksDB that is to be salvaged, and as the pieces of one: nothing is read
// or claimed outside of it, and what it is made of is taken apart in one way only.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "engine/salvage/damaged_table.h"
#include "engine/salvage/rocksdb_bytes.h"

namespace {

using namespace once;
using namespace once::engine;

void check_table(ByteView file) {
  const DamagedTable table(
      [file](std::uint64_t offset, std::uint64_t length) -> Result<Bytes> {
        return offset < file.size() ? Bytes(file.substr(offset, length)) : Bytes();
      },
      file.size());
  ONCE_CHECK(table.opens() == table.problem().empty());
  for (const TableBlock& block : table.blocks()) {
    ONCE_CHECK(block.offset <= file.size() && block.length <= file.size() - block.offset);
    const auto rows = table.rows(block);
    if (!rows) continue;
    ONCE_CHECK(is_sound_block(file.substr(block.offset, block.length)));
    std::uint64_t bytes = 0;
    (void)visit_rows(*rows, [&](const TableRow& row) { bytes += row.key.size(); });
    // Keys share what they begin with, but each row has three bytes of its own at least.
    ONCE_CHECK(bytes <= rows->size() * rows->size());
  }
  for (const auto& [offset, patch] : table.patches()) {
    ONCE_CHECK(!patch.empty());
    // What is shown instead, or behind all that is there.
    ONCE_CHECK(offset <= file.size() + (std::uint64_t{1} << 32));
  }
}

void check_pieces(ByteView input) {
  VarintReader reader(input);
  while (reader.ok() && reader.left() > 0) {
    const std::uint64_t number = reader.varint();
    if (!reader.ok()) break;
    Bytes again;
    put_varint(again, number);
    VarintReader second(again);
    ONCE_CHECK(second.varint() == number && second.ok() && second.left() == 0);
  }
  if (const auto length = find_block(input)) {
    ONCE_CHECK(*length + block_trailer_bytes <= input.size());
    ONCE_CHECK(is_sound_block(input.substr(0, *length + block_trailer_bytes)));
  }
  const std::size_t size = input.empty() ? 0 : static_cast<std::uint8_t>(input.front()) * 16U;
  if (const auto plain = unpack_lz4(input.substr(std::min<std::size_t>(1, input.size())), size)) {
    ONCE_CHECK(plain->size() == size);
  }
  (void)visit_rows(input, [&](const TableRow& row) {
    ONCE_CHECK(row.value.empty() ||
               (row.value.data() >= input.data() &&
                row.value.data() + row.value.size() <= input.data() + input.size()));
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input = once::fuzz::view(data, size);
  check_table(input);
  check_pieces(input);
  if (input.empty()) return 0;
  // A block that is sound in spite of what is in it: what a fuzzer does not come upon by itself.
  for (const char compression : {plain_block, lz4_block}) {
    Bytes block(input);
    block.push_back(compression);
    put_fixed32(block, block_checksum(input, compression));
    ONCE_CHECK(is_sound_block(block));
    if (const auto rows = unpack_block(block)) {
      (void)visit_rows(*rows, [](const TableRow&) {});
    }
  }
  return 0;
}
