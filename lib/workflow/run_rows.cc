#include "workflow/run_rows.h"

#include <algorithm>

#include "base/coding.h"
#include "base/error.h"
#include "model/fields.h"

namespace once::workflow {
namespace {

constexpr std::uint8_t layout_version = 1;
constexpr std::uint8_t node_version = 2;
constexpr std::uint8_t progress_version = 2;
constexpr std::uint8_t progress_version_of_null = 3;  // where a variable is null

// Of a node of version 2. Version 1 has none, and is written where there is none.
constexpr std::uint8_t gone_on_from_flag = 1;
constexpr std::uint8_t null_flag = 2;  // a variable is null

void write_optional(Writer& out, const std::optional<Bytes>& value) {
  out.u8(value ? 1 : 0);
  if (value) out.string(*value);
}

// False for a presence byte that is neither of its two values.
bool read_optional(Reader& in, std::optional<Bytes>& value) {
  const std::uint8_t there = in.u8();
  if (there == 1) value = Bytes(in.string());
  return there <= 1;
}

bool has_null(const Variables& variables) {
  return std::ranges::any_of(variables, [](const auto& variable) { return !variable.second; });
}

// As versions before wrote them unless one is null, so that these can go on reading them.
void write_variables(Writer& out, const Variables& variables) {
  const bool may_be_null = has_null(variables);
  out.u32(static_cast<std::uint32_t>(variables.size()));
  for (const auto& [name, value] : variables) {
    out.string(name);
    if (may_be_null) {
      write_optional(out, value);
    } else {
      out.string(*value);
    }
  }
}

// Stops at the end of the input, however large the count says it is. False for what
// write_variables() would not have written.
bool read_variables(Reader& in, Variables& variables, bool may_be_null) {
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    std::string name(in.string());
    std::optional<Bytes> value;
    if (!may_be_null) {
      value = Bytes(in.string());
    } else if (!read_optional(in, value)) {
      return false;
    }
    if (in.ok()) variables.emplace_back(std::move(name), std::move(value));
  }
  return has_null(variables) == may_be_null;
}

void write_duration(Writer& out, Duration duration) {
  out.i64(duration.count());
}

std::unexpected<Error> damaged(std::string_view row) {
  return fail(ErrorCode::damaged,
              "the checkpoint '{}' of a workflow is not what was written; run `once verify` and "
              "restore a backup",
              row);
}

// The version that the row is of, from 1 to `newest`.
Result<std::uint8_t> open(Reader& in, std::string_view row, std::uint8_t newest = layout_version) {
  const std::uint8_t version = in.u8();
  if (version > newest) {
    return fail(ErrorCode::newer_format,
                "the checkpoint '{}' of a workflow was written by a newer version of Once", row);
  }
  if (version == 0) return damaged(row);
  return version;
}

bool read_bool(Reader& in, bool& value) {
  const std::uint8_t byte = in.u8();
  value = byte == 1;
  return byte <= 1;
}

}  // namespace

std::string node_row(std::string_view node) {
  return std::string(node_prefix).append(node);
}

Bytes encode_run(const RunRow& row) {
  Bytes data;
  Writer out(data);
  out.u8(layout_version);
  model::write_enum(out, row.form);
  model::write_fingerprint(out, row.definition);
  out.string(row.version);
  write_optional(out, row.input);
  out.string(row.result);
  out.u32(static_cast<std::uint32_t>(row.nodes.size()));
  for (const NodeOutline& node : row.nodes) {
    out.string(node.name);
    model::write_enum(out, node.kind);
    out.u8(node.critical ? 1 : 0);
    out.u32(static_cast<std::uint32_t>(node.after.size()));
    for (const std::string& after : node.after) out.string(after);
  }
  return data;
}

