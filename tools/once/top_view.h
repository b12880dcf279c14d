// What `once top` saw of a store at one moment, and how it is shown.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "json.h"
#include "once/history.h"
#include "once/report.h"
#include "output.h"
#include "stats_view.h"

namespace once::tool {

// How often each thing happened, by What.
using Happened = std::array<std::uint64_t, 9>;

struct Sample {
  Time taken_at{};
  // Since the sample before, whose history ended where this one's begins. nullopt: there is none.
  std::optional<Duration> elapsed{};
  Stats stats{};
  Happened happened{};
  std::map<std::pair<Bytes, Bytes>, Happened> by_label{};  // tenant and operation
};

enum class Sort { name, active, in_progress, done, failed, in_doubt, bytes };
[[nodiscard]] std::string_view to_string(Sort sort);
[[nodiscard]] Sort next(Sort sort);

struct TopView {
  std::string store;
  By by = By::both;
  Sort sort = Sort::active;
  bool reverse = false;  // else the greatest first, and names from the first to the last
};

// Lines for people, none longer than `width` (0: as long as they are).
[[nodiscard]] std::vector<std::string> top_lines(const Output& out, const Sample& sample,
                                                 const TopView& view, std::size_t width);

// The same for programs that read lines: figures of the store as `NAME TAB VALUE`, and then a line
// for each label as plain_line() has it.
[[nodiscard]] std::vector<std::string> plain_lines(const Sample& sample, const TopView& view);

[[nodiscard]] Json to_json(const Sample& sample, const TopView& view);

}  // namespace once::tool
