#include "top_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "duration.h"
#include "screen.h"
#include "text.h"

namespace once::tool {
namespace {

constexpr std::array sorts{Sort::name,   Sort::active,   Sort::in_progress, Sort::done,
                           Sort::failed, Sort::in_doubt, Sort::bytes};
constexpr std::array shown{What::reserved, What::taken_over, What::completed, What::failed,
                           What::released, What::in_doubt,   What::resolved,  What::removed};

std::uint64_t of(const Happened& happened, What what) {
  return happened[static_cast<std::size_t>(what)];
}

// A line of the table.
struct Entry {
  LabelStats stats{};
  Happened happened{};
};

double per_second(std::uint64_t count, const Sample& sample) {
  if (!sample.elapsed || sample.elapsed->count() <= 0) return 0;
  return static_cast<double>(count) * 1000 / static_cast<double>(sample.elapsed->count());
}

std::string rate(std::uint64_t count, const Sample& sample) {
  return sample.elapsed ? fmt::format("{:.1f}", per_second(count, sample)) : "-";
}

std::vector<Entry> entries_of(const Sample& sample, By by) {
  std::vector<Entry> entries;
  for (LabelStats& label : grouped(sample.stats.labels, by)) {
    entries.push_back({.stats = std::move(label), .happened = {}});
  }
  for (const auto& [name, happened] : sample.by_label) {
    const Bytes& tenant = by == By::operation ? Bytes() : name.first;
    const Bytes& operation = by == By::tenant ? Bytes() : name.second;
    const auto is_it = [&](const Entry& entry) {
      return !entry.stats.others && entry.stats.tenant == tenant &&
             entry.stats.operation == operation;
    };
    auto at = std::ranges::find_if(entries, is_it);
    if (at == entries.end()) {
      at = std::ranges::find_if(entries, [](const Entry& entry) { return entry.stats.others; });
    }
    if (at == entries.end()) {
      // All its records are gone, but something happened to them.
      entries.push_back({.stats = {.tenant = tenant, .operation = operation}, .happened = {}});
      at = entries.end() - 1;
    }
    for (std::size_t i = 0; i < happened.size(); ++i) at->happened[i] += happened[i];
  }
  return entries;
}

std::uint64_t measure(const Entry& entry, Sort sort) {
  switch (sort) {
    case Sort::name:
      return 0;
    case Sort::active:
      return entry.stats.active();
    case Sort::in_progress:
      return entry.stats.in_progress;
    case Sort::done:
      return of(entry.happened, What::completed);
    case Sort::failed:
      return entry.stats.failed;
    case Sort::in_doubt:
      return entry.stats.in_doubt;
    case Sort::bytes:
      return entry.stats.bytes;
  }
  return 0;
}

std::vector<Entry> sorted_entries(const Sample& sample, const TopView& view) {
  std::vector<Entry> entries = entries_of(sample, view.by);
  std::ranges::sort(entries, [&](const Entry& one, const Entry& other) {
    const auto more = measure(one, view.sort) <=> measure(other, view.sort);
    return more != 0 ? more > 0 : name_of(one.stats, view.by) < name_of(other.stats, view.by);
  });
  if (view.reverse) std::ranges::reverse(entries);
  return entries;
}

std::vector<std::string> head_lines(const Sample& sample, const TopView& view) {
  const Stats& stats = sample.stats;
  std::string happened = "per second ";
  for (const What what : shown) {
    const std::uint64_t count = of(sample.happened, what);
    const bool usual = what == What::reserved || what == What::completed || what == What::failed;
    if (usual || count != 0) {
      happened += fmt::format("  {} {}", rate(count, sample), to_string(what));
    }
  }
  return {
      fmt::format("once top  {}  {}  opening {}", printable(view.store),
                  format_time(sample.taken_at), stats.opening),
      fmt::format("records      {} active, {} in progress, {} in doubt, {} expired; ttl {}",
                  stats.active(), stats.in_progress, stats.in_doubt, stats.expired,
                  short_duration(stats.average_ttl)),
      fmt::format(
          "events       {} pending (oldest {}{}), {} delivered, {} dead", stats.events_pending,
          short_duration(stats.oldest_pending),
          stats.events_waiting == 0 ? "" : fmt::format(", {} to be retried", stats.events_waiting),
          stats.events_delivered, stats.events_dead),
      fmt::format("bytes        {} of records, {} on disk, {} of these free",
                  short_bytes(stats.bytes), short_bytes(stats.bytes_on_disk),
                  short_bytes(stats.bytes_free)),
      happened,
      ""};
}

std::string entry_line(const Entry& entry, const Sample& sample, By by) {
  const LabelStats& stats = entry.stats;
  return fmt::format("{:>9} {:>11} {:>8} {:>9} {:>9} {:>8} {:>9} {:>10}  {}", stats.active(),
                     stats.in_progress, rate(of(entry.happened, What::completed), sample),
                     stats.completed, stats.failed, stats.in_doubt, stats.expired,
                     short_bytes(stats.bytes), name_of(stats, by));
}

std::string table_head(By by) {
  return fmt::format("{:>9} {:>11} {:>8} {:>9} {:>9} {:>8} {:>9} {:>10}  {}", "active",
                     "in progress", "done/s", "completed", "failed", "in doubt", "expired", "bytes",
                     by == By::tenant      ? "tenant"
                     : by == By::operation ? "operation"
                                           : "tenant/operation");
}

Json rates_json(const Happened& happened, const Sample& sample) {
  if (!sample.elapsed) return nullptr;
  Json json = Json::object();
  for (const What what : shown) {
    json[std::string(to_string(what))] = per_second(of(happened, what), sample);
  }
  return json;
}

}  // namespace

std::string_view to_string(Sort sort) {
  switch (sort) {
    case Sort::name:
      return "name";
    case Sort::active:
      return "active";
    case Sort::in_progress:
      return "in progress";
    case Sort::done:
      return "done/s";
    case Sort::failed:
      return "failed";
    case Sort::in_doubt:
      return "in doubt";
    case Sort::bytes:
      return "bytes";
  }
  return "";
}

Sort next(Sort sort) {
  const auto at = std::ranges::find(sorts, sort);
  return at == sorts.end() || at + 1 == sorts.end() ? sorts.front() : *(at + 1);
}

std::vector<std::string> top_lines(const Output& out, const Sample& sample, const TopView& view,
                                   std::size_t width) {
  const auto fit = [&](const std::string& line) { return width == 0 ? line : cut(line, width); };
  std::vector<std::string> lines;
  for (const std::string& line : head_lines(sample, view)) lines.push_back(fit(line));
  if (sample.stats.in_doubt != 0) lines[1] = out.paint(Colour::yellow, lines[1]);
  if (sample.stats.events_dead != 0) lines[2] = out.paint(Colour::yellow, lines[2]);
  lines[0] = out.paint(Colour::bold, lines[0]);
  lines.push_back(out.paint(Colour::bold, fit(table_head(view.by))));
  for (const Entry& entry : sorted_entries(sample, view)) {
    lines.push_back(fit(entry_line(entry, sample, view.by)));
  }
  return lines;
}

Json to_json(const Sample& sample, const TopView& view) {
  const Stats& stats = sample.stats;
  Json json = Json::object();
  json["time"] = sample.taken_at.time_since_epoch().count();
  json["elapsed"] = sample.elapsed ? Json(sample.elapsed->count()) : Json(nullptr);
  json["active"] = stats.active();
  json["in_progress"] = stats.in_progress;
  json["completed"] = stats.completed;
  json["failed"] = stats.failed;
  json["in_doubt"] = stats.in_doubt;
  json["released"] = stats.released;
  json["expired"] = stats.expired;
  json["average_ttl"] = stats.average_ttl.count();
  json["events_pending"] = stats.events_pending;
  json["events_waiting"] = stats.events_waiting;
  json["events_delivered"] = stats.events_delivered;
  json["events_dead"] = stats.events_dead;
  json["oldest_pending"] = stats.oldest_pending.count();
  json["bytes"] = stats.bytes;
  json["bytes_on_disk"] = stats.bytes_on_disk;
  json["bytes_free"] = stats.bytes_free;
  json["opening"] = stats.opening;
  json["per_second"] = rates_json(sample.happened, sample);
  json["by"] = Json::array();
  for (const Entry& entry : sorted_entries(sample, view)) {
    Json line = to_json(entry.stats, view.by);
    line["per_second"] = rates_json(entry.happened, sample);
    json["by"].push_back(std::move(line));
  }
  return json;
}

std::vector<std::string> plain_lines(const Sample& sample, const TopView& view) {
  std::vector<std::string> lines;
  const Json json = to_json(sample, view);
  for (const auto& [name, value] : json.items()) {
    if (value.is_number()) lines.push_back(fmt::format("{}\t{}", name, value.dump()));
    if (name != "per_second" || !value.is_object()) continue;
    for (const auto& [what, rate] : value.items()) {
      lines.push_back(fmt::format("{}_per_second\t{}", what, rate.dump()));
    }
  }
  for (const Entry& entry : sorted_entries(sample, view)) {
    lines.push_back(plain_line(entry.stats, view.by));
  }
  return lines;
}

}  // namespace once::tool