Result<RunRow> decode_run(ByteView data) {
  Reader in(data);
  if (auto opened = open(in, run_row); !opened) return pass(opened);
  RunRow row;
  bool good = model::read_enum(in, WorkflowForm::steps, row.form);
  row.definition = model::read_fingerprint(in);
  row.version = in.string();
  good = read_optional(in, row.input) && good;
  row.result = in.string();
  const std::uint32_t count = in.u32();
  for (std::uint32_t i = 0; i < count && in.ok() && good; ++i) {
    NodeOutline node;
    node.name = in.string();
    good = model::read_enum(in, NodeKind::sleep, node.kind) && read_bool(in, node.critical);
    const std::uint32_t dependencies = in.u32();
    for (std::uint32_t j = 0; j < dependencies && in.ok(); ++j)
      node.after.emplace_back(in.string());
    row.nodes.push_back(std::move(node));
  }
  if (!good || !in.done()) return damaged(run_row);
  return row;
}

Bytes encode_node(const NodeRow& row) {
  Bytes data;
  Writer out(data);
  std::uint8_t flags = row.gone_on_from ? gone_on_from_flag : 0;
  if (has_null(row.variables)) flags |= null_flag;
  out.u8(flags == 0 ? layout_version : node_version);
  if (flags != 0) out.u8(flags);
  model::write_enum(out, row.status);
  out.u32(row.order);
  out.u32(row.attempts);
  model::write_time(out, row.started_at);
  model::write_time(out, row.finished_at);
  model::write_time(out, row.due);
  write_optional(out, row.output);
  out.u8(row.error ? static_cast<std::uint8_t>(row.error->code) : 0);
  out.string(row.error ? row.error->failure_code : "");
  out.string(row.error ? row.error->message : "");
  write_variables(out, row.variables);
  return data;
}

Result<NodeRow> decode_node(ByteView data) {
  Reader in(data);
  auto version = open(in, node_prefix, node_version);
  if (!version) return pass(version);
  NodeRow row;
  const std::uint8_t flags = *version >= 2 ? in.u8() : 0;
  row.gone_on_from = (flags & gone_on_from_flag) != 0;
  bool good = *version == 1 || (flags != 0 && flags <= (gone_on_from_flag | null_flag));
  good = model::read_enum(in, NodeStatus::sleeping, row.status) && good;
  row.order = in.u32();
  row.attempts = in.u32();
  row.started_at = model::read_time(in);
  row.finished_at = model::read_time(in);
  row.due = model::read_time(in);
  good = read_optional(in, row.output) && good;
  const std::uint8_t code = in.u8();
  Error error{.code = static_cast<ErrorCode>(code)};
  error.failure_code = in.string();
  error.message = in.string();
  good = good && (code != 0 || (error.failure_code.empty() && error.message.empty()));
  if (code != 0) row.error = std::move(error);
  good = read_variables(in, row.variables, (flags & null_flag) != 0) && good;
  if (!good || !in.done()) return damaged(node_prefix);
  return row;
}

Bytes encode_progress(const ProgressRow& row) {
  const CheckpointFigures& figures = row.figures;
  Bytes data;
  Writer out(data);
  const bool tells_null = has_null(row.variables);
  const bool tells_sleep = tells_null || row.sleeps_until;
  out.u8(tells_null ? progress_version_of_null : tells_sleep ? progress_version : layout_version);
  model::write_enum(out, figures.strategy);
  out.u64(figures.checkpoints);
  out.u64(static_cast<std::uint64_t>(figures.cost.count()));
  write_duration(out, figures.mtbf);
  write_duration(out, figures.interval);
  out.u32(figures.failures);
  write_duration(out, figures.running);
  write_variables(out, row.variables);
  if (tells_sleep) model::write_time(out, row.sleeps_until.value_or(Time{}));
  return data;
}

Result<ProgressRow> decode_progress(ByteView data) {
  Reader in(data);
  auto version = open(in, progress_row, progress_version_of_null);
  if (!version) return pass(version);
  ProgressRow row;
  CheckpointFigures& figures = row.figures;
  bool good = model::read_enum(in, CheckpointStrategy::Kind::adaptive, figures.strategy);
  figures.checkpoints = in.u64();
  figures.cost = std::chrono::microseconds(in.u64());
  figures.mtbf = Duration(in.i64());
  figures.interval = Duration(in.i64());
  figures.failures = in.u32();
  figures.running = Duration(in.i64());
  good = read_variables(in, row.variables, *version == progress_version_of_null) && good;
  if (*version >= 2) row.sleeps_until = model::read_time(in);
  if (!good || !in.done()) return damaged(progress_row);
  return row;
}

}  // namespace once::workflow
