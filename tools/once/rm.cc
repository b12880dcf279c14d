// once rm: forgets a key, so that the next to ask carries it out again.
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
  std::string key;
  bool force = false;
};

Result<bool> remove_key(const Arguments& arguments, const Key& key) {
  auto store = open_to_write(arguments.store, "removing");
  if (!store) return pass(store);
  auto removed = store->remove(key, {.unfinished_transaction = arguments.force});
  if (!removed) return removed;
  if (auto closed = store->close(); !closed) return pass(closed);
  return removed;
}

void rm(const Arguments& arguments, Context& context) {
  const auto key = Key::parse(arguments.key);
  if (!key) return context.fail(key.error());
  const auto removed = remove_key(arguments, *key);
  if (!removed) return context.fail(removed.error());
  if (!*removed) {
    context.fail(exit_none,
                 fmt::format("there is no {} in '{}'", key->to_string(), arguments.store));
  }
  Output out;
  if (context.json) out.line(to_line({{"key", key->to_string()}, {"removed", *removed}}));
  out.finish(context);
}

}  // namespace

void add_rm(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      add_command(app, context, "rm", "Remove a key with its outcome; exit 1 if there is none",
                  "once rm payments.once acme/charge/order-42");
  add_store_argument(*command, arguments->store);
  add_key_argument(*command, arguments->key);
  command->add_flag(
      "--force", arguments->force,
      "A transaction too that its coordinator has not finished: the decision is lost,\n"
      "and what its participants have prepared stays prepared");
  command->footer(
      "What is being carried out is not removed. What was broken off is, a workflow's run with "
      "the\n"
      "steps it has done too: the next to ask begins it anew.\n\n" +
      command->get_footer());
  command->callback([arguments, &context] { rm(*arguments, context); });
}

}  // namespace once::tool
