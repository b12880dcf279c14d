#include "engine/salvage/damaged_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/salvage/rocksdb_bytes.h"
#include "once/transaction.h"

namespace once::engine {
namespace {

constexpr std::uint64_t footer_bytes = 53;
constexpr std::uint64_t table_magic = 0x88e241b785f4cff7;
constexpr std::uint32_t table_version = 5;
constexpr char xxh3_checksum = 4;
constexpr std::string_view properties_name = "rocksdb.properties";
constexpr std::string_view first_property = "rocksdb.block.based.table.index.type";
// An internal key is the key and these: its sequence, shifted by one byte, and its kind.
constexpr std::size_t sequence_bytes = 8;
constexpr std::uint64_t largest_sequence = (std::uint64_t{1} << 56) - 1;
constexpr std::uint8_t removed_kind = 0;
constexpr std::uint8_t value_kind = 1;
// Blocks that are looked for behind lost bytes are no longer than this.
constexpr std::size_t longest_found = std::size_t{64} << 10;

bool is_block_before(const TableBlock& block, std::uint64_t end) {
  return block.length > block_trailer_bytes && block.length <= end &&
         block.offset <= end - block.length;
}

// The entries of a block, with keys put together from what they share. visit(key, value reader)
// answers whether the entry can be; the entries of an index have no length of the value.
bool visit_entries(ByteView block, bool has_length,
                   const std::function<bool(ByteView key, bool whole, VarintReader& value)>& visit,
                   std::size_t* left_after = nullptr) {
  if (block.size() < 4) return false;
  const std::uint32_t restarts = fixed32(block.substr(block.size() - 4));
  if (restarts == 0 || restarts > (block.size() - 4) / 4) return false;
  ByteView entries = block.substr(0, block.size() - 4 - std::size_t{4} * restarts);
  if (left_after != nullptr) *left_after = entries.size();
  Bytes key;
  while (!entries.empty()) {
    VarintReader reader(entries);
    const std::uint32_t shared = reader.varint32();
    const std::uint32_t more = reader.varint32();
    const std::uint32_t length = has_length ? reader.varint32() : 0;
    const ByteView rest = reader.raw(more);
    if (!reader.ok() || shared > key.size()) return false;
    key.resize(shared);
    key += rest;
    if (has_length) {
      VarintReader value(reader.raw(length));
      if (!reader.ok() || !visit(key, shared == 0, value)) return false;
    } else if (!visit(key, shared == 0, reader) || !reader.ok()) {
      return false;
    }
    entries = entries.substr(entries.size() - reader.left());
  }
  return true;
}

bool is_before(ByteView key, std::uint64_t sequence, ByteView next, std::uint64_t next_sequence) {
  return key < next || (key == next && sequence > next_sequence);
}

Bytes internal_key(ByteView key, std::uint64_t sequence, std::uint8_t kind) {
  Bytes made(key);
  put_fixed64(made, sequence << 8 | kind);
  return made;
}

void append_block(Bytes& out, ByteView contents) {
  out += contents;
  out += plain_block;
  put_fixed32(out, block_checksum(contents, plain_block));
}

// A block of whole entries, each of them a restart.
class BlockMaker {
 public:
  void add(ByteView key, ByteView value) {
    restarts_.push_back(static_cast<std::uint32_t>(bytes_.size()));
    put_varint(bytes_, 0);
    put_varint(bytes_, key.size());
    put_varint(bytes_, value.size());
    bytes_ += key;
    bytes_ += value;
  }
  Bytes finish() && {
    if (restarts_.empty()) restarts_.push_back(0);
    for (const std::uint32_t restart : restarts_) put_fixed32(bytes_, restart);
    put_fixed32(bytes_, static_cast<std::uint32_t>(restarts_.size()));
    return std::move(bytes_);
  }

