// once transaction: where transactions over several participants stand.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "commands.h"
#include "json.h"
#include "once/coordinator.h"
#include "output.h"
#include "text.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string key;
  bool unfinished = false;
};

constexpr std::size_t shown_bytes = 60;

Colour colour_of(TransactionState state) {
  switch (state) {
    case TransactionState::committed:
      return Colour::green;
    case TransactionState::aborted:
      return Colour::red;
    case TransactionState::preparing:
    case TransactionState::committing:
    case TransactionState::aborting:
      return Colour::yellow;
  }
  return Colour::none;
}

Json to_json(const TransactionReport& report) {
  Json json = Json::object();
  json["key"] = report.key.to_string();
  json["state"] = to_string(report.state);
  json["reason"] = text_json(report.reason);
  json["token"] = report.token.value;
  json["pending"] = report.pending();
  json["participants"] = Json::array();
  for (const ParticipantReport& of : report.participants) {
    Json participant = Json::object();
    participant["name"] = text_json(of.name);
    participant["saga"] = of.saga;
    participant["state"] = to_string(of.state);
    participant["payload"] = bytes_json(of.payload);
    participant["vote"] = of.vote ? bytes_json(*of.vote) : Json(nullptr);
    participant["failures"] = of.failures;
    participant["trouble"] = text_json(of.trouble);
    json["participants"].push_back(std::move(participant));
  }
  return json;
}

std::string summary(const Output& out, const TransactionReport& report) {
  std::string text =
      fmt::format("{} {}", out.paint(colour_of(report.state), pad(to_string(report.state), 10)),
                  report.key.to_string());
  if (!report.reason.empty()) text += "  " + preview(report.reason, shown_bytes);
  for (const std::string& name : report.pending()) text += "  waits for " + printable(name);
  return text;
}

void ls(const Arguments& arguments, Context& context) {
  auto store = open_to_read(arguments.store, "listing");
  if (!store) return context.fail(store.error());
  Output out;
  std::optional<Error> first;
  std::uint64_t count = 0;
  const auto done = scan_transactions(
      *store,
      [&](const TransactionReport& report) {
        store->bar().tell(++count, 0, "transactions");
        if (arguments.unfinished && report.finished()) return true;
        return out.line(context.json ? to_line(to_json(report)) : summary(out, report));
      },
      [&](const Key&, const Error& error) {
        if (first) say(error.message);  // it names the key; the last one told is the first found
        if (!first) first = error;
        return true;
      });
  out.finish(context);
  if (!done) return context.fail(done.error());
  if (first) context.fail(*first);
}

void show(const Arguments& arguments, Context& context) {
  auto key = Key::parse(arguments.key);
  if (!key) return context.fail(key.error());
  auto store = open_to_read(arguments.store, "looking up the transaction");
  if (!store) return context.fail(store.error());
  const auto found = find_transaction(*store, *key);
  if (!found) return context.fail(found.error());
  if (!*found) {
    return context.fail(exit_none, fmt::format("there is no transaction {}", key->to_string()));
  }
  const TransactionReport& report = **found;
  Output out;
  if (context.json) {
    out.line(to_line(to_json(report)));
  } else {
    out.line(summary(out, report));
    for (const ParticipantReport& of : report.participants) {
      std::string line = fmt::format("  {} {} {}", pad(to_string(of.state), 8),
                                     pad(of.saga ? "saga" : "two-phase", 9), printable(of.name));
      if (!of.payload.empty()) line += "  payload " + preview(of.payload, shown_bytes);
      if (of.vote && !of.vote->empty()) line += "  vote " + preview(*of.vote, shown_bytes);
      out.line(line);
      if (of.failures != 0) {
        out.line(out.paint(Colour::yellow,
                           fmt::format("           failed {}: {}", counted(of.failures, "time"),
                                       printable(of.trouble))));
      }
    }
  }
  out.finish(context);
}

}  // namespace

void add_transaction(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      add_command(app, context, "transaction", "Tell where transactions of coordinators stand",
                  "once transaction ls payments.once --unfinished");
  command->require_subcommand(1);
  auto* list = add_command(*command, context, "ls", "List transactions",
                           "once transaction ls payments.once --unfinished");
  add_store_argument(*list, arguments->store);
  list->add_flag("--unfinished", arguments->unfinished, "Only those that are not finished");
  list->callback([arguments, &context] { ls(*arguments, context); });
  auto* one = add_command(*command, context, "show", "Show a transaction and its participants",
                          "once transaction show payments.once acme/transfer/tx-9");
  add_store_argument(*one, arguments->store);
  add_key_argument(*one, arguments->key);
  one->callback([arguments, &context] { show(*arguments, context); });
}

}  // namespace once::tool
