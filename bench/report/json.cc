#include <nlohmann/json.hpp>

#include "report/results.h"

namespace once::bench {

std::string json(const Results& results) {
  using Json = nlohmann::json;
  Json rows = Json::array();
  for (const Row& row : results.rows) {
    if (row.samples.empty()) continue;
    Json ratios = Json::object();
    for (const Row& other : results.rows) {
      if (&other != &row && other.id == row.id && other.variant == row.variant &&
          !other.samples.empty()) {
        ratios[other.rival] = ratio(row, other);
      }
    }
    Json rounds = Json::array();
    for (const Sample& sample : row.samples) rounds.push_back(sample.per_second);
    Json figures = Json::object();
    for (const auto& [name, value] : row.samples.front().figures) {
      figures[name] = figure(row, name).value_or(value);
    }
    rows.push_back({{"workload", row.id},
                    {"variant", row.variant},
                    {"what", row.what},
                    {"rival", row.rival},
                    {"ops_per_second", rate(row)},
                    {"p50_us", p50(row)},
                    {"p99_us", p99(row)},
                    {"syncs_per_op", syncs(row)},
                    {"written_bytes_per_op", written(row)},
                    {"cpu_us_per_op", cpu_us(row)},
                    {"memory_mib", memory_mib(row)},
                    {"ratio_to", ratios},
                    {"figures", figures},
                    {"rounds_ops_per_second", rounds}});
  }
  Json reached = Json::array();
  for (const Bar& bar : bars(results)) {
    reached.push_back({{"workload", bar.id},
                       {"variant", bar.variant},
                       {"of", bar.of},
                       {bar.most > 0 ? "most" : "least", bar.most > 0 ? bar.most : bar.least},
                       {"measured", bar.measured},
                       {"reached", bar.reached()}});
  }
  Json out = Json::array();
  for (const LeftOut& left : results.left_out) {
    out.push_back({{"rival", left.rival}, {"workload", left.workload}, {"why", left.why}});
  }
  return Json{{"machine", results.machine},
              {"disk", results.disk},
              {"date", results.date},
              {"rounds", results.rounds},
              {"seconds", results.seconds},
              {"keys", results.keys},
              {"floor_bytes", results.floor_bytes},
              {"results", rows},
              {"bars", reached},
              {"left_out", out}}
             .dump(1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace once::bench
