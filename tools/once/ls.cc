// once ls: which keys there are.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "commands.h"
#include "duration.h"
#include "json.h"
#include "output.h"
#include "text.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string prefix;
  std::optional<std::string> status{};
};

Colour colour_of(KeyStatus status) {
  switch (status) {
    case KeyStatus::in_progress:
      return Colour::yellow;
    case KeyStatus::completed:
      return Colour::green;
    case KeyStatus::failed:
    case KeyStatus::in_doubt:
      return Colour::red;
    case KeyStatus::released:
    case KeyStatus::expired:
      return Colour::dim;
    case KeyStatus::none:
      break;
  }
  return Colour::none;
}

// Widths are fixed, since rows are printed as they are read.
std::string table_line(const Output& out, const Key& key, const Record& record, KeyStatus status,
                       Time now) {
  return fmt::format("{} {:>7} {:>7} {:<24} {}",
                     out.paint(colour_of(status), pad(to_string(status), 11)), record.attempt,
                     short_duration(now - record.created_at), format_time(record.expires_at),
                     key.to_string());
}

void ls(const Arguments& arguments, Context& context) {
  ScanOptions options{.prefix = arguments.prefix};
  if (arguments.status == to_string(KeyStatus::expired)) {
    options.expired = true;
  } else if (arguments.status) {
    const auto status = parse_status(*arguments.status);
    if (!status) {
      return context.fail(exit_usage,
                          fmt::format("'{}' is no status; there are in-progress, completed, "
                                      "failed, in-doubt, released and expired",
                                      *arguments.status));
    }
    options.status = *status;
  }
  auto store = open_to_read(arguments.store, "listing");
  if (!store) return context.fail(store.error());
  Output out;
  const bool table = out.terminal() && !context.json;
  const Time now = system_clock()->wall();
  if (table) {
    out.line(out.paint(Colour::bold, fmt::format("{:<11} {:>7} {:>7} {:<24} {}", "status",
                                                 "attempt", "age", "expires", "key")));
  }
  std::uint64_t count = 0;
  const auto done = store->scan(options, [&](const Key& key, const Record& record) {
    store->bar().tell(++count, 0, "keys");
    const KeyStatus status =
        options.expired ? KeyStatus::expired : static_cast<KeyStatus>(record.status);
    if (context.json) {
      Json json = to_json(key, record);
      json["status"] = to_string(status);
      return out.line(to_line(json));
    }
    return out.line(table ? table_line(out, key, record, status, now) : key.to_string());
  });
  out.finish(context);
  if (!done) context.fail(done.error());
}

}  // namespace

void add_ls(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "ls", "List keys",
                              "once ls payments.once acme/charge/ --status in-doubt");
  add_store_argument(*command, arguments->store);
  command->add_option("PREFIX", arguments->prefix, "Only keys whose written form begins so")
      ->type_name("");
  command
      ->add_option("--status", arguments->status,
                   "Only these: in-progress, completed, failed, in-doubt, released; or expired,\n"
                   "those whose retention is over and that no sweep has removed yet")
      ->type_name("S");
  command->callback([arguments, &context] { ls(*arguments, context); });
}

}  // namespace once::tool
