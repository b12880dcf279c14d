#include "container/lost_superblock.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "container/salvaged_journal.h"
#include "container/search_limit.h"
#include "container/slot_label.h"

namespace once::container {
namespace {

// Each turn to a longer slot, and each move of one, may leave a label behind; nobody has so many.
constexpr std::size_t most_labels = 1000;

std::unexpected<Error> too_many(const Device& device) {
  return fail(ErrorCode::damaged, "too much in {} looks like a journal", device.name());
}

Result<std::vector<SlotLabel>> find_labels(Device& device) {
  auto size = device.size();
  if (!size) return pass(size);
  constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;
  std::vector<SlotLabel> labels;
  std::string piece;
  for (std::uint64_t start = 0; start + block_bytes <= *size; start += piece.size()) {
    const std::uint64_t whole_blocks = (*size - start) / block_bytes * block_bytes;
    piece.resize(std::min(piece_bytes, whole_blocks));
    // A part that the disk does not give is nobody's journal.
    if (!device.read(start, piece.size(), piece.data())) continue;
    for (std::uint64_t end = block_bytes; end <= piece.size(); end += block_bytes) {
      const auto bytes = std::string_view(piece).substr(end - slot_label_bytes, slot_label_bytes);
      const auto label = parse_slot_label(bytes, start + end);
      if (!label) continue;
      const bool known = std::ranges::find(labels, *label) != labels.end();
      if (!known && labels.size() == most_labels) return too_many(device);
      if (!known) labels.push_back(*label);
    }
  }
  return labels;
}

}  // namespace

Result<Superblock> find_lost_superblock(Device& device) {
  auto labels = find_labels(device);
  if (!labels) return pass(labels);
  auto size = device.size();
  if (!size) return pass(size);
  SearchLimit limit(*size);
  // The two that go furthest: the second one is what the first was begun after.
  Superblock best;
  Reach furthest;
  Reach second;
  for (const SlotLabel& label : *labels) {
    if (label.store_id != labels->front().store_id) {
      return fail(ErrorCode::damaged, "there are journals of several stores in {}", device.name());
    }
    Superblock superblock;
    superblock.created = true;
    superblock.store_id = label.store_id;
    superblock.generation = highest_generation;
    superblock.slots[0] = superblock.slots[1] = label.slot;
    if (!decode_superblock(encode(superblock))) continue;  // it says what cannot be
    if (label.slot.length > *size) continue;               // the file was cut
    if (!limit.spend(2 * label.slot.length)) return too_many(device);
    const Reach reach = reach_of(device, superblock);
    if (reach > furthest) {
      second = std::exchange(furthest, reach);
      superblock.slots[1] = second.sequence == 0 ? label.slot : best.slots[0];
      best = superblock;
    } else if (reach > second) {
      second = reach;
      best.slots[1] = label.slot;
    }
  }
  if (furthest.sequence == 0) {
    return fail(ErrorCode::damaged, "there is no journal in {} that tells what it is",
                device.name());
  }
  return best;
}

}  // namespace once::container
