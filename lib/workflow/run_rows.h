// What a run of a workflow keeps as checkpoints of its key: the data of rows in table checkpoints.
//
//   checkpoint name   data
//   run               how the run was begun, and the definition it follows
//   node/NAME         one node, or one step
//   progress          the figures of the strategy, variables that belong to no node, and until when
//                     a run that was given back sleeps
//
//   run       u8 version 1, u8 form, 16 definition, str version, opt input, str result,
//             u32 count, then for each node: str name, u8 kind, u8 critical, u32 count, str each
//             that it depends on
//   node      u8 version 1, u8 status, u32 order, u32 attempts, i64 started_at, i64 finished_at,
//             i64 due, opt output, u8 error code (0: none), str failure code, str message,
//             variables
//             version 2, where one of these holds, has u8 flags behind the version: 1, it failed,
//             and the function went on from that; 2, a variable is null
//   progress  u8 version 2, u8 strategy, u64 checkpoints, u64 cost in microseconds, i64 mtbf,
//             i64 interval, u32 failures, i64 running, variables, i64 sleeps until (0: it does
//             not); version 1 ends before that, and does not tell; version 3 is version 2 where a
//             variable is null
//   variables u32 count, then str name and str value each; opt value where one of them is null
//
// All numbers little-endian; `str` is a 32-bit length and that many bytes; `opt` a byte 0, or a
// byte 1 and a str. Times are milliseconds since the epoch, durations milliseconds.
//
// Invariants:
// - A commit has the rows of all that changed, so that a node that is there has everything before
//   it: in a graph what it depends on, in steps all steps with a smaller order.
// - Nothing in a row grows with the number of nodes but `run`, which is written once.
// Fault model: any bytes. Decoding gives `damaged` for what encoding would not have written, and
// `newer_format` for a greater version.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "once/workflow_types.h"

namespace once::workflow {

inline constexpr std::string_view run_row = "run";
inline constexpr std::string_view progress_row = "progress";
inline constexpr std::string_view node_prefix = "node/";

enum class NodeKind : std::uint8_t { work = 1, transact = 2, sleep = 3 };

// What of a node belongs to the definition.
struct NodeOutline {
  std::string name{};
  NodeKind kind = NodeKind::work;
  bool critical = false;
  std::vector<std::string> after{};

  friend bool operator==(const NodeOutline&, const NodeOutline&) = default;
};

struct RunRow {
  WorkflowForm form = WorkflowForm::graph;
  Fingerprint definition{};
  std::string version{};
  std::optional<Bytes> input{};
  std::string result{};
  std::vector<NodeOutline> nodes{};

  friend bool operator==(const RunRow&, const RunRow&) = default;
};

using Variables = std::vector<std::pair<std::string, std::optional<Bytes>>>;  // nullopt: null

struct NodeRow {
  NodeStatus status = NodeStatus::pending;
  std::uint32_t order = 0;
  std::uint32_t attempts = 0;
  Time started_at{};
  Time finished_at{};
  Time due{};
  std::optional<Bytes> output{};
  std::optional<Error> error{};
  Variables variables{};
  // It failed, and the function in steps began another one after it: it is to fail the same again.
  bool gone_on_from = false;
};

struct ProgressRow {
  CheckpointFigures figures{};
  Variables variables{};
  // Time{}: it does not sleep. nullopt: not told, by a row of version 1, and written as one.
  std::optional<Time> sleeps_until{};
};

[[nodiscard]] Bytes encode_run(const RunRow& row);
[[nodiscard]] Bytes encode_node(const NodeRow& row);
[[nodiscard]] Bytes encode_progress(const ProgressRow& row);

// Errors: damaged, newer_format.
[[nodiscard]] Result<RunRow> decode_run(ByteView data);
[[nodiscard]] Result<NodeRow> decode_node(ByteView data);
[[nodiscard]] Result<ProgressRow> decode_progress(ByteView data);

// The checkpoint's name of a node.
[[nodiscard]] std::string node_row(std::string_view node);

}  // namespace once::workflow
