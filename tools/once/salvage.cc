// once salvage: saves every row of a damaged store that still checks out into a fresh one, and
// lists what it could not.
#include "once/salvage.h"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"
#include "progress.h"
#include "supervise/opening.h"
#include "text.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string damaged;
  std::string fresh;
  Layout layout = Options{}.layout;
};

// Where it was, for people: "keys a/b/c", "history between 5 and 9", "rows of any table".
std::string place_of(const Loss& loss) {
  const std::string_view table = to_string(loss.table);
  if (!loss.key.empty()) {
    return loss.table == Table::all ? loss.key : fmt::format("{} {}", table, loss.key);
  }
  if (loss.table == Table::all) return "rows of any table";
  if (loss.after.empty() && loss.before.empty()) return fmt::format("all rows of {}", table);
  if (loss.after.empty()) return fmt::format("{} before {}", table, loss.before);
  if (loss.before.empty()) return fmt::format("{} after {}", table, loss.after);
  return fmt::format("{} between {} and {}", table, loss.after, loss.before);
}

std::string line_of(const Loss& loss) {
  return fmt::format("lost: {}: {}{}", place_of(loss), loss.why,
                     loss.instead.empty() ? "" : "; saved instead: " + loss.instead);
}

Json loss_json(const Loss& loss) {
  const auto optional = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : text_json(text);
  };
  return {{"table", loss.table == Table::all ? Json(nullptr) : Json(to_string(loss.table))},
          {"key", optional(loss.key)},
          {"after", optional(loss.after)},
          {"before", optional(loss.before)},
          {"why", text_json(loss.why)},
          {"instead", optional(loss.instead)}};
}

Json texts_json(const std::vector<std::string>& texts) {
  Json array = Json::array();
  for (const std::string& text : texts) array.push_back(text_json(text));
  return array;
}

Result<SalvageReport> save(const Arguments& arguments, std::vector<Loss>& losses) {
  if (auto lasting = check_lasting(arguments.damaged); !lasting) return pass(lasting);
  ProgressBar bar("salvaging");
  SalvageOptions options;
  options.store = supervise::basic_options();
  options.store.layout = arguments.layout;
  options.progress = bar.listener();
  options.on_loss = [&losses](const Loss& loss) { losses.push_back(loss); };
  return once::salvage(arguments.damaged, arguments.fresh, options);
}

void salvage(const Arguments& arguments, Context& context) {
  std::vector<Loss> losses;
  const auto report = save(arguments, losses);
  if (!report) return context.fail(report.error());
  Output out;
  if (context.json) {
    Json lost = Json::array();
    for (const Loss& loss : losses) lost.push_back(loss_json(loss));
    out.line(to_line({{"damaged", text_json(arguments.damaged)},
                      {"fresh", text_json(arguments.fresh)},
                      {"rows", report->rows},
                      {"rebuilt", report->rebuilt},
                      {"lost_log_bytes", report->lost_log_bytes},
                      {"mended", texts_json(report->mended)},
                      {"lost", lost},
                      {"problems", texts_json(report->problems)}}));
  } else {
    for (const Loss& loss : losses) say(line_of(loss));
    for (const std::string& mended : report->mended) say("nothing lost: " + mended);
    const std::string lost = losses.empty()       ? "nothing is lost"
                             : losses.size() == 1 ? "1 loss"
                                                  : fmt::format("{} losses", losses.size());
    out.line(
        fmt::format("saved {} into {}; {}", counted(report->rows, "row"), arguments.fresh, lost));
  }
  out.finish(context);
  for (const std::string& problem : report->problems) {
    context.fail(exit_store, fmt::format("{}: {}", arguments.fresh, problem));
  }
  if (!losses.empty() && context.exit_code == exit_ok) context.exit_code = exit_none;
}

}  // namespace

void add_salvage(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "salvage",
                              "Save what can be read of a damaged store; exit 1 if not all could",
                              "once salvage payments.once saved.once");
  add_network_option(*command);
  command->add_option("DAMAGED", arguments->damaged, "Path of the damaged store; it is not changed")
      ->required()
      ->type_name("");
  command->add_option("FRESH", arguments->fresh, "Path of the store to make; nothing may be there")
      ->required()
      ->type_name("");
  add_layout_option(*command, arguments->layout);
  command->callback([arguments, &context] { salvage(*arguments, context); });
}

}  // namespace once::tool
