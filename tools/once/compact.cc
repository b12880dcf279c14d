// once compact: makes a store as small as it can be: without what has expired, and without gaps.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"

namespace once::tool {
namespace {

Result<CompactReport> compact_store(const std::string& where) {
  auto store = open_to_write(where, "compacting");
  if (!store) return pass(store);
  auto report = store->compact(store->bar().listener());
  if (!report) return report;
  if (auto closed = store->close(); !closed) return pass(closed);
  return report;
}

void compact(const std::string& where, Context& context) {
  const auto report = compact_store(where);
  if (!report) return context.fail(report.error());
  const SweepReport& swept = report->swept;
  Output out;
  if (context.json) {
    out.line(to_line({{"keys", swept.keys},
                      {"results", swept.results},
                      {"checkpoints", swept.checkpoints},
                      {"events", swept.events},
                      {"history", swept.history},
                      {"bytes_before", swept.bytes_before},
                      {"bytes_after", swept.bytes_after},
                      {"bytes_free", report->bytes_free},
                      {"bytes_held", report->bytes_held}}));
  } else {
    out.line(fmt::format("{} bytes before, {} after", swept.bytes_before, swept.bytes_after));
    if (report->bytes_held != 0) {
      out.line(
          fmt::format("{} more are held by somebody who reads; compact again when that has "
                      "ended",
                      counted(report->bytes_held, "byte")));
    }
  }
  out.finish(context);
}

}  // namespace

void add_compact(CLI::App& app, Context& context) {
  auto where = std::make_shared<std::string>();
  auto* command = add_command(app, context, "compact",
                              "Remove what has expired, and make the store as small as it can be",
                              "once compact payments.once");
  add_store_argument(*command, *where);
  command->callback([where, &context] { compact(*where, context); });
}

}  // namespace once::tool
