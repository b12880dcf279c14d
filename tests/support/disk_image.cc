#include "support/disk_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

namespace once::testing {

namespace {

std::size_t pages_for(std::uint64_t bytes) {
  return static_cast<std::size_t>((bytes + page_bytes - 1) / page_bytes);
}

}  // namespace

DiskImage::DiskImage() : slots_(std::vector<Slot>()) {}

DiskImage::DiskImage(std::string_view bytes) : DiskImage() {
  resize(bytes.size());
  write(0, bytes);
}

std::uint64_t DiskImage::space() const {
  const auto used = std::ranges::count_if(*slots_, [](const Slot& slot) { return !slot.hole; });
  return static_cast<std::uint64_t>(used) * page_bytes;
}

std::uint64_t DiskImage::space_missing(std::uint64_t offset, std::uint64_t length) const {
  if (length == 0) return 0;
  std::uint64_t missing = 0;
  const std::size_t end = std::min(pages_for(offset + length), slots_->size());
  for (auto i = static_cast<std::size_t>(offset / page_bytes); i < end; ++i) {
    if ((*slots_)[i].hole) missing += page_bytes;
  }
  return missing;
}

void DiskImage::read(std::uint64_t offset, std::size_t length, char* buffer) const {
  while (length > 0) {
    const auto in_page = static_cast<std::size_t>(offset % page_bytes);
    const std::size_t part = std::min(length, page_bytes - in_page);
    const Slot& slot = (*slots_)[static_cast<std::size_t>(offset / page_bytes)];
    if (slot.page) {
      std::memcpy(buffer, slot.page->data() + in_page, part);
    } else {
      std::memset(buffer, 0, part);
    }
    buffer += part;
    offset += part;
    length -= part;
  }
}

std::string DiskImage::bytes(std::uint64_t offset, std::size_t length) const {
  std::string bytes(length, '\0');
  read(offset, length, bytes.data());
  return bytes;
}

DiskImage::Page& DiskImage::page_to_write(std::size_t index) {
  Slot& slot = slots_.to_write()[index];
  slot.hole = false;
  if (!slot.page) slot.page = CopyOnWrite<Page>(Page{});
  return slot.page.to_write();
}

void DiskImage::write(std::uint64_t offset, std::string_view bytes) {
  if (offset >= size_) return;
  bytes = bytes.substr(
      0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size_ - offset)));
  while (!bytes.empty()) {
    const auto in_page = static_cast<std::size_t>(offset % page_bytes);
    const std::size_t part = std::min(bytes.size(), page_bytes - in_page);
    Page& page = page_to_write(static_cast<std::size_t>(offset / page_bytes));
    std::memcpy(page.data() + in_page, bytes.data(), part);
    bytes.remove_prefix(part);
    offset += part;
  }
}

void DiskImage::zero(std::uint64_t begin, std::uint64_t end) {
  while (begin < end) {
    const auto in_page = static_cast<std::size_t>(begin % page_bytes);
    const auto part =
        static_cast<std::size_t>(std::min<std::uint64_t>(end - begin, page_bytes - in_page));
    const auto index = static_cast<std::size_t>(begin / page_bytes);
    if ((*slots_)[index].page) std::memset(page_to_write(index).data() + in_page, 0, part);
    begin += part;
  }
}

void DiskImage::punch(std::uint64_t offset, std::uint64_t length) {
  if (offset >= size_) return;
  const std::uint64_t end = offset + std::min(length, size_ - offset);
  // As file systems do: the pages that lie within lose their space, the edges are zeroed.
  const std::uint64_t first = pages_for(offset) * std::uint64_t{page_bytes};
  const std::uint64_t last =
      end == size_ ? pages_for(end) * std::uint64_t{page_bytes} : end / page_bytes * page_bytes;
  zero(offset, std::min(first, end));
  if (first >= last) {
    zero(offset, end);
    return;
  }
  for (std::uint64_t at = first; at < last; at += page_bytes) {
    slots_.to_write()[static_cast<std::size_t>(at / page_bytes)] = {.hole = true};
  }
  if (last < end) zero(last, end);
}

void DiskImage::allocate(std::uint64_t offset, std::uint64_t length) {
  if (space_missing(offset, length) == 0) return;
  const std::size_t end = std::min(pages_for(offset + length), slots_->size());
  for (auto i = static_cast<std::size_t>(offset / page_bytes); i < end; ++i) {
    slots_.to_write()[i].hole = false;
  }
}

void DiskImage::flip(std::uint64_t offset, std::uint8_t mask) {
  char byte = 0;
  read(offset, 1, &byte);
  byte = static_cast<char>(static_cast<std::uint8_t>(byte) ^ mask);
  write(offset, {&byte, 1});
}

void DiskImage::resize(std::uint64_t bytes) {
  if (bytes < size_) {
    // What is cut off must read as zeros should the end come back.
    zero(bytes, std::min(size_, pages_for(bytes) * std::uint64_t{page_bytes}));
  }
  slots_.to_write().resize(pages_for(bytes));
  size_ = bytes;
}

std::string CrashPlan::describe() const {
  switch (kind) {
    case Kind::none:
      return "no change since the last sync";
    case Kind::all:
      return "every change since the last sync";
    case Kind::all_but:
      return fmt::format("all but change {}", index);
    case Kind::only:
      return fmt::format("only change {}", index);
    case Kind::first:
      return fmt::format("the first {} changes", index);
    case Kind::last_torn:
      return fmt::format("the last write torn after {} bytes", index);
    case Kind::each_torn:
      return "each write torn";
    case Kind::some:
      return fmt::format("some sectors by seed {}", seed);
  }
  return "?";
}