 private:
  Bytes bytes_{};
  std::vector<std::uint32_t> restarts_{};
};

Bytes handle_bytes(std::uint64_t offset, std::uint64_t length) {
  Bytes bytes;
  put_varint(bytes, offset);
  put_varint(bytes, length);
  return bytes;
}

// Whether a data block may begin like this: with an entry that shares nothing with one before.
bool may_begin_block(ByteView bytes) {
  const auto is_first = [](ByteView entry) {
    return entry.size() > 2 && entry[0] == 0 &&
           static_cast<std::uint8_t>(entry[1]) > sequence_bytes;
  };
  if (is_first(bytes)) return true;
  VarintReader reader(bytes);
  const std::uint32_t size = reader.varint32();
  const ByteView token = reader.raw(1);
  if (!reader.ok() || size == 0 || static_cast<std::uint8_t>(token[0]) < 0x20) return false;
  ByteView literals = bytes.substr(bytes.size() - reader.left());
  if (static_cast<std::uint8_t>(token[0]) >= 0xf0) {
    while (!literals.empty() && literals[0] == '\xff') literals.remove_prefix(1);
    if (!literals.empty()) literals.remove_prefix(1);
  }
  return is_first(literals);
}

// The first and the last row of a block.
struct Ends {
  Bytes first_key{};
  std::uint64_t first_sequence = 0;
  Bytes last_key{};
  std::uint64_t last_sequence = 0;
  bool last_removed = false;
};

std::optional<Ends> ends_of(ByteView rows) {
  std::optional<Ends> ends;
  const bool sound = visit_rows(rows, [&](const TableRow& row) {
    if (!ends) ends = {.first_key = Bytes(row.key), .first_sequence = row.sequence};
    ends->last_key = row.key;
    ends->last_sequence = row.sequence;
    ends->last_removed = row.removed;
  });
  return sound ? ends : std::nullopt;
}

}  // namespace

bool visit_rows(ByteView rows, const std::function<void(const TableRow&)>& visit) {
  Bytes last;
  std::uint64_t last_sequence = 0;
  bool any = false;
  return visit_entries(rows, true,
                       [&](ByteView key, bool, VarintReader& value) {
                         if (key.size() < sequence_bytes) return false;
                         const std::uint64_t packed = fixed64(key.substr(key.size() - 8));
                         const auto kind = static_cast<std::uint8_t>(packed);
                         const TableRow row{.key = key.substr(0, key.size() - 8),
                                            .sequence = packed >> 8,
                                            .removed = kind == removed_kind,
                                            .value = value.raw(value.left())};
                         if (kind != removed_kind && kind != value_kind) return false;
                         if (any && !is_before(last, last_sequence, row.key, row.sequence)) {
                           return false;
                         }
                         any = true;
                         last = row.key;
                         last_sequence = row.sequence;
                         visit(row);
                         return true;
                       }) &&
         any;
}

DamagedTable::DamagedTable(ReadBytes read, std::uint64_t size)
    : read_(std::move(read)), size_(size) {
  const bool footer = read_footer();
  const bool metaindex = footer && read_metaindex();
  const bool index = footer && read_index();
  if (index && facts_) return;
  const char* broken = "index";
  if (!footer) {
    broken = "footer";
  } else if (!metaindex) {
    broken = "metaindex";
  } else if (index) {
    broken = "properties";
  }
  problem_ = fmt::format("its {} is damaged", broken);
  if (!facts_) find_properties();
  if (!index) scan();
}

Bytes DamagedTable::read_all() const {
  constexpr std::uint64_t piece = std::uint64_t{1} << 20;
  constexpr std::uint64_t small_piece = 4096;
  Bytes all;
  while (all.size() < size_) {
    auto bytes = read_(all.size(), std::min(piece, size_ - all.size()));
    if (!bytes || bytes->empty()) {
      bytes = read_(all.size(), std::min(small_piece, size_ - all.size()));
    }
    // What cannot be read is as good as rotten.
    if (!bytes || bytes->empty()) bytes = Bytes(std::min(small_piece, size_ - all.size()), '\0');
    all += *bytes;
  }
  return all;
}

std::optional<Bytes> DamagedTable::contents(const Handle& handle) const {
  const TableBlock block{.offset = handle.offset, .length = handle.length + block_trailer_bytes};
  if (handle.length > size_ || !is_block_before(block, size_)) return std::nullopt;
  auto bytes = read_(block.offset, block.length);
  if (!bytes || bytes->size() != block.length) return std::nullopt;
  return unpack_block(*bytes);
}

std::optional<Bytes> DamagedTable::rows(const TableBlock& block) const {
  if (block.length <= block_trailer_bytes) return std::nullopt;
  auto found = contents({.offset = block.offset, .length = block.length - block_trailer_bytes});
  if (found && !visit_rows(*found, [](const TableRow&) {})) return std::nullopt;
  return found;
}

bool DamagedTable::read_footer() {
  if (size_ < footer_bytes) return false;
  const auto bytes = read_(size_ - footer_bytes, footer_bytes);
  if (!bytes || bytes->size() != footer_bytes) return false;
  const ByteView footer(*bytes);
  if (fixed64(footer.substr(footer_bytes - 8)) != table_magic ||
      fixed32(footer.substr(footer_bytes - 12)) != table_version || footer[0] != xxh3_checksum) {
    return false;
  }
  VarintReader reader(footer.substr(1, footer_bytes - 13));
  metaindex_ = {.offset = reader.varint(), .length = reader.varint()};
  index_ = {.offset = reader.varint(), .length = reader.varint()};
  return reader.ok();
}

bool DamagedTable::read_metaindex() {
  const auto block = contents(metaindex_);
  if (!block) return false;
  std::optional<Handle> properties;
  const bool whole = visit_entries(*block, true, [&](ByteView name, bool, VarintReader& value) {
    const Handle handle{.offset = value.varint(), .length = value.varint()};
    if (!value.ok()) return false;
    if (name == properties_name) properties = handle;
    if (name.starts_with("fullfilter.")) {
      filter_name_ = name;
      filter_ = handle;
    }
    return true;
  });
  if (!whole || !properties) return false;
  (void)read_properties(*properties);
  return true;
}

bool DamagedTable::read_properties(const Handle& handle) {
  const auto block = contents(handle);
  if (!block) return false;
  Facts facts;
  int found = 0;
  const bool whole = visit_entries(*block, true, [&](ByteView name, bool, VarintReader& value) {
    const auto take = [&](std::string_view wanted, auto& fact) {
      if (name != wanted) return;
      fact = static_cast<std::remove_reference_t<decltype(fact)>>(value.varint());
      found += value.ok() ? 1 : 0;
    };
    take("rocksdb.column.family.id", facts.family);
    take("rocksdb.num.entries", facts.entries);
    take("rocksdb.data.size", facts.data_bytes);
    return true;
  });
  if (!whole || found != 3) return false;
  facts_ = facts;
  return true;
}

bool DamagedTable::read_index() {
  const auto block = contents(index_);
  if (!block) return false;
  std::vector<TableBlock> blocks;
  const bool whole =
      visit_entries(*block, false, [&](ByteView key, bool full, VarintReader& value) {
        TableBlock next{.separator = Bytes(key)};
        const std::uint64_t end = blocks.empty() ? 0 : blocks.back().offset + blocks.back().length;
        if (full) {
          next.offset = value.varint();
          next.length = value.varint() + block_trailer_bytes;
        } else if (!blocks.empty()) {
          const std::int64_t change = value.signed_varint();
          next.offset = end;
          next.length = blocks.back().length + static_cast<std::uint64_t>(change);
        }
        const bool follows = blocks.empty() || *blocks.back().separator < *next.separator;
        if (!value.ok() || next.offset != end || !follows ||
            !is_block_before(next, index_.offset)) {
          return false;
        }
        blocks.push_back(std::move(next));
        return true;
      });
  if (!whole || blocks.empty()) return false;
  blocks_ = std::move(blocks);
  return true;
}

void DamagedTable::find_properties() {
  constexpr std::uint64_t searched = 64 << 10;
  const std::uint64_t from = size_ > searched ? size_ - searched : 0;
  const auto bytes = read_(from, size_ - from);
  if (!bytes) return;
  // Before the name of the first one stand three lengths of a byte each.
  for (std::size_t at = bytes->find(first_property); at != Bytes::npos;
       at = bytes->find(first_property, at + 1)) {
    if (at < 3) continue;
    const auto length = find_block(ByteView(*bytes).substr(at - 3));
    if (length && read_properties({.offset = from + at - 3, .length = *length})) return;
  }
}

void DamagedTable::scan() {
  blocks_.clear();
  const Bytes file = read_all();
  const std::uint64_t end = facts_ && facts_->data_bytes <= size_ ? facts_->data_bytes : size_;
  const ByteView all = ByteView(file).substr(0, end);
  std::optional<Ends> last;
  // A block of rows that come after those found before.
  const auto block_at = [&](std::size_t at, std::size_t longest) -> std::optional<TableBlock> {
    const auto length = find_block(all.substr(at, longest));
    if (!length) return std::nullopt;
    TableBlock block{.offset = at, .length = *length + block_trailer_bytes};
    const auto rows = unpack_block(all.substr(at, block.length));
    auto ends = rows ? ends_of(*rows) : std::nullopt;
    if (!ends || (last && !is_before(last->last_key, last->last_sequence, ends->first_key,
                                     ends->first_sequence))) {
      return std::nullopt;
    }
    last = std::move(ends);
    return block;
  };
  for (std::size_t at = 0; at < all.size();) {
    if (auto block = block_at(at, all.size())) {
      at += block->length;
      blocks_.push_back(std::move(*block));
      continue;
    }
    // Behind the last data block stands the filter, if that is sound, or the index.
    if (!facts_ && last && find_block(all.substr(at))) return;
    const std::size_t lost = at;
    std::optional<TableBlock> next;
    while (!next && ++at < all.size()) {
      if (may_begin_block(all.substr(at))) next = block_at(at, longest_found);
    }
    blocks_.push_back({.offset = lost, .length = at - lost});
    if (!next) break;
    at += next->length;
    blocks_.push_back(std::move(*next));
  }
}

std::map<std::uint64_t, Bytes> DamagedTable::patches() const {
  std::map<std::uint64_t, Bytes> patches;
  if (opens()) return patches;
  BlockMaker index;
  std::optional<Bytes> lost;  // the handle of a stretch whose separator comes with the next block
  const auto handle_of = [](const TableBlock& block) {
    // Of at least a byte, and so that the checksum does not fit by the lack of bytes.
    const std::uint64_t length = std::max<std::uint64_t>(block.length, block_trailer_bytes + 1);
    return handle_bytes(block.offset, length - block_trailer_bytes);
  };
  for (const TableBlock& block : blocks_) {
    if (block.separator) {
      index.add(internal_key(*block.separator, 0, removed_kind), handle_of(block));
      continue;
    }
    const auto found = rows(block);
    const auto ends = found ? ends_of(*found) : std::nullopt;
    if (!ends) {
      lost = handle_of(block);
      continue;
    }
    if (lost) {
      // Newer rows of the first key may be among what is lost.
      const std::uint64_t before = std::min(ends->first_sequence + 1, largest_sequence);
      index.add(internal_key(ends->first_key, before, value_kind), *lost);
      lost.reset();
    }
    index.add(internal_key(ends->last_key, ends->last_sequence,
                           ends->last_removed ? removed_kind : value_kind),
              handle_of(block));
  }
  if (blocks_.empty()) lost = handle_bytes(0, size_);
  if (lost) index.add(internal_key(Bytes(max_data_key_bytes + 1, '\xff'), 0, removed_kind), *lost);

  BlockMaker metaindex;
  if (!filter_name_.empty()) {
    metaindex.add(filter_name_, handle_bytes(filter_.offset, filter_.length));
  }
  Bytes added;
  const Bytes index_block = std::move(index).finish();
  const Bytes metaindex_block = std::move(metaindex).finish();
  append_block(added, index_block);
  const std::uint64_t metaindex_offset = size_ + added.size();
  append_block(added, metaindex_block);
  Bytes footer(1, xxh3_checksum);
  footer += handle_bytes(metaindex_offset, metaindex_block.size());
  footer += handle_bytes(size_, index_block.size());
  footer.resize(footer_bytes - 12, '\0');
  put_fixed32(footer, table_version);
  put_fixed64(footer, table_magic);
  // Behind the end, where nothing is that might be needed.
  patches[size_] = std::move(added);
  patches[size_ >= footer_bytes ? size_ - footer_bytes : 0] = std::move(footer);
  return patches;
}

}  // namespace once::engine
