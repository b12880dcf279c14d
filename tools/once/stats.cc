// once stats: how much there is of everything.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "commands.h"
#include "json.h"
#include "output.h"

namespace once::tool {
namespace {

struct Line {
  const char* name;
  std::uint64_t value;
};

// What a Store counts since it was opened (executions, replays, ...) is left out: this Store was
// opened a moment ago.
std::vector<Line> lines_of(const Stats& stats) {
  return {{"in_progress", stats.in_progress},
          {"completed", stats.completed},
          {"failed", stats.failed},
          {"in_doubt", stats.in_doubt},
          {"released", stats.released},
          {"expired", stats.expired},
          {"events_pending", stats.events_pending},
          {"events_delivered", stats.events_delivered},
          {"events_dead", stats.events_dead},
          {"checkpoints", stats.checkpoints},
          {"history", stats.history},
          {"data", stats.data},
          {"bytes_on_disk", stats.bytes_on_disk},
          {"bytes_free", stats.bytes_free},
          {"opening", stats.opening}};
}

void stats(const std::string& where, Context& context) {
  auto store = open_to_read(where);
  if (!store) return context.fail(store.error());
  const auto found = store->stats();
  if (!found) return context.fail(found.error());
  Output out;
  Json json = Json::object();
  for (const Line& line : lines_of(*found)) {
    if (context.json) {
      json[line.name] = line.value;
    } else {
      out.line(fmt::format("{:<16} {:>12}", line.name, line.value));
    }
  }
  if (context.json) out.line(to_line(json));
  out.finish(context);
}

}  // namespace

void add_stats(CLI::App& app, Context& context) {
  auto where = std::make_shared<std::string>();
  auto* command = add_command(app, context, "stats", "Count records, events and bytes",
                              "once stats payments.once");
  add_store_argument(*command, *where);
  command->callback([where, &context] { stats(*where, context); });
}

}  // namespace once::tool
