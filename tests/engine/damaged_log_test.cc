// Logs of RocksDB with bytes missing: every whole record stays, and gaps are told.
#include "engine/salvage/damaged_log.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "engine/salvage/rocksdb_bytes.h"

using namespace once;
using namespace once::engine;

namespace {

constexpr std::size_t block_bytes = std::size_t{32} << 10;

// What a strict reader finds: every record is whole, and nothing stands between them. Records that
// are too short to be a batch are left out.
std::vector<Bytes> read_log(const Bytes& log) {
  std::vector<Bytes> records;
  Bytes record;
  bool begun = false;
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t left = block_bytes - at % block_bytes;
    if (left < 7) {
      at += left;
      continue;
    }
    REQUIRE(log.size() - at >= 7);
    const ByteView header = ByteView(log).substr(at, 7);
    const std::size_t length = static_cast<std::uint8_t>(header[4]) +
                               std::size_t{256} * static_cast<std::uint8_t>(header[5]);
    REQUIRE(length + 7 <= left);
    const ByteView payload = ByteView(log).substr(at + 7, length);
    REQUIRE(payload.size() == length);
    REQUIRE(fixed32(header) == masked_crc(header.substr(6), payload));
    const char type = header[6];
    REQUIRE(type >= 1);
    REQUIRE(type <= 4);
    // A record that begins is whole when its last piece follows.
    const bool begins = type == 1 || type == 2;
    const bool ends = type == 1 || type == 4;
    if (begins) record.clear();
    begun = begins || begun;
    record += payload;
    if (begun && ends && record.size() >= 12) records.push_back(record);
    if (ends) begun = false;
    at += 7 + length;
  }
  return records;
}

std::vector<Bytes> some_records(std::size_t count) {
  std::vector<Bytes> records;
  for (std::size_t i = 0; i < count; ++i) {
    records.emplace_back(20 + i * 37 % 900, static_cast<char>('a' + i % 26));
  }
  return records;
}

}  // namespace

TEST_CASE("the checksum is CRC-32C") {
  // The check value of the polynomial, unmasked (RFC 3720, B.4, has more).
  const std::uint32_t masked = masked_crc("1234", "56789") - 0xa282ead8;
  CHECK(((masked >> 17) | (masked << 15)) == 0xe3069283);
}

TEST_CASE("a whole log has no gaps and stays as it is") {
  auto records = some_records(300);
  records.emplace_back(100'000, 'x');
  records.emplace_back(block_bytes - 7, 'y');
  const Bytes log = make_log(records);
  CHECK(read_log(log) == records);
  Bytes mended = log;
  CHECK(mend_log(mended).empty());
  CHECK(mended == log);
}

TEST_CASE("a bad byte anywhere: only its record goes") {
  const auto records = some_records(200);
  const Bytes log = make_log(records);
  REQUIRE(log.size() > 2 * block_bytes);
  for (std::size_t at = 0; at < log.size(); at += 101) {
    CAPTURE(at);
    Bytes damaged = log;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    const auto gaps = mend_log(damaged);
    if (gaps.empty()) {
      // The end of the log looks cut off when the length of its last record is wrong.
      REQUIRE(at > log.size() - records.back().size() - 7);
      continue;
    }
    REQUIRE(gaps.size() == 1);
    REQUIRE(at >= gaps[0].offset);
    REQUIRE(at < gaps[0].offset + gaps[0].length);
    REQUIRE(damaged.size() == log.size());
    const auto left = read_log(damaged);
    REQUIRE(left.size() + 1 == records.size());
    REQUIRE(std::ranges::all_of(
        left, [&](const Bytes& record) { return std::ranges::count(records, record) > 0; }));
  }
}

TEST_CASE("holes of every length") {
  const auto records = some_records(150);
  const Bytes log = make_log(records);
  for (std::size_t length = 1; length < 2 * block_bytes; length = length * 3 / 2 + 1) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{5000}, block_bytes - 10}) {
      if (at + length > log.size()) continue;
      CAPTURE(length);
      CAPTURE(at);
      Bytes damaged = log;
      std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(at), length, '\0');
      const auto gaps = mend_log(damaged);
      const auto left = read_log(damaged);
      std::uint64_t lost = 0;
      for (const LogGap& gap : gaps) lost += gap.length;
      CHECK(lost >= length);
      CHECK(lost <= length + 2000);
      CHECK(left.size() < records.size());
    }
  }
}

TEST_CASE("what a crash leaves at the end is cut off, and is no gap") {
  const auto records = some_records(40);
  const Bytes log = make_log(records);
  for (std::size_t size = 0; size < log.size(); size += 13) {
    CAPTURE(size);
    Bytes cut = log.substr(0, size);
    CHECK(mend_log(cut).empty());
    const auto left = read_log(cut);
    CHECK(std::equal(left.begin(), left.end(), records.begin()));
    Bytes zeros = log.substr(0, size) + Bytes(500, '\0');
    const auto gaps = mend_log(zeros);
    // Half a record with zeros behind it is not what a cut leaves.
    if (gaps.empty()) CHECK(read_log(zeros) == left);
  }
}
