// The page: bars, chart and all figures in one file that needs no other.
#include <fmt/format.h>

#include "report/results.h"
#include "report/text.h"

namespace once::bench {
namespace {

constexpr const char* head = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Once, side by side</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff; max-width: 1120px;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .2rem; } h3 span { font-weight: 400; color: #66727f; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .6rem; border-bottom: 1px solid #e4e7eb; }
th { font-weight: 500; color: #66727f; } th:first-child, td:first-child, .left { text-align: left; }
tr.once td { font-weight: 600; color: #0b7285; } .note { color: #66727f; }
.reached { color: #2b8a3e; } .missed { color: #c92a2a; font-weight: 600; }
.scroll { overflow-x: auto; }
</style>
</head>
<body>
)";

std::string bars_html(const Results& results) {
  const auto all = bars(results);
  if (all.empty()) return {};
  std::string html =
      "<h2>What was to be reached</h2>\n<div class=\"scroll\"><table>\n<tr><th>workload</th>"
      "<th class=\"left\">what</th><th>wanted</th><th>measured</th><th></th></tr>\n";
  for (const Bar& bar : all) {
    const bool most = bar.most > 0;
    html += fmt::format(
        "<tr><td>{}{}{}</td><td class=\"left\">{}</td><td>{} {}</td><td>{}</td>"
        "<td class=\"{}\">{}</td></tr>\n",
        bar.id, bar.variant.empty() ? "" : ", ", escape_markup(bar.variant), escape_markup(bar.of),
        most ? "at most" : "at least", digits(most ? bar.most : bar.least), digits(bar.measured),
        bar.reached() ? "reached" : "missed", bar.reached() ? "reached" : "missed");
  }
  return html + "</table></div>\n";
}

std::string row_html(const Results& results, const Row& row) {
  const Row* once = results.row(row.id, row.variant, "once");
  const bool other = once != nullptr && once != &row;
  std::string html = fmt::format(
      "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
      "<td>{}</td><td>{}</td></tr>\n",
      row.rival.starts_with("once") ? " class=\"once\"" : "", escape_markup(row.rival),
      digits(rate(row)), digits(p50(row)), digits(p99(row)), digits(syncs(row)),
      digits(written(row)), digits(cpu_us(row)), memory_text(row),
      other ? digits(ratio(*once, row)) : "");
  const std::string told = figures_text(row);
  if (!told.empty()) {
    html += fmt::format("<tr><td></td><td colspan=\"8\" class=\"left note\">{}</td></tr>\n",
                        escape_markup(told));
  }
  return html;
}

std::string figures_html(const Results& results) {
  std::string html = "<h2>All figures</h2>\n";
  std::string at;
  for (const Row& row : results.rows) {
    const std::string title = row.id + (row.variant.empty() ? "" : ", ") + row.variant;
    if (title != at) {
      if (!at.empty()) html += "</table></div>\n";
      at = title;
      html += fmt::format(
          "<h3>{} <span>{}</span></h3>\n<div class=\"scroll\"><table>\n<tr><th></th><th>ops/s</th>"
          "<th>p50 us</th><th>p99 us</th><th>syncs/op</th><th>bytes/op</th><th>cpu us/op</th>"
          "<th>MiB</th><th>Once to it</th></tr>\n",
          escape_markup(title), escape_markup(row.what));
    }
    html += row_html(results, row);
  }
  return html + (at.empty() ? "" : "</table></div>\n");
}

}  // namespace

std::string page_html(const Results& results) {
  std::string html = head;
  html += fmt::format(
      "<h1>Once, side by side</h1>\n<p class=\"note\">{}<br>{}<br>{}; {} rounds of {:g} s in turn, "
      "the median of each; {} finished keys; values of 256 random bytes; the floor F writes {} "
      "bytes and syncs</p>\n<p>All keep the same facts with the same durability, each in a process "
      "of its own on the same file system, and every answer was checked. What is compared, and how "
      "it is kept fair, stands in <code>bench/README.md</code>; <code>./dev bench</code> makes "
      "this page anew.</p>\n",
      escape_markup(results.machine), escape_markup(results.disk), escape_markup(results.date),
      results.rounds, results.seconds, results.keys, results.floor_bytes);
  html += bars_html(results);
  html += "<h2>Operations a second</h2>\n<div class=\"scroll\">" + chart_svg(results) + "</div>\n";
  html += figures_html(results);
  if (!results.left_out.empty()) html += "<h2>Left out</h2>\n<ul>\n";
  for (const LeftOut& out : results.left_out) {
    html += fmt::format("<li>{}{}{}: {}</li>\n", escape_markup(out.rival),
                        out.workload.empty() ? "" : " in ", escape_markup(out.workload),
                        escape_markup(out.why));
  }
  if (!results.left_out.empty()) html += "</ul>\n";
  return html + "</body>\n</html>\n";
}

}  // namespace once::bench
