// Waiting for whoever holds a key, without holding the store: by the end of a process, and, since a
// program may finish and live on, by looking now and then.
#pragma once

#include <functional>
#include <optional>

#include "once/record.h"
#include "signals.h"

namespace once::supervise {

// Waits until the process that holds `record` has ended, its lease has lapsed (or was renewed; look
// again), `finished`, or `longest` is over. `finished` is asked after a quarter of a second, and
// then less and less often, down to once a second. Where the process cannot be seen (another pid
// namespace) it returns after a tenth of a second. A number: a signal that asks us to end arrived.
[[nodiscard]] std::optional<int> wait_for_holder(const Record& record, Duration longest,
                                                 const Signals& signals,
                                                 const std::function<bool()>& finished);

}  // namespace once::supervise
