// Where an outcome comes from, for what tells it in JSON.
#pragma once

#include "once/clock.h"
#include "once/record.h"
#include "once/reservation.h"

namespace once::tool {

// What `record` tells of the last execution of its key, as a replay at `now`. One that is not
// finished expires never, and has no time to live.
[[nodiscard]] Provenance provenance_of(const Record& record, Time now);

}  // namespace once::tool
