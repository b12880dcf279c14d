#include "container/superblock.h"
#include "container/layout.h"

#include <algorithm>

#include "base/coding.h"
#include "base/error.h"
#include "container/digest.h"

namespace once::container {
namespace {

constexpr std::size_t checksum_offset = block_bytes - 8;
constexpr std::uint32_t flag_created = 1;

void write_slot(Writer& writer, const JournalSlot& slot) {
  writer.u64(slot.copies[0]);
  writer.u64(slot.copies[1]);
  writer.u64(slot.length);
}

JournalSlot read_slot(Reader& reader) {
  JournalSlot slot;
  slot.copies[0] = reader.u64();
  slot.copies[1] = reader.u64();
  slot.length = reader.u64();
  return slot;
}

bool sound(const Superblock& superblock) {
  if (superblock.active > 1 || superblock.generation == 0 ||
      superblock.generation > highest_generation) {
    return false;
  }
  return std::ranges::all_of(superblock.slots, [](const JournalSlot& slot) {
    constexpr std::uint64_t most = std::uint64_t{1} << 62;
    constexpr std::uint64_t most_length = std::uint64_t{1} << 30;
    const bool aligned =
        slot.length % block_bytes == 0 && slot.length > 0 && slot.length <= most_length;
    return aligned && std::ranges::all_of(slot.copies, [](std::uint64_t offset) {
             return offset >= first_block_offset && offset % block_bytes == 0 && offset < most;
           });
  });
}

}  // namespace

std::uint64_t Superblock::seed() const {
  return digest_of({reinterpret_cast<const char*>(store_id.data()), store_id.size()}, 0);
}

std::string encode(const Superblock& superblock) {
  Bytes bytes;
  Writer writer(bytes);
  writer.raw(container_magic);
  writer.u32(superblock.version);
  writer.u32(superblock.created ? flag_created : 0);
  writer.raw({reinterpret_cast<const char*>(superblock.store_id.data()), 16});
  writer.u64(superblock.generation);
  write_slot(writer, superblock.slots[0]);
  write_slot(writer, superblock.slots[1]);
  writer.u64(superblock.active);
  bytes.resize(checksum_offset, '\0');
  writer.u64(digest_of(bytes, 0));
  return bytes;
}

Result<Superblock> decode_superblock(std::string_view bytes) {
  if (bytes.size() != block_bytes || !bytes.starts_with(container_magic)) {
    return fail(ErrorCode::not_a_store, "it does not begin like a store");
  }
  Reader reader(bytes.substr(container_magic.size()));
  Superblock superblock;
  superblock.version = reader.u32();
  const std::uint32_t flags = reader.u32();
  superblock.created = (flags & flag_created) != 0;
  const ByteView id = reader.raw(16);
  std::ranges::copy(id, superblock.store_id.begin());
  superblock.generation = reader.u64();
  superblock.slots[0] = read_slot(reader);
  superblock.slots[1] = read_slot(reader);
  const std::uint64_t active = reader.u64();
  superblock.active = active > 1 ? 2 : static_cast<std::uint32_t>(active);
  Reader checksum(bytes.substr(checksum_offset));
  if (checksum.u64() != digest_of(bytes.substr(0, checksum_offset), 0)) {
    return fail(ErrorCode::damaged, "its checksum does not fit");
  }
  if (superblock.version > container_version) {
    return fail(ErrorCode::newer_format,
                "it has layout {}, and this version knows layouts up to {}", superblock.version,
                container_version);
  }
  if (!sound(superblock) || encode(superblock) != bytes) {
    return fail(ErrorCode::damaged, "it says what cannot be");
  }
  return superblock;
}

Result<ReadSuperblocks> read_superblocks(Device& device) {
  auto size = device.size();
  if (!size) return pass(size);
  if (*size < first_block_offset) {
    return fail(ErrorCode::not_a_store,
                "{} is no Once store (it has {} bytes only); nothing was changed; give the path of "
                "a store, or one that does not exist yet",
                device.name(), *size);
  }
  std::string bytes(block_bytes, '\0');
  Result<Superblock> copies[2];
  for (int i = 0; i < 2; ++i) {
    if (auto read = device.read(superblock_offsets[i], block_bytes, bytes.data()); !read) {
      // A sector that cannot be read is no different from one that is rotten, if the other copy is
      // there.
      copies[i] = std::unexpected(read.error());
      continue;
    }
    copies[i] = decode_superblock(bytes);
    if (!copies[i] && copies[i].error().code == ErrorCode::newer_format) {
      return fail(ErrorCode::newer_format,
                  "{}: {}; nothing was changed; use a newer version of Once", device.name(),
                  copies[i].error().message);
    }
  }
  if (!copies[0] && !copies[1]) {
    const auto is = [&](ErrorCode code) {
      return copies[0].error().code == code && copies[1].error().code == code;
    };
    if (is(ErrorCode::not_a_store)) {
      return fail(ErrorCode::not_a_store,
                  "{} is no Once store (it does not begin like one); nothing was changed; give the "
                  "path of a store, or one that does not exist yet; or if this was one, see what "
                  "`once salvage` finds in it",
                  device.name());
    }
    if (is(ErrorCode::io)) return pass(copies[0]);
    return fail(ErrorCode::damaged,
                "{} is damaged: both superblocks (bytes 0 and 4096) are: {}; {}. Nothing was "
                "changed; restore a backup, or save what can be read: `once salvage`",
                device.name(), copies[0].error().message, copies[1].error().message);
  }
  ReadSuperblocks found;
  const bool first = copies[0] && (!copies[1] || copies[0]->generation >= copies[1]->generation);
  found.newest = first ? *copies[0] : *copies[1];
  found.spare = first ? 1 : 0;
  found.alike = copies[0] && copies[1] && *copies[0] == *copies[1];
  for (int i = 0; i < 2; ++i) {
    if (!copies[i]) {
      found.problem = fmt::format("superblock at byte {}: {}", superblock_offsets[i],
                                  copies[i].error().message);
    }
  }
  return found;
}

}  // namespace once::container
