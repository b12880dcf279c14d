// The records of one of RocksDB's write-ahead logs, read without RocksDB: for knowing what stands
// before a place and what behind it.
//
//   The file is a row of blocks of 32 KiB. A fragment never crosses a block; fewer than 7 bytes at
//   the end of a block are zeros.
//
//   offset size
//   0      4    checksum (not looked at)
//   4      2    length of the payload, little-endian
//   6      1    1 whole record, 2 first, 3 middle, 4 last fragment; 0: nothing more
//   7      ...  payload: a WriteBatch, in which keys and values stand as they are
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace once::crash {

struct LogRecord {
  std::size_t end = 0;  // offset in the file behind its last byte
  std::string payload;
};

// The whole records, in order.
[[nodiscard]] std::vector<LogRecord> read_records(std::string_view log);

}  // namespace once::crash
