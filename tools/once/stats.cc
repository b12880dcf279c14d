// once stats: how much there is of everything, in all or by tenant and operation.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "base/error.h"
#include "commands.h"
#include "duration.h"
#include "json.h"
#include "output.h"
#include "stats_view.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string by;
};

struct Line {
  const char* name;
  Json value;
};

std::uint64_t milliseconds(Duration duration) {
  return static_cast<std::uint64_t>(duration.count());
}

// Of what was asked, that of all processes: this Store was opened a moment ago.
std::vector<Line> lines_of(const Stats& stats) {
  return {{"active", stats.active()},
          {"in_progress", stats.in_progress},
          {"completed", stats.completed},
          {"failed", stats.failed},
          {"in_doubt", stats.in_doubt},
          {"released", stats.released},
          {"expired", stats.expired},
          {"average_ttl", milliseconds(stats.average_ttl)},
          {"executions", stats.ever.executions},
          {"replays", stats.ever.replays},
          {"duplicates_avoided", stats.ever.duplicates_avoided()},
          {"hit_rate", hit_rate(stats.ever)},
          {"events_pending", stats.events_pending},
          {"events_waiting", stats.events_waiting},
          {"events_delivered", stats.events_delivered},
          {"events_dead", stats.events_dead},
          {"oldest_pending", milliseconds(stats.oldest_pending)},
          {"checkpoints", stats.checkpoints},
          {"history", stats.history},
          {"data", stats.data},
          {"bytes", stats.bytes},
          {"bytes_on_disk", stats.bytes_on_disk},
          {"bytes_free", stats.bytes_free},
          {"opening", stats.opening}};
}

void print_labels(const std::vector<LabelStats>& labels, By by, Output& out) {
  if (!out.terminal()) {
    for (const LabelStats& of : labels) {
      if (!out.line(plain_line(of, by))) return;
    }
    return;
  }
  const auto line = [&](const auto& active, const auto& in_progress, const auto& completed,
                        const auto& failed, const auto& in_doubt, const auto& expired,
                        const auto& ttl, const auto& bytes, const std::string& name) {
    return fmt::format("{:>9} {:>11} {:>9} {:>9} {:>8} {:>9} {:>7} {:>10}  {}", active, in_progress,
                       completed, failed, in_doubt, expired, ttl, bytes, name);
  };
  const std::string head =
      line("active", "in progress", "completed", "failed", "in doubt", "expired", "ttl", "bytes",
           by == By::tenant      ? "tenant"
           : by == By::operation ? "operation"
                                 : "tenant/operation");
  out.line(out.paint(Colour::bold, head));
  for (const LabelStats& of : labels) {
    const bool written =
        out.line(line(of.active(), of.in_progress, of.completed, of.failed, of.in_doubt, of.expired,
                      short_duration(of.average_ttl), short_bytes(of.bytes), name_of(of, by)));
    if (!written) return;
  }
}

Result<Stats> stats_of(const std::string& where) {
  auto store = open_to_read(where, "counting");
  if (!store) return pass(store);
  return store->stats();
}

void stats(const Arguments& arguments, Context& context) {
  By by = By::both;
  if (!arguments.by.empty()) {
    const auto parsed = parse_by(arguments.by);
    if (!parsed) return context.fail(parsed.error());
    by = *parsed;
  }
  const auto found = stats_of(arguments.store);
  if (!found) return context.fail(found.error());
  const auto labels = arguments.by.empty() ? std::vector<LabelStats>() : grouped(found->labels, by);
  Output out;
  if (context.json) {
    Json json = Json::object();
    for (const Line& line : lines_of(*found)) json[line.name] = line.value;
    if (!arguments.by.empty()) {
      json["by"] = Json::array();
      for (const LabelStats& label : labels) json["by"].push_back(to_json(label, by));
    }
    out.line(to_line(json));
  } else if (arguments.by.empty()) {
    for (const Line& line : lines_of(*found)) {
      out.line(fmt::format("{:<18} {:>12}", line.name, line.value.dump()));
    }
  } else {
    print_labels(labels, by, out);
  }
  out.finish(context);
}

}  // namespace

void add_stats(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "stats", "Count records, events and bytes",
                              "once stats payments.once --by tenant");
  add_store_argument(*command, arguments->store);
  command->add_option("--by", arguments->by, "A line for each: tenant, operation, or both together")
      ->type_name("WHAT");
  command->callback([arguments, &context] { stats(*arguments, context); });
}

}  // namespace once::tool
