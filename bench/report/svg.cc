// The chart: a panel for each workload, a bar for each rival, as long as its operations a second
// are to those of the fastest one there.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/results.h"
#include "report/text.h"

namespace once::bench {
namespace {

constexpr int columns = 2;
constexpr int panel_width = 520;
constexpr int line_height = 19;
constexpr int head_height = 46;
constexpr int name_width = 112;
constexpr int number_width = 78;
constexpr int bar_width = panel_width - name_width - number_width - 30;
constexpr int margin = 20;

struct Panel {
  std::string title;
  std::string what;
  std::vector<const Row*> rows;
  [[nodiscard]] int height() const {
    return head_height + line_height * static_cast<int>(rows.size()) + 14;
  }
};

std::vector<Panel> panels_of(const Results& results) {
  std::vector<Panel> panels;
  for (const Row& row : results.rows) {
    // B12 is told in megabytes, and the floor stands for nothing that one would choose.
    if (row.id == "F" || row.id == "B12" || row.samples.empty()) continue;
    const std::string title = row.id + (row.variant.empty() ? "" : ", ") + row.variant;
    if (panels.empty() || panels.back().title != title) panels.push_back({title, row.what, {}});
    panels.back().rows.push_back(&row);
  }
  // A bar alone says nothing.
  std::erase_if(panels, [](const Panel& panel) { return panel.rows.size() < 2; });
  return panels;
}

std::string panel_svg(const Panel& panel, int x, int y) {
  double most = 0;
  for (const Row* row : panel.rows) most = std::max(most, rate(*row));
  std::string svg = fmt::format(
      "<g transform=\"translate({},{})\">\n<text class=\"title\" y=\"16\">{}</text>\n"
      "<text class=\"what\" y=\"33\">{}</text>\n",
      x, y, escape_markup(panel.title), escape_markup(panel.what));
  int at = head_height;
  for (const Row* row : panel.rows) {
    const double value = rate(*row);
    const double length = most > 0 ? std::max(1.0, bar_width * value / most) : 1;
    svg += fmt::format(
        "<text x=\"{}\" y=\"{}\" class=\"name\">{}</text>"
        "<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\" class=\"{}\"/>"
        "<text x=\"{:.1f}\" y=\"{}\" class=\"number\">{}/s</text>\n",
        name_width - 8, at + 12, escape_markup(row->rival), name_width, at + 1, length,
        line_height - 5, row->rival.starts_with("once") ? "once" : "rival", name_width + length + 6,
        at + 12, digits(value));
    at += line_height;
  }
  return svg + "</g>\n";
}

}  // namespace

std::string chart_svg(const Results& results) {
  std::string body;
  int heights[columns] = {};
  for (const Panel& panel : panels_of(results)) {
    auto* shortest = std::ranges::min_element(heights);
    const auto column = static_cast<int>(shortest - heights);
    body += panel_svg(panel, margin + column * (panel_width + margin), 60 + *shortest);
    *shortest += panel.height();
  }
  const int width = margin + columns * (panel_width + margin);
  const int height = 60 + *std::ranges::max_element(heights) + margin;
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
             "height=\"{1}\" role=\"img\" aria-label=\"Operations a second by workload\">\n",
             width, height) +
         R"(<style>
text { font: 12px system-ui, sans-serif; fill: #1f2933; }
.title { font-weight: 600; font-size: 14px; } .what { fill: #66727f; font-size: 11px; }
.name { text-anchor: end; } .number { fill: #44505c; font-size: 11px; }
.once { fill: #0b7285; } .rival { fill: #adb5bd; } .paper { fill: #ffffff; }
</style>
)" + fmt::format("<rect class=\"paper\" width=\"{}\" height=\"{}\"/>\n", width, height) +
         fmt::format(
             "<text class=\"title\" x=\"{0}\" y=\"24\">Operations a second</text>\n"
             "<text class=\"what\" x=\"{0}\" y=\"42\">{1}; {2}; {3}</text>\n",
             margin, escape_markup(results.machine), escape_markup(results.disk),
             escape_markup(results.date)) +
         body + "</svg>\n";
}

}  // namespace once::bench
