#include "patterns/program.h"

#include <fmt/format.h>

#include <array>

namespace once::testing::patterns {

using Kind = PatternCall::Kind;

std::string_view to_string(Kind kind) {
  static constexpr std::array names{"execute",  "enqueue",    "deliver", "flow",  "resume",
                                    "transfer", "recover",    "refresh", "merge", "batch",
                                    "lock",     "pipeline",   "reserve", "late",  "pass time",
                                    "sweep",    "retry dead", "check"};
  return names[static_cast<std::size_t>(kind)];
}

std::string PatternCall::describe() const {
  return fmt::format("{} {} {}", to_string(kind), which, how);
}

std::vector<PatternCall> fixed_patterns() {
  return {
      // Work that ends well, that nobody knows the end of, that throws, and that is overtaken.
      {Kind::execute, 0, 0},
      {Kind::execute, 0, 0},
      {Kind::execute, 2, 5},
      {Kind::execute, 2, 8},
      {Kind::execute, 1, 6},
      {Kind::execute, 1, 0},
      {Kind::execute, 3, 7},
      {Kind::execute, 4, 3},
      // Orders for the world and for both inboxes; one that fails, one without a sync.
      {Kind::enqueue, 0, 8},
      {Kind::enqueue, 2, 16},
      {Kind::enqueue, 4, 8},
      {Kind::enqueue, 2, 5},
      {Kind::deliver, 0, 3},
      {Kind::enqueue, 0, 7},
      {Kind::pass_time, 0, 0},
      {Kind::deliver, 2, 5},
      {Kind::enqueue, 3, 16},
      {Kind::deliver, 0, 6},
      {Kind::pass_time, 0, 0},
      {Kind::deliver, 0, 0},
      // A graph and steps, broken off and gone on with; and overtaken.
      {Kind::flow, 0, 3 + 8 * 1},
      {Kind::flow, 0, 0},
      {Kind::flow, 2, 2 + 8 * 3},
      {Kind::pass_time, 0, 1},
      {Kind::resume, 0, 0},
      {Kind::flow, 3, 5 + 8 * 2},
      {Kind::flow, 1, 0},
      // Transfers that commit, that are refused, that wait for a part, and that are overtaken.
      {Kind::transfer, 0, 0},
      {Kind::transfer, 3, 0},
      {Kind::transfer, 2, 1},
      {Kind::transfer, 2, 2},
      {Kind::recover, 0, 0},
      {Kind::transfer, 5, 4},
      {Kind::transfer, 0, 4},
      // Timers, and checkpoints by time.
      {Kind::flow, 4, 0},
      {Kind::flow, 7, 0},
      {Kind::pass_time, 0, 2},
      {Kind::flow, 4, 0},
      {Kind::resume, 0, 0},
      // Outcomes that are replaced: well, by work that fails, and of a key that was removed
      // meanwhile.
      {Kind::refresh, 0, 0},
      {Kind::refresh, 0, 1},
      {Kind::refresh, 0, 3},
      {Kind::refresh, 0, 6},
      {Kind::merge, 0, 0},
      {Kind::merge, 0, 1},
      {Kind::merge, 0, 5},
      {Kind::merge, 0, 6},
      // Batches, of which one result is unknown, locks and pipelines.
      {Kind::batch, 1 + 2 * 7, 0},
      {Kind::batch, 0 + 2 * 12, 4 + 8 * 1},
      {Kind::lock, 0, 0},
      {Kind::lock, 0, 3},
      {Kind::pipeline, 0, 0},
      {Kind::pipeline, 1, 5},
      {Kind::pipeline, 1, 8},
      // Owners that come late.
      {Kind::reserve, 0, 0},
      {Kind::reserve, 0, 1},
      {Kind::late, 0, 4 + 8},
      {Kind::late, 128, 4},
      {Kind::deliver, 0, 0},
      {Kind::pass_time, 0, 2},
      {Kind::sweep, 0, 0},
      {Kind::enqueue, 4, 0},
      {Kind::deliver, 0, 0},
  };
}

PatternCall PatternReader::call() {
  static constexpr std::array kinds{
      Kind::execute,    Kind::execute, Kind::execute, Kind::enqueue,  Kind::enqueue,
      Kind::enqueue,    Kind::deliver, Kind::deliver, Kind::deliver,  Kind::flow,
      Kind::flow,       Kind::flow,    Kind::resume,  Kind::transfer, Kind::transfer,
      Kind::recover,    Kind::reserve, Kind::late,    Kind::late,     Kind::pass_time,
      Kind::retry_dead, Kind::check,   Kind::refresh, Kind::refresh,  Kind::merge,
      Kind::merge,      Kind::batch,   Kind::batch,   Kind::lock,     Kind::pipeline,
      Kind::pipeline};
  const std::uint8_t kind = byte();
  PatternCall call{.kind = kinds[kind % kinds.size()]};
  // It takes as long as many others.
  if (kind >= 250) call.kind = Kind::sweep;
  call.which = byte();
  call.how = byte();
  return call;
}

}  // namespace once::testing::patterns
