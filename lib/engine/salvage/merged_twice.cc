#include "engine/salvage/merged_twice.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "container/digest.h"

namespace once::engine {
namespace {

using Digests = std::vector<std::uint64_t>;

void sort_out(Digests& digests) {
  std::ranges::sort(digests);
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
}

bool meet(const Digests& a, const Digests& b) {
  for (auto in_a = a.begin(), in_b = b.begin(); in_a != a.end() && in_b != b.end();) {
    if (*in_a == *in_b) return true;
    ++(*in_a < *in_b ? in_a : in_b);
  }
  return false;
}

// How many of `digests` none of the tables has that `counts` says yes to.
template <class Counts>
std::uint64_t missing_from(const std::vector<FoundTable>& tables, Digests digests,
                           Digests TableContents::* part, Counts counts) {
  for (const FoundTable& table : tables) {
    if (digests.empty() || !counts(table)) continue;
    Digests rest;
    std::ranges::set_difference(digests, table.contents.*part, std::back_inserter(rest));
    digests = std::move(rest);
  }
  return digests.size();
}

}  // namespace

TableContents contents_of(const DamagedTable& table) {
  TableContents contents;
  for (const TableBlock& block : table.blocks()) {
    const auto rows = table.rows(block);
    if (!rows) continue;
    (void)visit_rows(*rows, [&](const TableRow& row) {
      const std::uint64_t key = container::digest_of(row.key, 0);
      contents.keys.push_back(key);
      contents.rows.push_back(container::digest_of(row.value, key + (row.removed ? 1 : 0)));
      if (row.sequence == 0) contents.oldest.push_back(key);
    });
  }
  sort_out(contents.keys);
  sort_out(contents.rows);
  sort_out(contents.oldest);
  return contents;
}

std::vector<LeftOut> leave_out_merged_twice(std::vector<FoundTable>& tables) {
  std::ranges::sort(tables, {}, [](const FoundTable& table) { return table.listed.number; });
  std::vector<LeftOut> left_out;
  // An older and a newer one that hold the same.
  const auto find_pair = [&]() -> std::optional<std::pair<std::size_t, std::size_t>> {
    for (std::size_t newer = 0; newer < tables.size(); ++newer) {
      for (std::size_t older = 0; older < newer; ++older) {
        if (tables[older].listed.family == tables[newer].listed.family &&
            meet(tables[older].contents.oldest, tables[newer].contents.oldest)) {
          return std::pair(older, newer);
        }
      }
    }
    return std::nullopt;
  };
  while (const auto pair = find_pair()) {
    const ListedTable newer = tables[pair->second].listed;
    const bool again = missing_from(tables, tables[pair->second].contents.rows,
                                    &TableContents::rows, [&](const FoundTable& table) {
                                      return table.listed.family == newer.family &&
                                             table.listed.number < newer.number;
                                    }) == 0;
    const std::size_t goes = again ? pair->second : pair->first;
    const FoundTable gone = std::move(tables[goes]);
    tables.erase(tables.begin() + static_cast<std::ptrdiff_t>(goes));
    left_out.push_back(
        {.number = gone.listed.number,
         .missing_keys = missing_from(
             tables, gone.contents.keys, &TableContents::keys,
             [&](const FoundTable& table) { return table.listed.family == gone.listed.family; })});
  }
  return left_out;
}

}  // namespace once::engine
