#include "rows.h"

#include <fmt/format.h>

#include <algorithm>

namespace once::crash {
namespace {

template <class Map, class Name>
std::string difference(std::string_view table, const Map& one, const Map& other, Name&& name) {
  if (one == other) return {};
  auto a = one.begin();
  auto b = other.begin();
  while (a != one.end() && b != other.end() && *a == *b) {
    ++a;
    ++b;
  }
  return fmt::format("table {}: {} rows against {}, first at {}", table, one.size(), other.size(),
                     a != one.end()     ? name(*a)
                     : b != other.end() ? name(*b)
                                        : "the end");
}

}  // namespace

Result<Rows> read_rows(Store& store) {
  Rows rows;
  auto visited = store.rows(Table::all, [&](const Row& row) {
    if (const auto* key = std::get_if<KeyRow>(&row)) {
      if (key->key.operation != "brief") rows.keys.emplace(key->key, key->record);
    } else if (const auto* result = std::get_if<ResultRow>(&row)) {
      if (result->key.operation != "brief") rows.results.emplace(result->key, *result);
    } else if (const auto* saved = std::get_if<CheckpointRow>(&row)) {
      rows.checkpoints[saved->key].emplace(saved->checkpoint.name, saved->checkpoint);
    } else if (const auto* event = std::get_if<Event>(&row)) {
      rows.events.push_back(*event);
    } else if (const auto* entry = std::get_if<HistoryEntry>(&row)) {
      rows.history.push_back(*entry);
    } else if (const auto* data = std::get_if<DataRow>(&row)) {
      rows.data.emplace(data->key, data->value);
    }
    return true;
  });
  if (!visited) return std::unexpected(visited.error());
  return rows;
}

std::string first_difference(const Rows& one, const Rows& other) {
  const auto by_key = [](const auto& row) { return row.first.to_string(); };
  const auto by_sequence = [](const auto& row) { return std::to_string(row.sequence); };
  const std::string differences[] = {
      difference("keys", one.keys, other.keys, by_key),
      difference("results", one.results, other.results, by_key),
      difference("checkpoints", one.checkpoints, other.checkpoints, by_key),
      difference("outbox", one.events, other.events, by_sequence),
      difference("history", one.history, other.history, by_sequence),
      difference("data", one.data, other.data, [](const auto& row) { return row.first; })};
  const auto* found =
      std::ranges::find_if(differences, [](const std::string& text) { return !text.empty(); });
  return found == std::end(differences) ? std::string() : *found;
}

}  // namespace once::crash
