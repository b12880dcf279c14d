// What `once lock` does, apart from reading its command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "context.h"
#include "once/clock.h"
#include "once/lock.h"
#include "once/options.h"

namespace once::tool {

struct LockJob {
  std::string where;
  Layout layout = Options{}.layout;  // if the store is missing
  std::string name;
  std::vector<std::string> command;
  Duration lease{};
  Duration wait{};
};

// Runs the command while holding the lock. The exit code is the command's.
void run_locked(const LockJob& job, Context& context);

}  // namespace once::tool
