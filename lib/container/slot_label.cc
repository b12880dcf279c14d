#include "container/slot_label.h"

#include <algorithm>

#include "base/coding.h"
#include "container/digest.h"

namespace once::container {
namespace {

constexpr std::string_view label_magic = "ONCESLOT";

}  // namespace

Bytes encode(const SlotLabel& label) {
  Bytes bytes;
  Writer writer(bytes);
  writer.raw(label_magic);
  writer.raw({reinterpret_cast<const char*>(label.store_id.data()), label.store_id.size()});
  writer.u64(label.slot.copies[0]);
  writer.u64(label.slot.copies[1]);
  writer.u64(label.slot.length);
  writer.u64(digest_of(bytes, 0));
  return bytes;
}

std::optional<SlotLabel> parse_slot_label(std::string_view bytes, std::uint64_t end) {
  if (bytes.size() != slot_label_bytes || !bytes.starts_with(label_magic)) return std::nullopt;
  SlotLabel label;
  Reader reader(bytes.substr(label_magic.size()));
  std::ranges::copy(reader.raw(label.store_id.size()), label.store_id.begin());
  label.slot.copies[0] = reader.u64();
  label.slot.copies[1] = reader.u64();
  label.slot.length = reader.u64();
  if (encode(label) != bytes) return std::nullopt;
  const bool in_place = std::ranges::any_of(
      label.slot.copies, [&](std::uint64_t copy) { return copy + label.slot.length == end; });
  return in_place ? std::optional(label) : std::nullopt;
}

}  // namespace once::container
