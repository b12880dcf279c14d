#include <fmt/format.h>

#include "report/results.h"
#include "report/text.h"

namespace once::bench {
namespace {

std::string heading(const Row& row) {
  return fmt::format("\n{}{}{}: {}\n", row.id, row.variant.empty() ? "" : ", ", row.variant,
                     row.what);
}

}  // namespace

std::string table(const Results& results) {
  std::string text = fmt::format(
      "{}\n{}\n{} rounds of {:g} s, the median of each; {} finished keys, values of 256 bytes\n"
      "F writes {} bytes, as much as a commit of Once appends\n"
      "ratio: operations of Once in the time of one of the other, over 1 when Once is faster\n",
      results.machine, results.disk, results.rounds, results.seconds, results.keys,
      results.floor_bytes);
  std::string at;
  for (const Row& row : results.rows) {
    if (row.samples.empty()) continue;
    if (const auto head = heading(row); head != at) {
      at = head;
      text += head;
      text += fmt::format("  {:<16}{:>10}{:>10}{:>10}{:>9}{:>10}{:>9}{:>8}{:>8}\n", "", "ops/s",
                          "p50 us", "p99 us", "syncs/op", "bytes/op", "cpu us", "MiB", "ratio");
    }
    const Row* once = results.row(row.id, row.variant, "once");
    const bool other = once != nullptr && once != &row && !once->samples.empty();
    text += fmt::format("  {:<16}{:>10}{:>10}{:>10}{:>9}{:>10}{:>9}{:>8}{:>8}\n", row.rival,
                        digits(rate(row)), digits(p50(row)), digits(p99(row)), digits(syncs(row)),
                        digits(written(row)), digits(cpu_us(row)), memory_text(row),
                        other ? digits(ratio(*once, row)) : "");
    const std::string told = figures_text(row);
    if (!told.empty()) text += fmt::format("  {:<16}{}\n", "", told);
  }

  const auto reached = bars(results);
  if (!reached.empty()) {
    text += fmt::format("\n{:<26}{:<42}{:>10}{:>10}\n", "bar", "", "wanted", "measured");
    for (const Bar& bar : reached) {
      const bool most = bar.most > 0;
      text += fmt::format("{:<26}{:<42}{:>10}{:>10}  {}\n",
                          bar.id + (bar.variant.empty() ? "" : ", ") + bar.variant, bar.of,
                          (most ? "<= " : ">= ") + digits(most ? bar.most : bar.least),
                          digits(bar.measured), bar.reached() ? "reached" : "MISSED");
    }
  }
  if (!results.left_out.empty()) text += "\nleft out:\n";
  for (const LeftOut& out : results.left_out) {
    text += fmt::format("  {}{}{}: {}\n", out.rival, out.workload.empty() ? "" : " in ",
                        out.workload, out.why);
  }
  return text;
}

}  // namespace once::bench
