// once: the command line over a store. Sets up the subcommands, runs the one that was asked for and
// ends with its exit code; see context.h for what the codes mean.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <exception>
#include <string_view>

#include "commands.h"
#include "end_line.h"
#include "json.h"
#include "once/version.h"
#include "output.h"

namespace once::tool {
namespace {

// When the tool is started with a standard stream closed (`once sweep s >&-`), the first file of
// the store would get its number, and a message would be written into the store. Opened the wrong
// way round, so that using the stream is still an error.
void occupy_standard_streams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0) continue;
    const int flags = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", flags) < 0) ::_exit(exit_store);
  }
}

void set_up(CLI::App& app, Context& context, bool& version_asked) {
  app.name("once");
  app.add_flag("--json", context.json, "Print JSON");
  app.add_flag("--version", version_asked, "Print the version and exit");
  app.require_subcommand(0, 1);
  app.footer(
      "Example: charge once, however often this is asked for; the second time only tells the\n"
      "first answer\n"
      "  once run payments.once --key order-42 -- ./charge order-42\n\n"
      "A KEY is written tenant/operation/id, or just id; %XX stands for any byte. Arguments that\n"
      "begin with a dash go after --. `once SUBCOMMAND --help` tells more.");
  add_run(app, context);
  add_lock(app, context);
  add_get(app, context);
  add_ls(app, context);
  add_log(app, context);
  add_events(app, context);
  add_outbox(app, context);
  add_stats(app, context);
  add_top(app, context);
  add_transaction(app, context);
  add_dump(app, context);
  add_load(app, context);
  add_resolve(app, context);
  add_rm(app, context);
  add_sweep(app, context);
  add_compact(app, context);
  add_verify(app, context);
  add_backup(app, context);
  add_salvage(app, context);
  add_workflow(app, context);
  add_key(app, context);
}

// The subcommand that the command line got to, for messages.
std::string path_of(const CLI::App& app) {
  std::string path = "once";
  for (const auto* command = &app; !command->get_subcommands().empty();) {
    command = command->get_subcommands().front();
    path += " " + command->get_name();
  }
  return path;
}

// What is wrong where a subcommand has others below it and none of them was named; empty: something
// else is wrong.
std::string missing_below(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  if (command == &app || command->get_require_subcommand_min() == 0) return "";
  std::string names;
  for (const CLI::App* below : command->get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : ", ") + below->get_name();
  }
  const auto left = command->remaining();
  if (!left.empty() && !left.front().starts_with('-')) {
    return fmt::format("there is no subcommand '{}' of `{}`; there are {}", left.front(),
                       path_of(app), names);
  }
  return fmt::format("say which: `{}` has the subcommands {}", path_of(app), names);
}

void print_version(Context& context) {
  Output out;
  if (context.json) {
    out.line(to_line({{"version", version}, {"store_format", store_format}}));
  } else {
    out.line(fmt::format("once {} (store format {})", version, store_format));
  }
  out.finish(context);
}

// With --json `run` and `lock` say in JSON how they ended, also when the command line could not be
// read: what was read of it by then does not count, and so it is looked for here.
void report_parse_error(const CLI::App& app, int argc, char** argv, const Context& context) {
  const std::string path = path_of(app);
  const bool is_run = path == "once run";
  if (!is_run && path != "once lock") return;
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    if (std::string_view(argv[i]) != "--json") continue;
    return report_not_begun(is_run, nullptr, to_string(ErrorCode::invalid_argument),
                            context.exit_code);
  }
}

int run(int argc, char** argv) {
  occupy_standard_streams();
  Context context;
  bool version_asked = false;
  CLI::App app("Makes operations happen exactly once, and answers again what was answered first.");
  set_up(app, context, version_asked);
  try {
    app.parse(argc, argv);
    if (version_asked) {
      print_version(context);
    } else if (app.get_subcommands().empty()) {
      context.fail(exit_usage, "say what to do; `once --help` lists the subcommands");
    }
  } catch (const CLI::CallForHelp&) {
    const CLI::App* command = &app;
    while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
    Output out;
    out.write(
        command->help(command == &app ? "" : path_of(app).substr(0, path_of(app).rfind(' '))));
    out.finish(context);
  } catch (const CLI::RequiredError& error) {
    const std::string missing = missing_below(app);
    context.fail(exit_usage, fmt::format("{}; see `{} --help`",
                                         missing.empty() ? error.what() : missing, path_of(app)));
    report_parse_error(app, argc, argv, context);
  } catch (const CLI::ParseError& error) {
    const bool unknown = app.get_subcommands().empty() && !app.remaining().empty() &&
                         !app.remaining().front().starts_with('-');
    context.fail(exit_usage,
                 unknown ? fmt::format("there is no subcommand '{}'; `once --help` lists them",
                                       app.remaining().front())
                         : fmt::format("{}; see `{} --help`", error.what(), path_of(app)));
    report_parse_error(app, argc, argv, context);
  }
  return context.exit_code;
}

}  // namespace
}  // namespace once::tool

int main(int argc, char** argv) {
  try {
    return once::tool::run(argc, argv);
  } catch (const std::bad_alloc&) {
    once::tool::say("out of memory; nothing that was not said to be done was done");
  } catch (const std::exception& error) {
    once::tool::say(error.what());
  }
  return once::tool::exit_store;
}
