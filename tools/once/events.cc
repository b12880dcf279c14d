// once events: the messages in the outbox.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"
#include "row_text.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string status;
};

Result<EventStatus> parse_event_status(std::string_view text) {
  for (const auto status : {EventStatus::pending, EventStatus::delivered, EventStatus::dead}) {
    if (text == to_string(status)) return status;
  }
  return fail(ErrorCode::invalid_argument,
              "'{}' is no status of an event; there are pending, delivered and dead", text);
}

void events(const Arguments& arguments, Context& context) {
  EventOptions options;
  if (!arguments.status.empty()) {
    const auto status = parse_event_status(arguments.status);
    if (!status) return context.fail(status.error());
    options.status = *status;
  }
  auto store = open_to_read(arguments.store, "listing");
  if (!store) return context.fail(store.error());
  Output out;
  std::uint64_t count = 0;
  const auto done = store->events(options, [&](const Event& event) {
    store->bar().tell(++count, 0, "events");
    return out.line(context.json ? to_line(to_json(event)) : event_text(out, event));
  });
  out.finish(context);
  if (!done) context.fail(done.error());
}

}  // namespace

void add_events(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "events", "List the events in the outbox",
                              "once events payments.once --status dead");
  add_store_argument(*command, arguments->store);
  command->add_option("--status", arguments->status, "Only these: pending, delivered, dead")
      ->type_name("S");
  command->callback([arguments, &context] { events(*arguments, context); });
}

}  // namespace once::tool
