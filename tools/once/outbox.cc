// once outbox: the events that are not delivered. ls lists them, retry and drop decide on them;
// relay, which delivers them, is in outbox_relay.cc.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "once/outbox.h"
#include "outbox_relay.h"
#include "output.h"
#include "row_text.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string status;
  std::string id;
  bool all_dead = false;
  std::optional<std::uint64_t> sequence{};
};

using VisitUnreadable = std::function<bool(std::uint64_t sequence, const Error&)>;

Result<void> visit(Store& store, const std::string& status,
                   const std::function<bool(const Event&)>& each,
                   const VisitUnreadable& unreadable) {
  if (status == "all") return store.events({}, each);
  if (status == "delivered") return store.events({.status = EventStatus::delivered}, each);
  return Outbox(store).unsettled(
      [&](const Event& event) {
        return (!status.empty() && to_string(event.status) != status) || each(event);
      },
      unreadable);
}

void list(const Arguments& arguments, Context& context) {
  auto store = open_to_read(arguments.store, "listing");
  if (!store) return context.fail(store.error());
  Output out;
  std::optional<Error> first;
  std::uint64_t count = 0;
  const auto done = visit(
      *store, arguments.status,
      [&](const Event& event) {
        store->bar().tell(++count, 0, "events");
        return out.line(context.json ? to_line(to_json(event))
                                     : fmt::format("{}  {}", event_text(out, event), event.id));
      },
      [&](std::uint64_t sequence, const Error& error) {
        if (!first) first = error;
        return out.line(context.json
                            ? to_line({{"sequence", sequence},
                                       {"status", "unreadable"},
                                       {"error", text_json(error.message)}})
                            : fmt::format("{} {}", sequence, out.paint(Colour::red, "unreadable")));
      });
  out.finish(context);
  if (!done) return context.fail(done.error());
  if (first) context.fail(*first);
}

Result<std::uint64_t> retried(const Arguments& arguments) {
  if (arguments.all_dead == !arguments.id.empty()) {
    return fail(ErrorCode::invalid_argument,
                "say which event: give its ID, or --all-dead for all dead letters, not both");
  }
  auto store = open_to_write(arguments.store, "retrying");
  if (!store) return pass(store);
  Result<std::uint64_t> count = 1;
  if (arguments.all_dead) {
    count = Outbox(*store).retry_dead();
  } else if (auto done = Outbox(*store).retry(arguments.id); !done) {
    count = pass(done);
  }
  if (auto closed = store->close(); !closed && count) return pass(closed);
  return count;
}

void retry(const Arguments& arguments, Context& context) {
  const auto count = retried(arguments);
  if (!count) return context.fail(count.error());
  Output out;
  if (context.json) {
    out.line(to_line({{"retried", *count}}));
  } else {
    out.line(fmt::format("{} to be delivered again", counted(*count, "event")));
  }
  out.finish(context);
}

Result<void> dropped(const Arguments& arguments) {
  if (arguments.sequence.has_value() == !arguments.id.empty()) {
    return fail(
        ErrorCode::invalid_argument,
        "say which event: give its ID, or --sequence for one that cannot be read, not both");
  }
  auto store = open_to_write(arguments.store, "dropping");
  if (!store) return pass(store);
  Outbox outbox(*store);
  auto done =
      arguments.sequence ? outbox.drop_unreadable(*arguments.sequence) : outbox.drop(arguments.id);
  if (!done) return done;
  return store->close();
}

void drop(const Arguments& arguments, Context& context) {
  if (const auto done = dropped(arguments); !done) return context.fail(done.error());
  Output out;
  if (context.json) {
    out.line(to_line(
        {{"dropped", arguments.sequence ? Json(*arguments.sequence) : text_json(arguments.id)}}));
  } else {
    out.line("dropped, undelivered");
  }
  out.finish(context);
}

void add_outbox_ls(CLI::App& outbox, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(outbox, context, "ls", "List events that are pending or dead letters",
                              "once outbox ls payments.once --status dead");
  add_store_argument(*command, arguments->store);
  command->add_option("--status", arguments->status, "Only these: pending, dead, delivered; or all")
      ->type_name("S")
      ->check(CLI::IsMember({"pending", "dead", "delivered", "all"}));
  command->callback([arguments, &context] { list(*arguments, context); });
}

void add_retry(CLI::App& outbox, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(outbox, context, "retry", "Have a dead letter delivered again",
                              "once outbox retry payments.once --all-dead");
  add_store_argument(*command, arguments->store);
  command->add_option("ID", arguments->id, "Of the event, as `once outbox ls` shows it")
      ->type_name("");
  command->add_flag("--all-dead", arguments->all_dead, "All dead letters");
  command->callback([arguments, &context] { retry(*arguments, context); });
}

void add_drop(CLI::App& outbox, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      add_command(outbox, context, "drop", "Remove an event that is not delivered",
                  "once outbox drop payments.once 0191e2a0-7b2c-7d33-9c8e-0f1a2b3c4d5e");
  add_store_argument(*command, arguments->store);
  command->add_option("ID", arguments->id, "Of the event, as `once outbox ls` shows it")
      ->type_name("");
  command
      ->add_option("--sequence", arguments->sequence,
                   "One that cannot be read, as `once outbox ls` shows it")
      ->type_name("N")
      ->check(not_negative);
  command->callback([arguments, &context] { drop(*arguments, context); });
}

}  // namespace

void add_outbox(CLI::App& app, Context& context) {
  auto* command =
      add_command(app, context, "outbox", "Deliver events: outbox ls, relay, retry, drop",
                  "once outbox relay payments.once --to https://shop.example/events");
  command->require_subcommand(1);
  add_outbox_ls(*command, context);
  add_relay(*command, context);
  add_retry(*command, context);
  add_drop(*command, context);
}

}  // namespace once::tool
