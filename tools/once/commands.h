// The subcommands, one file each: every function adds its own to the command line.
#pragma once

#include <CLI/App.hpp>

#include "context.h"

namespace once::tool {

void add_run(CLI::App& app, Context& context);
void add_lock(CLI::App& app, Context& context);
void add_get(CLI::App& app, Context& context);
void add_ls(CLI::App& app, Context& context);
void add_log(CLI::App& app, Context& context);
void add_events(CLI::App& app, Context& context);
void add_outbox(CLI::App& app, Context& context);
void add_stats(CLI::App& app, Context& context);
void add_top(CLI::App& app, Context& context);
void add_transaction(CLI::App& app, Context& context);
void add_dump(CLI::App& app, Context& context);
void add_load(CLI::App& app, Context& context);
void add_resolve(CLI::App& app, Context& context);
void add_rm(CLI::App& app, Context& context);
void add_sweep(CLI::App& app, Context& context);
void add_compact(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_salvage(CLI::App& app, Context& context);
void add_backup(CLI::App& app, Context& context);
void add_workflow(CLI::App& app, Context& context);
void add_key(CLI::App& app, Context& context);

}  // namespace once::tool
