// once key: the key that a rule gives for an operation. Needs no store.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "commands.h"
#include "json.h"
#include "output.h"

namespace once::tool {
namespace {

struct Smith {
  std::string run;
  std::string episode;
  std::string step;
};

struct Content {
  std::string file;
  std::vector<std::string> exclude;
};

void print_key(const Result<Key>& key, Context& context) {
  if (!key) return context.fail(key.error());
  Output out;
  out.line(context.json ? to_line({{"key", key->to_string()}}) : key->to_string());
  out.finish(context);
}

void content(const Content& arguments, Context& context) {
  const auto json = read_input(arguments.file);
  if (!json) return context.fail(json.error());
  print_key(content_key(*json, arguments.exclude), context);
}

void add_smith(CLI::App& key, Context& context) {
  auto arguments = std::make_shared<Smith>();
  auto* command =
      add_command(key, context, "smith", "idem_ and 16 digits of SHA-256 over RUN::EPISODE::STEP",
                  "once key smith run-7 episode-1 step-3");
  command->add_option("RUN", arguments->run, "Of the agent")->required()->type_name("");
  command->add_option("EPISODE", arguments->episode, "Of the run")->required()->type_name("");
  command->add_option("STEP", arguments->step, "Of the episode")->required()->type_name("");
  command->callback([arguments, &context] {
    print_key(smith_key(arguments->run, arguments->episode, arguments->step), context);
  });
}

void add_content(CLI::App& key, Context& context) {
  auto arguments = std::make_shared<Content>();
  auto* command =
      add_command(key, context, "content",
                  "operation: and 32 digits of SHA-256 over the canonical form of a JSON file",
                  "once key content order.json --exclude sent_at --exclude /meta/trace");
  command->add_option("FILE", arguments->file, "The JSON file; - reads stdin")
      ->required()
      ->type_name("");
  command
      ->add_option("--exclude", arguments->exclude,
                   "A member to leave out: a name at the top, or a JSON pointer; may be repeated")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
  command->callback([arguments, &context] { content(*arguments, context); });
}

}  // namespace

void add_key(CLI::App& app, Context& context) {
  auto* command = add_command(app, context, "key", "Derive a key: key smith, key content",
                              "once key smith run-7 episode-1 step-3");
  command->require_subcommand(1);
  add_smith(*command, context);
  add_content(*command, context);
}

}  // namespace once::tool
