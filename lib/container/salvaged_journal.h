// What a journal still tells of the files when frames of it are lost in both copies. For salvage
// only: whoever writes refuses it.
//
//   auto salvaged = salvage_journal(device, superblock).value();
//   for (const std::string& loss : salvaged.losses) ...
//
// Behind a lost frame it goes on with the later ones that are whole, and of them applies what fits
// what is known: so a file that a lost frame made is missing, and one that it removed is still
// there. A lost snapshot was made of what the other slot holds, to its end; it is as good as there
// if what follows it in the slot, or what is left of its header, says the same.
//
// Fault model: any bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "container/device.h"
#include "container/file_table.h"
#include "container/superblock.h"

namespace once::container {

// Ids of files, which grow in the order in which files are made.
struct IdRange {
  std::uint64_t after = 0;
  std::uint64_t before = 0;
};

struct SalvagedJournal {
  FileTable table{};
  std::uint64_t sequence = 0;  // of the last frame that is whole
  // Which frames are lost, and where they stood; for people.
  std::vector<std::string> losses{};
  // What was lost and cost nothing.
  std::vector<std::string> mended{};
  // Files that no frame names have ids in these, which ascend: those that lost frames made, and the
  // last range those that frames behind the end would.
  std::vector<IdRange> unknown{};
  // Paths of files that were removed and that no frame has named.
  std::vector<std::string> removed{};
};

// Errors: damaged (neither slot has a snapshot that is whole), io.
[[nodiscard]] Result<SalvagedJournal> salvage_journal(Device& device, const Superblock& superblock);

// How far the journal goes in a slot; for finding the slot in use.
struct Reach {
  std::uint64_t sequence = 0;  // of the last frame that is whole; 0: there is none
  // Of two that go equally far the one that was begun last and not made the one in use (its
  // superblock was not written any more) is only a snapshot.
  bool more_than_a_snapshot = false;
  friend auto operator<=>(const Reach&, const Reach&) = default;
};
// Of the slot in use.
[[nodiscard]] Reach reach_of(Device& device, const Superblock& superblock);

}  // namespace once::container
