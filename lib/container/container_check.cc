// Looking at a container: is every byte what was written, and every block somebody's?
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "container/container.h"
#include "container/extent_io.h"
#include "container/salvaged_journal.h"

namespace once::container {

Result<bool> Container::unchanged() {
  auto found = find_superblocks();
  if (!found) return pass(found);
  MutexLock lock(mutex_);
  if (found->newest.generation != superblock_.generation) return false;
  if (options_.salvage) {
    auto salvaged = salvage_journal(*device_, found->newest);
    if (!salvaged) return pass(salvaged);
    return salvaged->sequence == sequence_;
  }
  Journal journal(*device_);
  auto read = journal.read(found->newest, [](std::string_view) -> Result<void> { return {}; });
  if (!read) return pass(read);
  return journal.sequence() == journal_.sequence();
}

Result<FsckReport> Container::fsck(const SpaceProgress& progress) {
  FsckReport report;
  const auto problem = [&](std::string text) { report.problems.push_back(std::move(text)); };
  struct Look {
    std::string path;
    std::shared_ptr<File> file;
  };
  std::vector<Look> files;
  std::uint64_t all = 0;
  {
    MutexLock lock(mutex_);
    auto found = read_superblocks(*device_);
    if (!found) return pass(found);
    if (!found->problem.empty()) problem(found->problem);
    FileTable table;
    Journal journal(*device_);
    Result<void> read;
    // What the writer writes between two looks of a reader is no difference of the copies.
    for (int look = 0; look < (options_.read_only ? 3 : 1); ++look) {
      table = FileTable();
      read = journal.read(found->newest,
                          [&](std::string_view payload) { return table.apply(payload, nullptr); });
      if (read && !journal.needs_mending()) break;
    }
    if (!read) {
      if (read.error().code != ErrorCode::damaged) return pass(read);
      problem(read.error().message);
    } else if (journal.needs_mending()) {
      problem(journal.problem());
    } else if (!options_.read_only && table.snapshot() != table_.snapshot()) {
      problem("the journal does not say what the table of files is");
    }

    // Every block is claimed once or free.
    Allocator blocks;
    blocks.reset(allocator_.end());
    const auto claim = [&](const std::string& what, const Extents& extents) {
      for (const Extent& extent : extents) {
        if (auto claimed = blocks.claim(extent); !claimed) {
          problem(fmt::format("{}: {}", what, claimed.error().message));
        }
      }
    };
    for (const JournalSlot& slot : superblock_.slots) {
      for (const std::uint64_t copy : slot.copies) {
        claim("the journal", {{.offset = copy, .length = slot.length}});
      }
    }
    for (const auto& [id, entry] : table_.entries()) claim(table_.name_of(id), *entry.extents);
    report.blocks_used =
        (allocator_.end() - first_block_offset - blocks.free_bytes()) / block_bytes;
    for (const Freed& freed : freed_) claim("freed blocks", freed.extents);
    report.blocks = (allocator_.end() - first_block_offset) / block_bytes;
    // As the allocator has it, and not as what is left: that both make up all blocks is for whoever
    // looks to find.
    std::uint64_t held_back = 0;
    for (const Freed& freed : freed_) held_back += length_of(freed.extents);
    report.blocks_free = (allocator_.free_bytes() + held_back) / block_bytes;
    if (blocks.free_bytes() != allocator_.free_bytes()) {
      problem(fmt::format("{} bytes are free, and {} are nobody's", allocator_.free_bytes(),
                          blocks.free_bytes()));
    }
    for (const auto& [path, id] : table_.names()) {
      const Entry* entry = table_.find(id);
      const bool seen =
          std::ranges::any_of(files, [&](const Look& look) { return look.file == entry->file; });
      if (!seen) files.push_back({.path = path, .file = entry->file});
      all += length_of(*entry->extents);
    }
  }

  for (const Look& look : files) {
    SharedExtents extents;
    Seal sealed;
    std::uint64_t size = 0;
    {
      MutexLock lock(look.file->mutex);
      extents = look.file->extents;
      sealed = look.file->sealed;
      size = look.file->size;
    }
    ++report.files;
    const auto damaged = [&](const std::string& text) { problem(look.path + ", " + text); };
    if (look.file->log) {
      auto scan = scan_log(*device_,
                           {.file = look.file->id, .seed = seed_, .extents = extents.get()}, size);
      if (!scan) {
        damaged(scan.error().message);
      } else if (!scan->damage.empty() && (options_.read_only || scan->end.offset < size)) {
        // A writer knows how much there is, and what stands behind that is being appended.
        damaged(scan->damage);
      }
    } else if (sealed.digest != 0 && size == sealed.size) {
      auto seal = read_seal(extents, size);
      if (!seal) {
        damaged(seal.error().message);
      } else if (*seal != sealed) {
        damaged(
            fmt::format("bytes {} on: the file is not what was written", place_in(*extents, 0)));
      }
    }
    report.bytes_checked += size;
    if (progress) progress(report.bytes_checked, std::max(all, report.bytes_checked));
  }
  return report;
}

}  // namespace once::container
