// Going on with runs that were broken off, whose timer is due, or that were given back.
#pragma once

#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "once/workflow.h"

namespace once::workflow {

struct Resumption {
  std::multimap<Time, Key> timers{};  // that are not due yet, and whose runs sleep
  std::exception_ptr thrown{};        // by the first run whose work threw
  // Of the first run, or record, that cannot be read.
  std::optional<Error> unreadable{};
  bool untold = false;  // no visitor heard of one such
};

// Errors: invalid_argument.
[[nodiscard]] Result<void> check_given_back(std::optional<Duration> given_back);

// As Workflow::resume_all(), but hands an exception out.
[[nodiscard]] Result<Resumption> resume_all(
    Store& store, const std::vector<Workflow>& workflows,
    const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit,
    const RunOptions& options, std::optional<Duration> given_back);

// The same for the runs `keys` only, without looking for others.
[[nodiscard]] Result<Resumption> resume_these(
    Store& store, const std::vector<Workflow>& workflows, const std::vector<Key>& keys,
    const std::function<bool(const Key&, const Result<WorkflowRun>&)>& visit,
    const RunOptions& options);

}  // namespace once::workflow
