// once key: the key that a rule gives for an operation, and what a key is. Needs no store.
#include "key.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "commands.h"
#include "json.h"
#include "output.h"
#include "text.h"

namespace once::tool {

void ScopeOptions::add_to(CLI::App& command) {
  command.add_option("--tenant", tenant, "Tenant of the key, as it is");
  command.add_option("--operation", operation, "Operation of the key, as it is");
}

Result<Key> ScopeOptions::place(const Key& key) const {
  if (!tenant && !operation) return key;
  return Scope{.tenant = tenant.value_or(""), .operation = operation.value_or("")}.key(key);
}

void print_key(const Result<Key>& key, const ScopeOptions& scope, Context& context) {
  if (!key) return context.fail(key.error());
  const auto placed = scope.place(*key);
  if (!placed) return context.fail(placed.error());
  Output out;
  out.line(context.json ? to_line({{"key", placed->to_string()}}) : placed->to_string());
  out.finish(context);
}

namespace {

struct Smith {
  std::string run;
  std::string episode;
  std::string step;
  ScopeOptions scope;
};

struct IntentArguments {
  Intent intent;
  ScopeOptions scope;
};

struct Check {
  std::string key;
  std::string format;
};

void add_smith(CLI::App& key, Context& context) {
  auto arguments = std::make_shared<Smith>();
  auto* command =
      add_command(key, context, "smith", "idem_ and 16 digits of SHA-256 over RUN::EPISODE::STEP",
                  "once key smith run-7 episode-1 step-3");
  command->add_option("RUN", arguments->run, "Of the agent")->required()->type_name("");
  command->add_option("EPISODE", arguments->episode, "Of the run")->required()->type_name("");
  command->add_option("STEP", arguments->step, "Of the episode")->required()->type_name("");
  arguments->scope.add_to(*command);
  command->callback([arguments, &context] {
    print_key(smith_key(arguments->run, arguments->episode, arguments->step), arguments->scope,
              context);
  });
}

void add_intent(CLI::App& key, Context& context) {
  auto arguments = std::make_shared<IntentArguments>();
  auto* command = add_command(key, context, "intent", "The smith key of the run INTENT:ACTOR",
                              "once key intent refund-42 agent-7 --episode 1 --step 3");
  Intent& intent = arguments->intent;
  command->add_option("INTENT", intent.intent, "What is to be done")->required()->type_name("");
  command->add_option("ACTOR", intent.actor, "Who carries it out")->required()->type_name("");
  command->add_option("--episode", intent.episode, "Of the run; none if not given");
  command->add_option("--step", intent.step, "Number of the step; 0 if not given")
      ->type_name("N")
      ->check(not_negative);
  arguments->scope.add_to(*command);
  command->callback([arguments, &context] {
    print_key(intent_key(arguments->intent), arguments->scope, context);
  });
}

void add_uuid(CLI::App& key, Context& context) {
  auto scope = std::make_shared<ScopeOptions>();
  auto* command = add_command(key, context, "uuid", "A new UUID of version 7 (RFC 9562)",
                              "key=$(once key uuid) && once run jobs.once --key $key -- ./pay");
  scope->add_to(*command);
  command->callback([scope, &context] { print_key(uuid_key(), *scope, context); });
}

// Why a key that begins as a derived one is none. Empty where it is one, or begins as none.
std::string note_on(const Key& key, KeyFormat format) {
  if (format != KeyFormat::given) return "";
  for (const auto& [prefix, wanted] :
       {std::pair("idem_", KeyFormat::smith), std::pair("operation:", KeyFormat::operation)}) {
    if (key.id.starts_with(prefix)) return check_format(key, wanted).error().message;
  }
  return "";
}

void check(const Check& arguments, Context& context) {
  const auto key = Key::parse(arguments.key);
  if (!key) return context.fail(key.error());
  if (!arguments.format.empty()) {
    const auto wanted = parse_key_format(arguments.format);
    if (!wanted) return context.fail(wanted.error());
    if (const auto checked = check_format(*key, *wanted); !checked) {
      return context.fail(checked.error());
    }
  }
  const KeyFormat format = format_of(*key);
  const std::string note = note_on(*key, format);
  Output out;
  if (context.json) {
    out.line(to_line({{"key", key->to_string()},
                      {"tenant", text_json(key->tenant)},
                      {"operation", text_json(key->operation)},
                      {"id", text_json(key->id)},
                      {"format", to_string(format)},
                      {"note", note.empty() ? Json(nullptr) : Json(note)}}));
  } else {
    out.line("key        " + key->to_string());
    out.line("tenant     " + (key->tenant.empty() ? "-" : printable(key->tenant)));
    out.line("operation  " + (key->operation.empty() ? "-" : printable(key->operation)));
    out.line("id         " + printable(key->id));
    out.line(fmt::format("format     {}", to_string(format)));
    if (!note.empty()) out.line("note       " + note);
  }
  out.finish(context);
}

void add_check(CLI::App& key, Context& context) {
  auto arguments = std::make_shared<Check>();
  auto* command =
      add_command(key, context, "check", "Tell what a key is, or what is wrong with it",
                  "once key check --format smith idem_d1650ebb65d5bb22 && echo it is one");
  add_key_argument(*command, arguments->key);
  command
      ->add_option("--format", arguments->format,
                   "What it must be: given (anything), smith, operation, hybrid or uuid")
      ->type_name("FORMAT");
  command->callback([arguments, &context] { check(*arguments, context); });
}

}  // namespace

void add_key(CLI::App& app, Context& context) {
  auto* command =
      add_command(app, context, "key", "Derive a key from what is to be done, or check one",
                  "once key content order.json --exclude sent_at");
  command->require_subcommand(1);
  add_key_content(*command, context);
  add_key_operation(*command, context);
  add_smith(*command, context);
  add_intent(*command, context);
  add_uuid(*command, context);
  add_check(*command, context);
}

}  // namespace once::tool
