// once get: what a key was answered with.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "once/holder.h"
#include "output.h"
#include "provenance.h"
#include "run_output.h"
#include "text.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string key;
};

std::string why_in_progress(const std::string& name, const Record& record) {
  const std::string who = to_string(record.holder);
  if (system_processes()->liveness(record.holder) != Liveness::dead) {
    return fmt::format("{} is in progress ({}, attempt {}); ask again later", name, who,
                       record.attempt);
  }
  return fmt::format(
      "{} was in progress (attempt {}), but {} has ended without telling what came of it; the next "
      "`once run` {}",
      name, record.attempt, who,
      record.on_abandon == OnAbandon::rerun
          ? "carries it out again"
          : "finds it in doubt, to be decided with `once resolve`");
}

// What to do about a record that has no outcome to print.
std::string why_nothing(const Key& key, const Record& record) {
  const std::string name = key.to_string();
  switch (record.status) {
    case Status::in_progress:
      return why_in_progress(name, record);
    case Status::in_doubt:
      return fmt::format(
          "{} is in doubt: {} may have carried it out before it died; find out, "
          "then decide with `once resolve`",
          name, to_string(record.holder));
    case Status::released:
      return fmt::format(
          "{} was released after attempt {} and has no outcome; the next to ask "
          "carries it out",
          name, record.attempt);
    case Status::completed:
    case Status::failed:
      break;
  }
  return fmt::format("{} is {}, but its outcome is missing; see `once verify`", name,
                     to_string(record.status));
}

std::string kept_as(const Key& key, const Outcome& outcome) {
  return fmt::format("{} is kept as a {}{}{}{}{}", key.to_string(), to_string(outcome.kind),
                     outcome.code.empty() ? "" : ", code ", outcome.code,
                     outcome.message.empty() ? "" : ": ", outcome.message);
}

void print_outcome(const Key& key, const Outcome& outcome, Output& out, Context& context) {
  if (outcome.omitted_bytes != 0) {
    const std::string how = outcome.kind == OutcomeKind::success
                                ? key.to_string() + " was done, but"
                                : kept_as(key, outcome) + ";";
    context.fail(exit_none, fmt::format("{} its outcome {}; it will not be done again", how,
                                        printable(why_omitted(outcome))));
    return;
  }
  if (outcome.value && outcome.content_type == run_content_type) {
    const auto run = decode_run_output(*outcome.value);
    if (!run) return context.fail(run.error());
    out.write(run->out);
  } else if (outcome.value) {
    out.write(*outcome.value);
  }
  if (outcome.kind != OutcomeKind::success) {
    say(kept_as(key, outcome));
  }
}

Json found_json(const Key& key, const Found& found) {
  Json json = to_json(key, found.record);
  // The record's own "outcome" is a digest; here the outcome itself stands in its place.
  json["outcome"] = found.outcome ? to_json(*found.outcome) : Json(nullptr);
  const Provenance provenance = provenance_of(found.record, system_clock()->wall());
  json["execution_id"] = provenance.execution_id();
  json["time_to_live"] =
      is_finished(found.record.status) ? Json(provenance.time_to_live.count()) : Json(nullptr);
  if (!found.outcome || !found.outcome->value || found.outcome->content_type != run_content_type) {
    return json;
  }
  if (const auto run = decode_run_output(*found.outcome->value)) {
    json["run"] = {{"exit_code", run->exit_code},
                   {"out", bytes_json(run->out)},
                   {"err", bytes_json(run->err)}};
  }
  return json;
}

struct Seen {
  std::optional<Found> found{};
  KeyStatus status = KeyStatus::none;  // of what is not found: none or expired
};

// By itself, so that its bar is gone before the outcome is printed, which need not end its line.
Result<Seen> look_up(const std::string& where, const Key& key) {
  auto store = open_to_read(where, "looking up");
  if (!store) return pass(store);
  auto found = store->find(key);
  if (!found) return pass(found);
  if (*found) return Seen{.found = std::move(*found)};
  auto status = store->status(key);
  if (!status) return pass(status);
  return Seen{.status = *status};
}

void tell_of_none(const Key& key, const Arguments& arguments, bool expired, Output& out,
                  Context& context) {
  if (context.json) {
    const Json gone = {
        {"key", key.to_string()}, {"status", to_string(KeyStatus::expired)}, {"outcome", nullptr}};
    out.line(to_line(expired ? gone : Json(nullptr)));
  }
  context.fail(exit_none,
               expired ? fmt::format("the retention of {} in '{}' is over; the next to ask "
                                     "carries it out anew",
                                     key.to_string(), arguments.store)
                       : fmt::format("there is no {} in '{}'", key.to_string(), arguments.store));
}

void get(const Arguments& arguments, Context& context) {
  const auto key = Key::parse(arguments.key);
  if (!key) return context.fail(key.error());
  const auto seen = look_up(arguments.store, *key);
  if (!seen) return context.fail(seen.error());
  const std::optional<Found>& found = seen->found;
  Output out;
  if (!found) {
    tell_of_none(*key, arguments, seen->status == KeyStatus::expired, out, context);
  } else if (context.json) {
    out.line(to_line(found_json(*key, *found)));
  } else if (found->outcome) {
    print_outcome(*key, *found->outcome, out, context);
  } else {
    context.fail(exit_none, why_nothing(*key, found->record));
  }
  out.finish(context);
}

}  // namespace

void add_get(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "get", "Print the outcome kept for a key",
                              "once get payments.once acme/charge/order-42\n"
                              "  once get payments.once order-42 --json\n"
                              "\n"
                              "With --json the record with its outcome: also from which execution "
                              "it is (execution_id),\n"
                              "and for how many milliseconds it will still be replayed "
                              "(time_to_live). One past its\n"
                              "retention has the status expired until it is swept.");
  add_store_argument(*command, arguments->store);
  add_key_argument(*command, arguments->key);
  command->callback([arguments, &context] { get(*arguments, context); });
}

}  // namespace once::tool
