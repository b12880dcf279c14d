// DamagedTable: a table file of RocksDB whose sound blocks are found without trusting any byte.
//
//   DamagedTable table(read, size);
//   if (!table.opens()) show RocksDB table.patches() too;
//   for (const TableBlock& block : table.blocks()) {
//     if (const auto rows = table.rows(block)) visit_rows(*rows, visit);    // else it is lost
//   }
//
// A table is: data blocks, one after the other; a filter; an index of the data blocks; properties;
// a metaindex, which says where filter and properties are; and a footer, which says where
// metaindex and index are. Each block has a checksum, the footer has none. Without the index the
// data blocks are found by their checksums.
//
// Invariants: rows() gives what the writer wrote or nothing. patches() makes a table in which each
// key is looked for in the block that holds it, or would, if that block is sound; where it may
// have been in bytes that are lost, RocksDB meets a block whose checksum does not fit.
// Fault model: any bytes, of any length.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "once/bytes.h"
#include "once/error.h"

namespace once::engine {

// Bytes of the file; may give fewer than asked for, at its end.
using ReadBytes = std::function<Result<Bytes>(std::uint64_t offset, std::uint64_t length)>;

// A data block with its trailer, or a stretch in which none was found.
struct TableBlock {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  // As the index has it: not less than the block's keys, less than those of the next one.
  std::optional<Bytes> separator{};
};

struct TableRow {
  ByteView key{};
  std::uint64_t sequence = 0;
  bool removed = false;
  ByteView value{};
};

// The rows of a block, in the order of its keys, newest first. False: they are none.
[[nodiscard]] bool visit_rows(ByteView rows, const std::function<void(const TableRow&)>& visit);

class DamagedTable {
 public:
  // Looks at what leads to the data blocks, or for them if that is broken.
  DamagedTable(ReadBytes read, std::uint64_t size);

  // Whether RocksDB finds its way to the data blocks.
  [[nodiscard]] bool opens() const { return problem_.empty(); }
  // Why it does not.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  // All data blocks, in the order of their keys.
  [[nodiscard]] const std::vector<TableBlock>& blocks() const { return blocks_; }
  // The rows of a block that is sound.
  [[nodiscard]] std::optional<Bytes> rows(const TableBlock& block) const;

  // From the properties, if these are sound.
  struct Facts {
    std::uint32_t family = 0;   // the column family's number
    std::uint64_t entries = 0;  // in all data blocks
    std::uint64_t data_bytes = 0;
  };
  [[nodiscard]] const std::optional<Facts>& facts() const { return facts_; }

  // What RocksDB has to be shown, at which offset, instead of what is there or behind its end.
  [[nodiscard]] std::map<std::uint64_t, Bytes> patches() const;

 private:
  struct Handle {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;  // without the trailer
  };
  [[nodiscard]] Bytes read_all() const;
  [[nodiscard]] std::optional<Bytes> contents(const Handle& handle) const;
  [[nodiscard]] bool read_footer();
  [[nodiscard]] bool read_metaindex();
  [[nodiscard]] bool read_properties(const Handle& handle);
  [[nodiscard]] bool read_index();
  void find_properties();
  void scan();

  const ReadBytes read_;
  const std::uint64_t size_;
  std::string problem_{};
  Handle metaindex_{};
  Handle index_{};
  std::string filter_name_{};  // empty: no filter is known
  Handle filter_{};
  std::optional<Facts> facts_{};
  std::vector<TableBlock> blocks_{};
};

}  // namespace once::engine
