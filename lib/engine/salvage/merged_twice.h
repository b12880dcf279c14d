// Which tables to leave out of a list that is made anew, because they hold rows of others again.
//
// A merge reads tables and writes what comes of them into new ones. Killed before the list of files
// says so, or before the old ones are removed, both are there. A row that nothing older stands
// under has sequence 0 then, in the old table and in the new one, and RocksDB 7.8.3 ends the
// process when its iterator meets two rows of one key with that sequence.
//
// So of two such tables one goes: the new one, if the older ones hold all of its rows, with the
// same values, since then the merge may not have come to its end; otherwise the old one, of which
// the merge was told to be done.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/salvage/damaged_table.h"
#include "engine/salvage/new_manifest.h"

namespace once::engine {

// Digests of what a table holds, in order.
struct TableContents {
  std::vector<std::uint64_t> keys{};
  std::vector<std::uint64_t> rows{};    // key and value
  std::vector<std::uint64_t> oldest{};  // keys with sequence 0
};
[[nodiscard]] TableContents contents_of(const DamagedTable& table);

struct FoundTable {
  ListedTable listed{};
  TableContents contents{};
};
struct LeftOut {
  std::uint64_t number = 0;        // of the table
  std::uint64_t missing_keys = 0;  // that no table has that stays
};

// Takes them out of `tables`, which are all of a store.
[[nodiscard]] std::vector<LeftOut> leave_out_merged_twice(std::vector<FoundTable>& tables);

}  // namespace once::engine
