// once sweep: removes for good what has expired. Never needed for a right answer, only for space.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"

namespace once::tool {
namespace {

Result<SweepReport> sweep_store(const std::string& where) {
  auto store = open_to_write(where, "sweeping");
  if (!store) return pass(store);
  auto report = store->sweep(store->bar().listener());
  if (!report) return report;
  if (auto closed = store->close(); !closed) return pass(closed);
  return report;
}

void sweep(const std::string& where, Context& context) {
  const auto report = sweep_store(where);
  if (!report) return context.fail(report.error());
  Output out;
  if (context.json) {
    out.line(to_line({{"keys", report->keys},
                      {"results", report->results},
                      {"checkpoints", report->checkpoints},
                      {"events", report->events},
                      {"history", report->history},
                      {"bytes_before", report->bytes_before},
                      {"bytes_after", report->bytes_after}}));
  } else {
    out.line(fmt::format("removed {}, {}, {}, {} and {} of history; {} bytes before, {} after",
                         counted(report->keys, "key"), counted(report->results, "result"),
                         counted(report->checkpoints, "checkpoint"),
                         counted(report->events, "event"), counted(report->history, "row"),
                         report->bytes_before, report->bytes_after));
  }
  out.finish(context);
}

}  // namespace

void add_sweep(CLI::App& app, Context& context) {
  auto where = std::make_shared<std::string>();
  auto* command =
      add_command(app, context, "sweep", "Remove what has expired, and give its space back",
                  "once sweep payments.once");
  add_store_argument(*command, *where);
  command->callback([where, &context] { sweep(*where, context); });
}

}  // namespace once::tool
