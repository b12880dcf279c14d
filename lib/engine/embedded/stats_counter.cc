#include "engine/embedded/stats_counter.h"

#include <algorithm>
#include <tuple>
#include <variant>

namespace once::engine {
namespace {

template <class Counts>
void count_status(Counts& counts, Status status, bool expired) {
  if (expired) {
    ++counts.expired;
  } else if (status == Status::in_progress) {
    ++counts.in_progress;
  } else if (status == Status::completed) {
    ++counts.completed;
  } else if (status == Status::failed) {
    ++counts.failed;
  } else if (status == Status::in_doubt) {
    ++counts.in_doubt;
  } else {
    ++counts.released;
  }
}

}  // namespace

Duration StatsCounter::TimeLeft::average() const {
  if (count == 0) return Duration(0);
  return Duration(static_cast<std::int64_t>(sum / static_cast<double>(count)));
}

StatsCounter::Label& StatsCounter::label_of(const Key& key) {
  const auto is_of = [&](const Label& label) {
    return label.stats.tenant == key.tenant && label.stats.operation == key.operation;
  };
  if (last_ < labels_.size() && is_of(labels_[last_])) return labels_[last_];
  const auto at = std::ranges::lower_bound(
      labels_, std::tie(key.tenant, key.operation), {},
      [](const Label& label) { return std::tie(label.stats.tenant, label.stats.operation); });
  if (at != labels_.end() && is_of(*at)) {
    last_ = static_cast<std::size_t>(at - labels_.begin());
    return *at;
  }
  if (labels_.size() >= max_label_stats) return others_;
  last_ = static_cast<std::size_t>(at - labels_.begin());
  return *labels_.insert(at,
                         {.stats = {.tenant = key.tenant, .operation = key.operation}, .left = {}});
}

void StatsCounter::add(const KeyRow& row, bool expired) {
  const Record& record = row.record;
  Label& label = label_of(row.key);
  count_status(stats_, record.status, expired);
  count_status(label.stats, record.status, expired);
  if (expired || !is_finished(record.status) || record.expires_at == Time::max()) return;
  for (TimeLeft* left : {&left_, &label.left}) {
    left->sum += static_cast<double>((record.expires_at - now_).count());
    ++left->count;
  }
}

void StatsCounter::add(const Event& event, bool expired) {
  if (expired) return;
  if (event.status == EventStatus::pending) {
    ++stats_.events_pending;
    if (event.next_attempt_at > now_) ++stats_.events_waiting;
    oldest_pending_ = std::min(oldest_pending_, event.created_at);
  }
  if (event.status == EventStatus::delivered) ++stats_.events_delivered;
  if (event.status == EventStatus::dead) ++stats_.events_dead;
}

void StatsCounter::add(const Row& row, bool expired, std::size_t bytes) {
  const auto takes = [&](const Key& key) {
    stats_.bytes += bytes;
    label_of(key).stats.bytes += bytes;
  };
  if (const auto* key = std::get_if<KeyRow>(&row)) {
    add(*key, expired);
    takes(key->key);
  } else if (const auto* result = std::get_if<ResultRow>(&row)) {
    takes(result->key);
  } else if (const auto* checkpoint = std::get_if<CheckpointRow>(&row)) {
    ++stats_.checkpoints;
    takes(checkpoint->key);
  } else if (const auto* event = std::get_if<Event>(&row)) {
    add(*event, expired);
  } else if (std::holds_alternative<HistoryEntry>(row)) {
    stats_.history += expired ? 0 : 1;
  } else if (std::holds_alternative<DataRow>(row)) {
    ++stats_.data;
  }
}

Stats StatsCounter::take() {
  if (others_.stats.total() != 0 || others_.stats.bytes != 0) labels_.push_back(others_);
  for (Label& label : labels_) {
    label.stats.average_ttl = label.left.average();
    stats_.labels.push_back(std::move(label.stats));
  }
  stats_.average_ttl = left_.average();
  if (oldest_pending_ < now_) stats_.oldest_pending = now_ - oldest_pending_;
  return std::move(stats_);
}

}  // namespace once::engine
