// In what two rows differ, as the reference model compares them; see store_model.h.
#pragma once

#include <optional>
#include <string>

#include "support/store_model.h"

namespace once::testing {

[[nodiscard]] std::string text_of(const std::optional<Outcome>& outcome);

// The first field in which they differ; empty: none. Numbers that are 0 in `should` are not known.
[[nodiscard]] std::string difference_of(const Record& should, const Record& is);
[[nodiscard]] std::string difference_of(const Checkpoint& should, const Checkpoint& is);
[[nodiscard]] std::string difference_of(const HistoryEntry& should, const HistoryEntry& is);
[[nodiscard]] std::string difference_of(const Event& should, const Event& is);

}  // namespace once::testing
