// once key content, once key operation: keys from the content of a JSON file.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "key.h"

namespace once::tool {
namespace {

struct Content {
  std::string file;
  Selection selection;
  std::optional<std::string> prefix;  // content
  OperationContext around;            // operation
  ScopeOptions scope;
};

void add_path_option(CLI::App& command, const char* name, std::vector<std::string>& paths,
                     const char* description) {
  command.add_option(name, paths, description)
      ->type_name("PATH")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
}

void add_common(CLI::App& command, Content& arguments) {
  command.add_option("FILE", arguments.file, "The JSON file; - reads stdin")
      ->required()
      ->type_name("");
  add_path_option(command, "--include", arguments.selection.include,
                  "Only this member: a name at the top, or a JSON pointer; may be repeated");
  add_path_option(command, "--exclude", arguments.selection.exclude,
                  "Not this member; may be repeated");
  arguments.scope.add_to(command);
}

Result<Key> content(const Content& arguments, const std::string& json) {
  if (!arguments.prefix) return content_key(json, arguments.selection);
  return hybrid_key(Key(*arguments.prefix), json, arguments.selection);
}

}  // namespace

void add_key_content(CLI::App& key, Context& context) {
  auto arguments = std::make_shared<Content>();
  auto* command =
      add_command(key, context, "content",
                  "operation: and 32 digits of SHA-256 over the canonical form of a JSON file",
                  "once key content order.json --exclude sent_at --exclude /meta/trace\n"
                  "  once key content order.json --include amount --prefix order-42");
  add_common(*command, *arguments);
  command->add_option("--prefix", arguments->prefix, "An id to put there instead of operation");
  command->callback([arguments, &context] {
    const auto json = read_input(arguments->file);
    if (!json) return context.fail(json.error());
    print_key(content(*arguments, *json), arguments->scope, context);
  });
}

void add_key_operation(CLI::App& key, Context& context) {
  auto arguments = std::make_shared<Content>();
  auto* command = add_command(key, context, "operation",
                              "The same over the JSON file and for whom it is carried out",
                              "once key operation order.json --user alice --organisation acme");
  add_common(*command, *arguments);
  command->add_option("--user", arguments->around.user, "For whom");
  command->add_option("--organisation", arguments->around.organisation, "In which organisation");
  command->callback([arguments, &context] {
    const auto json = read_input(arguments->file);
    if (!json) return context.fail(json.error());
    print_key(operation_key(*json, arguments->around, arguments->selection), arguments->scope,
              context);
  });
}

}  // namespace once::tool
