// The last line on stderr of `run` and `lock` with --json: how it ended. Standard output belongs to
// the command.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "json.h"
#include "once/outcome.h"
#include "once/reservation.h"

namespace once::tool {

struct End {
  Json key = nullptr;  // null: not known
  std::string status{};
  // Of the execution; none: the key was not got. Times that are not known are 0.
  std::optional<Provenance> provenance{};
  std::optional<OutcomeKind> kind{};  // run: what came of the command
  int exit_code = 0;
};

[[nodiscard]] Json run_end_json(const End& end);
[[nodiscard]] Json lock_end_json(const End& end);

// Tells that nothing was begun because the command line is at fault. `key`: null when not known.
void report_not_begun(bool is_run, const Json& key, std::string_view status, int exit_code);

}  // namespace once::tool
