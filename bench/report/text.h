// Numbers and text as the table, the chart and the page show them.
#pragma once

#include <string>
#include <string_view>

namespace once::bench {

// Three digits that mean something: "0.45", "12.3", "4500", "1.25M".
[[nodiscard]] std::string digits(double value);
// For XML and HTML.
[[nodiscard]] std::string escape_markup(std::string_view text);

}  // namespace once::bench