namespace {

void apply(const Change& change, DiskImage& image) {
  switch (change.kind) {
    case Change::Kind::write:
      image.write(change.sectors_at, *change.sectors);
      break;
    case Change::Kind::resize:
      image.resize(change.offset);
      break;
    case Change::Kind::punch:
      image.punch(change.offset, change.length);
      break;
    case Change::Kind::allocate:
      image.allocate(change.offset, change.length);
      break;
  }
}

void apply_some(const Change& change, DiskImage& image, std::mt19937_64& random,
                std::uint64_t of_eight) {
  const auto chosen = [&] { return random() % 8 < of_eight; };
  if (change.kind != Change::Kind::write) {
    if (chosen()) apply(change, image);
    return;
  }
  const std::string_view sectors = *change.sectors;
  for (std::size_t at = 0; at < sectors.size(); at += sector_bytes) {
    if (chosen()) image.write(change.sectors_at + at, sectors.substr(at, sector_bytes));
  }
}

std::size_t last_write(const std::vector<Change>& changes) {
  std::size_t at = changes.size();
  while (at > 0 && changes[at - 1].kind != Change::Kind::write) --at;
  return at == 0 ? changes.size() : at - 1;
}

}  // namespace

std::uint64_t Moment::last_write_bytes() const {
  const std::size_t at = last_write(pending);
  return at == pending.size() ? 0 : pending[at].length;
}

DiskImage Moment::crash(const CrashPlan& plan) const {
  using Kind = CrashPlan::Kind;
  DiskImage image = durable;
  std::mt19937_64 random(plan.seed);
  // Half of the sectors at random hardly ever leaves a long run alone, or takes just one away.
  constexpr std::uint64_t shares[] = {1, 4, 7};
  const std::uint64_t of_eight = shares[random() % 3];
  const std::size_t torn = plan.kind == Kind::last_torn ? last_write(pending) : pending.size();
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const Change& change = pending[i];
    if (plan.kind == Kind::some) {
      apply_some(change, image, random, of_eight);
    } else if (plan.kind == Kind::each_torn && change.kind == Change::Kind::write) {
      const std::size_t sectors = change.sectors->size() / sector_bytes;
      image.write(change.sectors_at,
                  std::string_view(*change.sectors).substr(0, (sectors + 1) / 2 * sector_bytes));
    } else if (i == torn) {
      const std::uint64_t kept = change.offset - change.sectors_at + plan.index;
      image.write(change.sectors_at,
                  std::string_view(*change.sectors).substr(0, static_cast<std::size_t>(kept)));
    } else if (plan.kind == Kind::all || plan.kind == Kind::last_torn ||
               plan.kind == Kind::each_torn || (plan.kind == Kind::all_but && i != plan.index) ||
               (plan.kind == Kind::only && i == plan.index) ||
               (plan.kind == Kind::first && i < plan.index)) {
      apply(change, image);
    }
  }
  return image;
}

namespace {

// What is left of `change`, in parts, after the range was written or cut off by a later one.
void take_away(std::vector<Change>& parts, std::uint64_t begin, std::uint64_t end) {
  std::vector<Change> left;
  for (Change& part : parts) {
    const bool is_write = part.kind == Change::Kind::write;
    const std::uint64_t part_begin = is_write ? part.sectors_at : part.offset;
    const std::uint64_t part_end = part_begin + (is_write ? part.sectors->size() : part.length);
    if (end <= part_begin || part_end <= begin) {
      left.push_back(std::move(part));
      continue;
    }
    const auto keep = [&](std::uint64_t from, std::uint64_t to) {
      if (from >= to) return;
      Change piece = part;
      piece.offset = from;
      piece.length = to - from;
      if (is_write) {
        piece.sectors_at = from;
        piece.sectors = std::make_shared<const std::string>(part.sectors->substr(
            static_cast<std::size_t>(from - part_begin), static_cast<std::size_t>(to - from)));
      }
      left.push_back(std::move(piece));
    };
    keep(part_begin, begin);
    keep(end, part_end);
  }
  parts = std::move(left);
}

// What of an adrift change is still open once the changes after it are durable.
std::vector<Change> still_adrift(const std::vector<Change>& pending, std::size_t index) {
  std::vector<Change> parts{pending[index]};
  for (std::size_t i = index + 1; i < pending.size() && !parts.empty(); ++i) {
    const Change& later = pending[i];
    if (later.adrift || later.kind == Change::Kind::allocate) continue;
    if (later.kind == Change::Kind::resize) {
      if (parts.front().kind == Change::Kind::resize) return {};
      take_away(parts, later.offset, ~std::uint64_t{0});
    } else if (parts.front().kind != Change::Kind::resize) {
      const bool is_write = later.kind == Change::Kind::write;
      const std::uint64_t begin = is_write ? later.sectors_at : later.offset;
      take_away(parts, begin, begin + (is_write ? later.sectors->size() : later.length));
    }
  }
  return parts;
}

}  // namespace

void Moment::settle() {
  std::vector<Change> left;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const Change& change = pending[i];
    if (change.adrift) {
      for (Change& part : still_adrift(pending, i)) left.push_back(std::move(part));
      continue;
    }
    // The size goes with what is written, even if it was set by a resize that is adrift.
    if (change.kind == Change::Kind::write) {
      const std::uint64_t end = change.sectors_at + change.sectors->size();
      if (end > durable.size()) durable.resize(end);
    }
    apply(change, durable);
  }
  pending = std::move(left);
}

}  // namespace once::testing
