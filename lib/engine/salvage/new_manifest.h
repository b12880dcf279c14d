// A list of files for RocksDB (MANIFEST), made of the tables that are there, for when the one there
// was cannot be read.
//
// Which tables were in use and on which level they lay is lost with the old list. Here all of them
// lie on level 0, where any of them may hold any key, so that what is newest is told by the
// sequences of rows alone: only iterators are right then, and not Get(), which believes the first
// table it finds a key in. A table that was no longer in use, and not yet removed, brings its rows
// back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/salvage/damaged_table.h"
#include "once/bytes.h"

namespace once::engine {

struct ListedTable {
  std::uint32_t family = 0;
  std::uint64_t number = 0;
  std::uint64_t size = 0;
  Bytes first_key{};
  Bytes last_key{};
  std::uint64_t smallest_sequence = 0;
  std::uint64_t largest_sequence = 0;
};

// nullopt: it cannot be told whose rows it holds, or it has none that can be read.
[[nodiscard]] std::optional<ListedTable> list_table(const DamagedTable& table, std::uint64_t number,
                                                    std::uint64_t size);

// `families`: their names, in the order of their numbers.
[[nodiscard]] Bytes make_manifest(const std::vector<std::string>& families,
                                  const std::vector<ListedTable>& tables,
                                  std::uint64_t next_file_number);

}  // namespace once::engine
