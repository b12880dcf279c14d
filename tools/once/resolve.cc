// once resolve: decides a key that is in doubt, by what really happened.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string key;
  std::string as;
  std::optional<std::string> value;
  std::optional<std::string> code;
  std::optional<std::string> message;
};

Result<Verdict> parse_verdict(const Arguments& arguments) {
  const bool says_failure = arguments.code || arguments.message;
  if (arguments.as == "failure") return Verdict::failure;
  if (arguments.as != "success" && arguments.as != "rerun") {
    return fail(ErrorCode::invalid_argument,
                "--as '{}' is not known; there are success, failure and rerun", arguments.as);
  }
  if (says_failure) {
    return fail(ErrorCode::invalid_argument, "--code and --message go with --as failure only");
  }
  if (arguments.as == "success") return Verdict::success;
  if (arguments.value) {
    return fail(ErrorCode::invalid_argument,
                "--value does not go with --as rerun: the next execution makes the outcome");
  }
  return Verdict::rerun;
}

Result<Outcome> make_outcome(const Arguments& arguments, Verdict verdict) {
  auto outcome = verdict == Verdict::failure
                     ? Outcome::failure(arguments.code.value_or(""), arguments.message.value_or(""))
                     : Outcome::success();
  if (arguments.value) {
    auto value = read_input(*arguments.value);
    if (!value) return pass(value);
    outcome.value = *std::move(value);
  }
  return outcome;
}

Result<void> resolve_key(const Arguments& arguments, const Key& key) {
  const auto verdict = parse_verdict(arguments);
  if (!verdict) return std::unexpected(verdict.error());
  const auto outcome = make_outcome(arguments, *verdict);
  if (!outcome) return std::unexpected(outcome.error());
  auto store = open_to_write(arguments.store, "resolving");
  if (!store) return pass(store);
  if (auto resolved = store->resolve(key, *verdict, *outcome); !resolved) return resolved;
  return store->close();
}

void resolve(const Arguments& arguments, Context& context) {
  const auto key = Key::parse(arguments.key);
  if (!key) return context.fail(key.error());
  if (const auto resolved = resolve_key(arguments, *key); !resolved) {
    return context.fail(resolved.error());
  }
  Output out;
  if (context.json) {
    out.line(to_line({{"key", key->to_string()}, {"resolved", arguments.as}}));
  } else {
    out.line(fmt::format("{} is resolved as {}", key->to_string(), arguments.as));
  }
  out.finish(context);
}

}  // namespace

void add_resolve(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      add_command(app, context, "resolve", "Decide a key that is in doubt",
                  "echo receipt-7 | once resolve payments.once order-42 --as success --value -");
  add_store_argument(*command, arguments->store);
  add_key_argument(*command, arguments->key);
  command
      ->add_option("--as", arguments->as,
                   "success: it happened; failure: it did not and will not;\n"
                   "rerun: it did not, and the next to ask carries it out")
      ->required()
      ->type_name("VERDICT");
  command->add_option("--value", arguments->value, "The outcome's bytes; - reads stdin")
      ->type_name("FILE");
  command->add_option("--code", arguments->code, "Of the failure, for programs")->type_name("CODE");
  command->add_option("--message", arguments->message, "Of the failure, for people")
      ->type_name("TEXT");
  command->callback([arguments, &context] { resolve(*arguments, context); });
}

}  // namespace once::tool
