// What `once run` does, apart from reading its command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "context.h"
#include "once/key.h"
#include "once/options.h"
#include "supervise/follow.h"

namespace once::tool {

struct RunJob {
  std::string where;
  Layout layout = Options{}.layout;  // if the store is missing
  Key key;
  std::vector<std::string> command;
  ReserveOptions options;
  bool reject = false;                    // an outcome that is there already is an error
  bool refresh = false;                   // one that is there already is replaced
  std::optional<Duration> keep_failures;  // none: a command that fails gives its key back
  supervise::TimeLimit limit;             // over it a command is ended, and has failed
};

// Runs the command, or hands out again what it said when it ran. The exit code is the command's.
void run_once(const RunJob& job, Context& context);

}  // namespace once::tool
