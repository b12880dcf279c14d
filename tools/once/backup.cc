// once backup: a whole copy of a store, as of now, while it is in use.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "output.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string destination;
  Layout layout = Options{}.layout;
};

Result<void> copy(const Arguments& arguments) {
  auto store = open_to_read(arguments.store, "copying", {.layout = arguments.layout});
  if (!store) return pass(store);
  return store->backup(arguments.destination, store->bar().listener());
}

void backup(const Arguments& arguments, Context& context) {
  if (const auto copied = copy(arguments); !copied) return context.fail(copied.error());
  Output out;
  if (context.json) {
    out.line(to_line({{"store", text_json(arguments.store)},
                      {"destination", text_json(arguments.destination)}}));
  } else {
    out.line(fmt::format("copied {} to {}", arguments.store, arguments.destination));
  }
  out.finish(context);
}

}  // namespace

void add_backup(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, context, "backup", "Copy a store while it is in use",
                              "once backup payments.once /backup/payments.once");
  add_store_argument(*command, arguments->store);
  command->add_option("DEST", arguments->destination, "Path of the copy; nothing may be there")
      ->required()
      ->type_name("");
  add_layout_option(*command, arguments->layout);
  command->callback([arguments, &context] { backup(*arguments, context); });
}

}  // namespace once::tool
