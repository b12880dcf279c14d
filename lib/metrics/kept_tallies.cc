#include "metrics/kept_tallies.h"

#include <utility>

namespace once::metrics {

Result<void> KeptTallies::load() {
  if (before_) return {};
  auto kept = load_();
  if (!kept) return std::unexpected(std::move(kept.error()));
  before_.emplace();
  for (LabelTally& label : *kept) {
    Name name(label.others, std::move(label.tenant), std::move(label.operation));
    if (!label.others) own_.insert(name);
    (*before_)[std::move(name)] = label.tally;
  }
  return {};
}

KeptTallies::Tallies KeptTallies::counted() {
  Tallies counted;
  const auto add = [&](Name name, const Tally& tally) ONCE_REQUIRES(mutex_) {
    if (tally == Tally{}) return;
    const bool fits = own_.contains(name) || own_.size() < max_figure_labels;
    if (std::get<0>(name) || !fits) {
      name = {true, "", ""};
    } else {
      own_.insert(name);
    }
    counted[std::move(name)] += tally;
  };
  if (meters_.detailed()) {
    for (const LabelFigures& label : meters_.labels()) {
      add({label.others, label.tenant, label.operation}, label.counts);
    }
  } else {
    add({true, "", ""}, meters_.total());
  }
  return counted;
}

std::vector<LabelTally> KeptTallies::list(const Tallies& tallies) {
  std::vector<LabelTally> list;
  list.reserve(tallies.size());
  for (const auto& [name, tally] : tallies) {
    const auto& [others, tenant, operation] = name;
    list.push_back({.tenant = tenant, .operation = operation, .others = others, .tally = tally});
  }
  return list;
}

Result<std::vector<LabelTally>> KeptTallies::all() {
  MutexLock lock(mutex_);
  if (auto loaded = load(); !loaded) return std::unexpected(std::move(loaded.error()));
  Tallies sums = *before_;
  for (const auto& [name, tally] : counted()) sums[name] += tally;
  return list(sums);
}

Result<std::vector<LabelTally>> KeptTallies::changed() {
  MutexLock lock(mutex_);
  if (auto loaded = load(); !loaded) return std::unexpected(std::move(loaded.error()));
  Tallies sums = counted();
  for (auto& [name, tally] : sums) {
    const auto before = before_->find(name);
    if (before != before_->end()) tally += before->second;
  }
  return list(sums);
}

}  // namespace once::metrics
