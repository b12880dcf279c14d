// once workflow: which runs of workflows there are, and how far one has got, drawn as a tree.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "commands.h"
#include "json.h"
#include "once/workflow.h"
#include "output.h"
#include "workflow_tree.h"

namespace once::tool {
namespace {

struct Arguments {
  std::string store;
  std::string id;
  std::optional<std::string> name;
  std::optional<std::string> tenant;
  std::string status;
};

void ls(const Arguments& arguments, Context& context) {
  WorkflowListOptions options{.tenant = arguments.tenant, .workflow = arguments.name};
  if (!arguments.status.empty()) {
    const auto status = parse_status(arguments.status);
    if (!status) return context.fail(status.error());
    options.status = *status;
  }
  auto store = open_to_read(arguments.store, "listing");
  if (!store) return context.fail(store.error());
  Output out;
  std::uint64_t count = 0;
  const bool table = out.terminal() && !context.json;
  std::optional<Error> unreadable;
  if (table) out.line(out.paint(Colour::bold, run_table_header()));
  const auto done = Workflow::list(*store, options, [&](const WorkflowState& state) {
    store->bar().tell(++count, 0, "runs");
    if (state.unreadable && !unreadable) {
      unreadable = state.unreadable;
      unreadable->message = fmt::format("run {}: {}", state.key.to_string(), unreadable->message);
    }
    if (context.json) return out.line(to_line(run_summary_json(state)));
    return out.line(table ? run_table_line(out, state) : state.key.to_string());
  });
  out.finish(context);
  if (!done) return context.fail(done.error());
  if (unreadable) context.fail(*unreadable);
}

// The run that is meant by an ID alone: the only one that has it.
Result<Key> find_run(Store& store, const Arguments& arguments, const Key& id) {
  std::vector<Key> found;
  auto listed = Workflow::list(store, {.tenant = arguments.tenant, .workflow = arguments.name},
                               [&](const WorkflowState& state) {
                                 if (state.id == id.id) found.push_back(state.key);
                                 return true;
                               });
  if (!listed) return pass(listed);
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return fail(ErrorCode::not_found, "there is no run {}; `once workflow ls` lists them",
                id.to_string());
  }
  std::string keys;
  for (const Key& key : found) keys += "\n  " + key.to_string();
  return fail(ErrorCode::invalid_argument,
              "there are {} runs {}; give --name and --tenant, or one of:{}", found.size(),
              id.to_string(), keys);
}

Result<Key> key_of(Store& store, const Arguments& arguments) {
  auto written = Key::parse(arguments.id);
  if (!written) return pass(written);
  if (!written->operation.empty() || !written->tenant.empty()) return written;
  if (arguments.name && arguments.tenant) {
    return Workflow::key(*arguments.name, written->id, *arguments.tenant);
  }
  return find_run(store, arguments, *written);
}

void show(const Arguments& arguments, Context& context) {
  auto store = open_to_read(arguments.store, "looking up the run");
  if (!store) return context.fail(store.error());
  const auto key = key_of(*store, arguments);
  if (!key) return context.fail(key.error());
  const auto state = Workflow::inspect(*store, *key);
  if (!state) return context.fail(state.error());
  if (!*state) {
    return context.fail(exit_none, fmt::format("there is no run {}; `once workflow ls` lists them",
                                               key->to_string()));
  }
  Output out;
  if (context.json) {
    out.line(to_line(run_json(**state)));
  } else {
    write_run_tree(out, **state);
  }
  out.finish(context);
}

void add_common(CLI::App& command, Arguments& arguments) {
  const auto sets = [](std::optional<std::string>& where) {
    return [&where](const std::string& text) { where = text; };
  };
  command
      .add_option_function<std::string>("--name", sets(arguments.name),
                                        "Only runs of the workflow of this name")
      ->type_name("N");
  command
      .add_option_function<std::string>("--tenant", sets(arguments.tenant),
                                        "Only runs of this tenant; '' is one too")
      ->type_name("T");
}

void add_list(CLI::App& workflow, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(workflow, context, "ls", "List runs",
                              "once workflow ls payments.once --name order --status in-progress");
  add_store_argument(*command, arguments->store);
  add_common(*command, *arguments);
  command
      ->add_option("--status", arguments->status,
                   "Only these: in-progress, completed, failed, in-doubt, released")
      ->type_name("S");
  command->callback([arguments, &context] { ls(*arguments, context); });
}

void add_show(CLI::App& workflow, Context& context) {
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      add_command(workflow, context, "show", "Draw how far a run has got, as a tree of its nodes",
                  "once workflow show payments.once order-42");
  add_store_argument(*command, arguments->store);
  command
      ->add_option("ID", arguments->id,
                   "Of the run, or its key: tenant/workflow:NAME/ID; %XX stands for any byte")
      ->required()
      ->type_name("");
  add_common(*command, *arguments);
  command->callback([arguments, &context] { show(*arguments, context); });
}

}  // namespace

void add_workflow(CLI::App& app, Context& context) {
  auto* command =
      add_command(app, context, "workflow", "Look at runs of workflows: workflow ls, workflow show",
                  "once workflow show payments.once order-42");
  command->require_subcommand(1);
  add_list(*command, context);
  add_show(*command, context);
}

}  // namespace once::tool
