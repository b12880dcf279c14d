// The bytes of a run's checkpoints.
#include "workflow/run_rows.h"

#include <doctest/doctest.h>

#include "support/check_result.h"

using namespace once;
using namespace once::testing;
using namespace once::workflow;

namespace {

Time at(std::int64_t ms) {
  return Time(Duration(ms));
}

RunRow run_row_sample() {
  RunRow row{.form = WorkflowForm::graph, .version = "v1", .input = "in", .result = "b"};
  row.definition.digest.fill(0xAB);
  row.nodes = {{.name = "a"},
               {.name = "b", .kind = NodeKind::sleep, .critical = true, .after = {"a"}}};
  return row;
}

NodeRow node_row_sample() {
  return {.status = NodeStatus::failed,
          .order = 3,
          .attempts = 2,
          .started_at = at(5),
          .finished_at = at(6),
          .due = at(7),
          .output = "out",
          .error = Error{.code = ErrorCode::work_failed, .message = "msg", .failure_code = "c"},
          .variables = {{"x", "1"}, {"y", ""}}};
}

ProgressRow progress_sample() {
  return {.figures = {.strategy = CheckpointStrategy::Kind::adaptive,
                      .checkpoints = 9,
                      .cost = std::chrono::microseconds(1234),
                      .mtbf = Duration(3600000),
                      .interval = Duration(2981),
                      .failures = 2,
                      .running = Duration(77)},
          .variables = {{"v", "w"}},
          .sleeps_until = at(8)};
}

std::string hex(const Bytes& bytes) {
  std::string text;
  for (const char byte : bytes) {
    constexpr char digits[] = "0123456789abcdef";
    text += digits[static_cast<unsigned char>(byte) >> 4];
    text += digits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

// Every shortening, a byte more, and every flipped bit: an error or the bytes of what was read.
template <class Row, class Decode, class Encode>
void check_hostile(const Bytes& good, Decode decode, Encode encode, char newest = 1) {
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK(error_of(decode(ByteView(good).substr(0, size))) == ErrorCode::damaged);
  }
  CHECK(error_of(decode(good + "x")) == ErrorCode::damaged);
  for (std::size_t i = 0; i < good.size() * 8; ++i) {
    Bytes bad = good;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << (i % 8)));
    const Result<Row> row = decode(bad);
    if (row) CHECK(encode(*row) == bad);
  }
  Bytes newer = good;
  newer[0] = static_cast<char>(newest + 1);
  CHECK(error_of(decode(newer)) == ErrorCode::newer_format);
}

}  // namespace

TEST_CASE("the bytes of `run`") {
  const Bytes bytes = encode_run(run_row_sample());
  CHECK(hex(bytes) ==
        "01"
        "01"
        "abababababababababababababababab"
        "02000000"
        "7631"
        "01"
        "02000000"
        "696e"
        "01000000"
        "62"
        "02000000"
        "01000000"
        "61"
        "01"
        "00"
        "00000000"
        "01000000"
        "62"
        "03"
        "01"
        "01000000"
        "01000000"
        "61");
  CHECK(value_of(decode_run(bytes)) == run_row_sample());
  check_hostile<RunRow>(bytes, decode_run, encode_run);
}

TEST_CASE("the bytes of a node") {
  const NodeRow row = node_row_sample();
  const Bytes bytes = encode_node(row);
  CHECK(hex(bytes) ==
        "01"
        "04"
        "03000000"
        "02000000"
        "0500000000000000"
        "0600000000000000"
        "0700000000000000"
        "01"
        "03000000"
        "6f7574"
        "1e"
        "01000000"
        "63"
        "03000000"
        "6d7367"
        "02000000"
        "01000000"
        "78"
        "01000000"
        "31"
        "01000000"
        "79"
        "00000000");
  const NodeRow back = value_of(decode_node(bytes));
  CHECK(back.output == row.output);
  CHECK(back.error->message == "msg");
  CHECK(back.error->failure_code == "c");
  CHECK(back.variables == row.variables);
  CHECK(back.due == row.due);
  check_hostile<NodeRow>(bytes, decode_node, encode_node, 2);
  NodeRow null;
  null.status = NodeStatus::done;
  CHECK(!value_of(decode_node(encode_node(null))).output);
  null.output = "";
  CHECK(value_of(decode_node(encode_node(null))).output == "");
}

