#include "engine/salvage/new_manifest.h"

#include <algorithm>
#include <utility>

#include "engine/salvage/damaged_log.h"
#include "engine/salvage/rocksdb_bytes.h"

namespace once::engine {
namespace {

// The fields of a record of a manifest, as far as they are needed.
enum Field : std::uint32_t {
  comparator = 1,
  log_number = 2,
  next_file = 3,
  last_sequence = 4,
  family_number = 200,
  family_name = 201,
  largest_family = 203,
  new_table = 100,
};
constexpr std::string_view comparator_name = "leveldb.BytewiseComparator";

void put_number(Bytes& out, Field field, std::uint64_t number) {
  put_varint(out, field);
  put_varint(out, number);
}

void put_text(Bytes& out, Field field, ByteView text) {
  put_varint(out, field);
  put_prefixed(out, text);
}

// With the sequence that sorts before, or behind, all others of the key.
Bytes bound(ByteView key, bool first) {
  Bytes made(key);
  constexpr std::uint64_t newest = (((std::uint64_t{1} << 56) - 1) << 8) | 1;
  put_fixed64(made, first ? newest : 0);
  return made;
}

void put_table(Bytes& out, const ListedTable& table) {
  put_varint(out, new_table);
  put_varint(out, 0);  // level
  put_varint(out, table.number);
  put_varint(out, table.size);
  put_prefixed(out, bound(table.first_key, true));
  put_prefixed(out, bound(table.last_key, false));
  put_varint(out, table.smallest_sequence);
  put_varint(out, table.largest_sequence);
}

}  // namespace

std::optional<ListedTable> list_table(const DamagedTable& table, std::uint64_t number,
                                      std::uint64_t size) {
  if (!table.facts()) return std::nullopt;
  ListedTable listed{.family = table.facts()->family, .number = number, .size = size};
  bool any = false;
  bool lost = false;
  for (const TableBlock& block : table.blocks()) {
    const auto rows = table.rows(block);
    if (!rows) {
      // Its keys may come before the first one that is found, and be as new as any.
      if (!any) lost = true;
      continue;
    }
    (void)visit_rows(*rows, [&](const TableRow& row) {
      if (!any) {
        listed.first_key = lost ? Bytes() : Bytes(row.key);
        listed.smallest_sequence = row.sequence;
      }
      any = true;
      listed.last_key = row.key;
      listed.smallest_sequence = std::min(listed.smallest_sequence, row.sequence);
      listed.largest_sequence = std::max(listed.largest_sequence, row.sequence);
    });
  }
  if (!any) return std::nullopt;
  if (!table.blocks().empty() && !table.rows(table.blocks().back())) {
    listed.last_key = Bytes(std::max<std::size_t>(listed.last_key.size() + 1, 8192), '\xff');
  }
  return listed;
}

Bytes make_manifest(const std::vector<std::string>& families,
                    const std::vector<ListedTable>& tables, std::uint64_t next_file_number) {
  std::vector<Bytes> records;
  std::uint64_t sequence = 0;
  for (const ListedTable& table : tables) sequence = std::max(sequence, table.largest_sequence);
  Bytes head;
  put_text(head, comparator, comparator_name);
  put_number(head, log_number, 0);
  put_number(head, next_file, next_file_number);
  put_number(head, last_sequence, sequence);
  put_number(head, largest_family, families.size() - 1);
  records.push_back(std::move(head));
  for (std::uint32_t family = 0; family < families.size(); ++family) {
    if (family != 0) {
      Bytes added;
      put_text(added, comparator, comparator_name);
      put_number(added, log_number, 0);
      put_number(added, family_number, family);
      put_text(added, family_name, families[family]);
      records.push_back(std::move(added));
    }
    Bytes filled;
    for (const ListedTable& table : tables) {
      if (table.family == family) put_table(filled, table);
    }
    if (filled.empty()) continue;
    if (family != 0) put_number(filled, family_number, family);
    records.push_back(std::move(filled));
  }
  return make_log(records);
}

}  // namespace once::engine
