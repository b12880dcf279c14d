// Waiting for whoever holds a key, without holding the store: by the end of a process, and, since a
// program may finish and live on, by looking now and then.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "once/holder.h"
#include "once/record.h"
#include "signals.h"

namespace once::supervise {

// The system's processes, but that a guardian which was killed counts as running until the front
// has killed what it left behind. It does so within a moment, and keeps the guardian as a zombie
// until then; without this, somebody could take the key over in that moment while the old command
// runs.
[[nodiscard]] std::shared_ptr<const Processes> guarded_processes();

// Waits until the process that holds `record` has ended, its lease has lapsed (or was renewed; look
// again), `finished`, or `longest` is over. `finished` is asked after a quarter of a second, and
// then less and less often, down to once a second. Where the process cannot be seen (another pid
// namespace) it returns after a tenth of a second. A number: a signal that asks us to end arrived.
[[nodiscard]] std::optional<int> wait_for_holder(const Record& record, Duration longest,
                                                 const Signals& signals,
                                                 const std::function<bool()>& finished);

}  // namespace once::supervise
