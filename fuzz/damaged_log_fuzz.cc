// Any bytes as a log of RocksDB that is to be salvaged: what is mended is whole, and stays as it
// is.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "check.h"
#include "engine/salvage/damaged_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::engine;
  const ByteView input = fuzz::view(data, size);
  Bytes log(input);
  std::uint64_t end = 0;
  for (const LogGap& gap : mend_log(log)) {
    ONCE_CHECK(gap.length > 0);
    ONCE_CHECK(gap.offset >= end);
    end = gap.offset + gap.length;
    ONCE_CHECK(end <= input.size());
  }
  ONCE_CHECK(log.size() <= input.size());
  Bytes again = log;
  ONCE_CHECK(mend_log(again).empty());
  ONCE_CHECK(again == log);

  // The same bytes as records: a log of them lacks nothing.
  std::vector<Bytes> records;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t length = 1 + static_cast<std::uint8_t>(input[at]) * 300U;
    records.emplace_back(input.substr(at, length));
    at += length;
  }
  const Bytes made = make_log(records);
  Bytes mended = made;
  ONCE_CHECK(mend_log(mended).empty());
  ONCE_CHECK(mended == made);
  return 0;
}
