// Logs of RocksDB (write-ahead logs, manifests) with bytes missing or rotten in their middle.
//
//   const auto gaps = mend_log(bytes);   // now RocksDB reads all records that are whole
//
// A log is a row of blocks of 32 KiB, a block a row of records, each a header {crc, length, type}
// and a piece of what was appended; what does not fit into a block goes on in the next one. From a
// bad record on RocksDB leaves out the rest of its block: here what is bad is written over with
// records that RocksDB knows to be nothing, so that it finds the next good one.
#pragma once

#include <cstdint>
#include <vector>

#include "once/bytes.h"

namespace once::engine {

struct LogGap {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Writes over what is not a whole record, and tells where that was. What a crash may leave at the
// end (a record that is cut off, zeros) is no gap, and is cut off.
std::vector<LogGap> mend_log(Bytes& log);

// A log of these records.
[[nodiscard]] Bytes make_log(const std::vector<Bytes>& records);

}  // namespace once::engine
