// Rows as lines for people: what dump, events and log print on a terminal.
#pragma once

#include <string>

#include "once/row.h"
#include "output.h"

namespace once::tool {

// The table's name, the key, and the fields worth a look; long values are cut.
[[nodiscard]] std::string row_text(const Output& out, const Row& row);

[[nodiscard]] std::string event_text(const Output& out, const Event& event);
[[nodiscard]] std::string history_text(const Output& out, const HistoryEntry& entry);

}  // namespace once::tool