TEST_CASE("the bytes of a node that failed and was gone on from") {
  NodeRow row = node_row_sample();
  const Bytes before = encode_node(row);
  row.gone_on_from = true;
  const Bytes bytes = encode_node(row);
  CHECK(bytes == "\x02\x01" + before.substr(1));
  CHECK(value_of(decode_node(bytes)).gone_on_from);
  CHECK(!value_of(decode_node(before)).gone_on_from);
  check_hostile<NodeRow>(bytes, decode_node, encode_node, 2);
}

TEST_CASE("the bytes of `progress`") {
  const ProgressRow row = progress_sample();
  const Bytes bytes = encode_progress(row);
  CHECK(hex(bytes) ==
        "02"
        "04"
        "0900000000000000"
        "d204000000000000"
        "80ee360000000000"
        "a50b000000000000"
        "02000000"
        "4d00000000000000"
        "01000000"
        "01000000"
        "76"
        "01000000"
        "77"
        "0800000000000000");
  const ProgressRow back = value_of(decode_progress(bytes));
  CHECK(back.figures == row.figures);
  CHECK(back.variables == row.variables);
  CHECK(back.sleeps_until == at(8));
  check_hostile<ProgressRow>(bytes, decode_progress, encode_progress, 3);
}

TEST_CASE("the bytes of null variables, which only rows that have one write so") {
  NodeRow node = node_row_sample();
  const std::size_t before = encode_node(node).size();
  node.variables.emplace_back("n", std::nullopt);
  for (const bool gone_on_from : {false, true}) {
    node.gone_on_from = gone_on_from;
    const Bytes bytes = encode_node(node);
    CHECK(bytes.starts_with(gone_on_from ? "\x02\x03" : "\x02\x02"));
    // The flags, a byte more for each that is there, and name and absence of the new one.
    CHECK(bytes.size() == before + 1 + 2 + 4 + 1 + 1);
    const NodeRow back = value_of(decode_node(bytes));
    CHECK(back.variables == node.variables);
    CHECK(back.gone_on_from == gone_on_from);
    check_hostile<NodeRow>(bytes, decode_node, encode_node, 2);
  }
  ProgressRow progress = progress_sample();
  progress.variables.emplace_back("n", std::nullopt);
  const Bytes bytes = encode_progress(progress);
  CHECK(bytes.starts_with("\x03"));
  CHECK(value_of(decode_progress(bytes)).variables == progress.variables);
  CHECK(value_of(decode_progress(bytes)).sleeps_until == progress.sleeps_until);
  check_hostile<ProgressRow>(bytes, decode_progress, encode_progress, 3);
}

TEST_CASE("a row of `progress` of version 1 is read, and does not tell whether the run sleeps") {
  Bytes bytes = encode_progress(progress_sample());
  bytes[0] = 1;
  bytes.resize(bytes.size() - 8);
  const ProgressRow back = value_of(decode_progress(bytes));
  CHECK(back.figures == progress_sample().figures);
  CHECK(!back.sleeps_until);
  CHECK(encode_progress(back) == bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(error_of(decode_progress(ByteView(bytes).substr(0, size))) == ErrorCode::damaged);
  }
  CHECK(error_of(decode_progress(bytes + "12345678")) == ErrorCode::damaged);
}

TEST_CASE("a count that is larger than the row is found without allocating for it") {
  Bytes bytes = encode_node(NodeRow{.status = NodeStatus::done});
  bytes.replace(bytes.size() - 4, 4, "\xff\xff\xff\xff");
  CHECK(error_of(decode_node(bytes)) == ErrorCode::damaged);
  RunRow run = run_row_sample();
  run.nodes.clear();
  Bytes of_run = encode_run(run);
  of_run.replace(of_run.size() - 4, 4, "\xff\xff\xff\xff");
  CHECK(error_of(decode_run(of_run)) == ErrorCode::damaged);
}
