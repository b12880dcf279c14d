#include "stats_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "text.h"

namespace once::tool {
namespace {

// The average of two averages, each over so many.
Duration joined(Duration first, std::uint64_t firsts, Duration second, std::uint64_t seconds) {
  if (firsts + seconds == 0) return Duration(0);
  const double sum = static_cast<double>(first.count()) * static_cast<double>(firsts) +
                     static_cast<double>(second.count()) * static_cast<double>(seconds);
  return Duration(static_cast<std::int64_t>(sum / static_cast<double>(firsts + seconds)));
}

// Those whose time left is in the average.
std::uint64_t with_ttl(const LabelStats& label) {
  return label.average_ttl == Duration(0) ? 0 : label.completed + label.failed + label.released;
}

void add(LabelStats& to, const LabelStats& more) {
  to.average_ttl = joined(to.average_ttl, with_ttl(to), more.average_ttl, with_ttl(more));
  to.in_progress += more.in_progress;
  to.completed += more.completed;
  to.failed += more.failed;
  to.in_doubt += more.in_doubt;
  to.released += more.released;
  to.expired += more.expired;
  to.bytes += more.bytes;
  to.ever += more.ever;
}

std::string shown(const Bytes& part) {
  return part.empty() ? "-" : escape(part);
}

}  // namespace

Result<By> parse_by(std::string_view text) {
  if (text == "tenant") return By::tenant;
  if (text == "operation") return By::operation;
  if (text == "both") return By::both;
  return fail(ErrorCode::invalid_argument, "'{}' is none of tenant, operation and both", text);
}

std::vector<LabelStats> grouped(const std::vector<LabelStats>& labels, By by) {
  std::map<std::tuple<bool, Bytes, Bytes>, LabelStats> groups;
  for (const LabelStats& label : labels) {
    Bytes tenant = by == By::operation ? Bytes() : label.tenant;
    Bytes operation = by == By::tenant ? Bytes() : label.operation;
    auto [at, added] = groups.try_emplace({label.others, tenant, operation});
    if (added) {
      at->second.tenant = std::move(tenant);
      at->second.operation = std::move(operation);
      at->second.others = label.others;
    }
    add(at->second, label);
  }
  std::vector<LabelStats> list;
  list.reserve(groups.size());
  for (auto& [name, label] : groups) list.push_back(std::move(label));
  return list;
}

std::string name_of(const LabelStats& label, By by) {
  if (label.others) return "others";
  if (by == By::tenant) return shown(label.tenant);
  if (by == By::operation) return shown(label.operation);
  return fmt::format("{}/{}", shown(label.tenant), shown(label.operation));
}

std::string plain_line(const LabelStats& label, By by) {
  return fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}", label.active(), label.in_progress,
                     label.completed, label.failed, label.in_doubt, label.released, label.expired,
                     label.average_ttl.count(), label.bytes, name_of(label, by));
}

Json to_json(const LabelStats& label, By by) {
  Json json = Json::object();
  if (by != By::operation) json["tenant"] = text_json(label.tenant);
  if (by != By::tenant) json["operation"] = text_json(label.operation);
  json["others"] = label.others;
  json["active"] = label.active();
  json["in_progress"] = label.in_progress;
  json["completed"] = label.completed;
  json["failed"] = label.failed;
  json["in_doubt"] = label.in_doubt;
  json["released"] = label.released;
  json["expired"] = label.expired;
  json["average_ttl"] = label.average_ttl.count();
  json["bytes"] = label.bytes;
  json["executions"] = label.ever.executions;
  json["replays"] = label.ever.replays;
  json["duplicates_avoided"] = label.ever.duplicates_avoided();
  json["hit_rate"] = hit_rate(label.ever);
  return json;
}

double hit_rate(const Tally& tally) {
  return std::round(tally.hit_rate() * 1000) / 1000;
}

std::string short_bytes(std::uint64_t bytes) {
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1023.95 && unit + 1 < units.size()) {
    amount /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", amount, units[unit]);
}

}  // namespace once::tool
