// Counts of records by tenant and operation, as `stats` and `top` show them.
#pragma once

#include <string>
#include <vector>

#include "json.h"
#include "once/error.h"
#include "once/report.h"

namespace once::tool {

// What labels are put together by.
enum class By { tenant, operation, both };

// Reads "tenant", "operation", "both". Errors: invalid_argument.
[[nodiscard]] Result<By> parse_by(std::string_view text);

// Labels with the same name put together, in the order of names, `others` last. Parts that do not
// count are empty.
[[nodiscard]] std::vector<LabelStats> grouped(const std::vector<LabelStats>& labels, By by);

// "tenant/operation", or the one part, each as it stands in a written key; "-" for an empty part,
// "others".
[[nodiscard]] std::string name_of(const LabelStats& label, By by);

// For programs that read lines: the figures in the order of to_json(), up to the bytes, and the
// name, with tabs between them.
[[nodiscard]] std::string plain_line(const LabelStats& label, By by);

[[nodiscard]] Json to_json(const LabelStats& label, By by);

// Rounded to three places.
[[nodiscard]] double hit_rate(const Tally& tally);

// "812 B", "4.2 KiB", "1.0 GiB".
[[nodiscard]] std::string short_bytes(std::uint64_t bytes);

}  // namespace once::tool
