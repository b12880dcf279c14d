// The fixed program of the exhaustive passes: some 200 calls, as RocksDB makes them, and now and
// then what it seldom does. Long enough that the journal turns, logs need more extents, freed
// blocks are used again and the file is cut.
#pragma once

#include <vector>

#include "container/container_place.h"
#include "container/file_program.h"

namespace once::testing {

[[nodiscard]] std::vector<Op> crash_program();

// One run of a program: what was known, and the disk, at every moment of it.
struct Recording {
  std::vector<Op> ops;
  // After each call of the program, the first one before any; and how many calls of the device
  // there had been then.
  std::vector<FileModel> models;
  std::vector<std::uint64_t> calls;
  std::vector<KeptMoment> moments;
  std::shared_ptr<SimulatedDevice> device;

  // Which call of the program had ended last at that moment; the next one may be under way.
  [[nodiscard]] std::size_t ended_at(const KeptMoment& moment) const;
  [[nodiscard]] const FileModel& floor(std::size_t ended) const { return models[ended]; }
  [[nodiscard]] const FileModel& ceiling(std::size_t ended) const {
    return models[std::min(ended + 1, models.size() - 1)];
  }
};

// Runs it on a fresh container; all calls must answer as the model does.
Recording record(const std::vector<Op>& program);

}  // namespace once::testing
