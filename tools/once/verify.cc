// once verify: reads every byte and checks every checksum and every invariant between the tables.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"
#include "text.h"

namespace once::tool {
namespace {

Result<VerifyReport> verify_store(const std::string& where) {
  auto store = open_to_read(where, "verifying");
  if (!store) return pass(store);
  return store->verify(store->bar().listener());
}

// Damage that keeps a store from being opened is a find like any other; nothing else can be checked
// then.
VerifyReport unopened(const Error& error) {
  return {.problems = {error.message}, .problem_count = 1};
}

Json report_json(const VerifyReport& report) {
  Json problems = Json::array();
  for (const std::string& problem : report.problems) problems.push_back(text_json(problem));
  return {{"rows", report.rows},
          {"bytes", report.bytes},
          {"blocks", report.blocks},
          {"blocks_free", report.blocks_free},
          {"problem_count", report.problem_count},
          {"problems", problems}};
}

void verify(const std::string& where, Context& context) {
  auto report = verify_store(where);
  const bool checked = report.has_value();
  if (!checked) {
    if (report.error().code != ErrorCode::damaged) return context.fail(report.error());
    report = unopened(report.error());
  }
  Output out;
  if (context.json) {
    out.line(to_line(report_json(*report)));
  } else {
    for (const std::string& problem : report->problems) out.line(printable(problem));
    if (report->problem_count > report->problems.size()) {
      out.line(fmt::format("and {} more", report->problem_count - report->problems.size()));
    }
    const std::string blocks =
        report->blocks == 0 ? "" : fmt::format(" in {}", counted(report->blocks, "block"));
    const std::string what = fmt::format("{} and {}{}", counted(report->rows, "row"),
                                         counted(report->bytes, "byte"), blocks);
    out.line(fmt::format("{} checked, {}", checked ? what : "nothing else could be",
                         counted(report->problem_count, "problem")));
  }
  out.finish(context);
  if (report->problem_count != 0 && context.exit_code == exit_ok) context.exit_code = exit_none;
}

}  // namespace

void add_verify(CLI::App& app, Context& context) {
  auto where = std::make_shared<std::string>();
  auto* command = add_command(app, context, "verify",
                              "Check every checksum and every invariant; exit 1 if any fails",
                              "once verify payments.once");
  add_store_argument(*command, *where);
  command->callback([where, &context] { verify(*where, context); });
}

}  // namespace once::tool
