// Looking at a store: finding, scanning, history, events, checkpoints, counts; and its upkeep.
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "store/limit_checks.h"
#include "store/store_impl.h"

namespace once {
namespace {

// Visits rows of one type, stopping at the first damage.
template <class T>
Result<void> visit_rows(engine::Engine& engine, const engine::RowRange& range,
                        const std::function<bool(const T&)>& visit) {
  Result<void> failed;
  auto visited = engine.rows(range, [&](const Result<Row>& row) {
    if (!row) {
      failed = std::unexpected(row.error());
      return false;
    }
    return visit(std::get<T>(*row));
  });
  return visited ? failed : visited;
}

// A prefix of a written key, taken apart.
struct WrittenPrefix {
  std::string text{};          // spelled as Key::to_string() spells
  std::vector<Bytes> parts{};  // the last one goes on; empty when it may be of any part
};

Result<WrittenPrefix> parse_prefix(std::string_view written) {
  // An escape that is not whole yet ("%4") waits for the keys themselves.
  const std::size_t percent = written.rfind('%');
  std::string_view tail;
  if (percent != std::string_view::npos && written.size() - percent < 3) {
    tail = written.substr(percent);
    written.remove_suffix(tail.size());
  }
  WrittenPrefix prefix;
  while (true) {
    const std::size_t slash = written.find('/');
    auto part = unescape(written.substr(0, slash));
    if (!part) return pass(part);
    prefix.text += escape(*part);
    prefix.parts.push_back(std::move(*part));
    if (slash == std::string_view::npos) break;
    prefix.text += '/';
    written.remove_prefix(slash + 1);
  }
  prefix.text += tail;
  // Without a slash it can be of an id alone or of a tenant, which stand far apart.
  if (prefix.parts.size() == 1 || prefix.parts.size() > 3) prefix.parts.clear();
  return prefix;
}

}  // namespace

Result<std::optional<Found>> Store::find(const Key& key) {
  auto in_use = impl_->use(key);
  if (!in_use) return pass(in_use);
  return impl_->engine->find(key);
}

Result<KeyStatus> Store::status(const Key& key) {
  auto in_use = impl_->use(key);
  if (!in_use) return pass(in_use);
  auto record = impl_->engine->record(key);
  if (!record) return pass(record);
  if (!*record) return KeyStatus::none;
  if (is_expired(**record, impl_->engine->now())) return KeyStatus::expired;
  return static_cast<KeyStatus>((*record)->status);
}
static_assert(static_cast<int>(KeyStatus::in_progress) == static_cast<int>(Status::in_progress));
static_assert(static_cast<int>(KeyStatus::completed) == static_cast<int>(Status::completed));
static_assert(static_cast<int>(KeyStatus::failed) == static_cast<int>(Status::failed));
static_assert(static_cast<int>(KeyStatus::in_doubt) == static_cast<int>(Status::in_doubt));
static_assert(static_cast<int>(KeyStatus::released) == static_cast<int>(Status::released));

Result<void> Store::scan(const ScanOptions& options,
                         const std::function<bool(const Key&, const Record&)>& visit) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  auto prefix = parse_prefix(options.prefix);
  if (!prefix) return pass(prefix);
  return visit_rows<KeyRow>(
      *impl_->engine,
      {.table = Table::keys, .key_prefix = prefix->parts, .expired = options.expired},
      [&](const KeyRow& row) {
        if (options.status && row.record.status != *options.status) return true;
        if (!row.key.to_string().starts_with(prefix->text)) return true;
        return visit(row.key, row.record);
      });
}

Result<void> Store::history(const HistoryOptions& options,
                            const std::function<bool(const HistoryEntry&)>& visit) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  return visit_rows<HistoryEntry>(*impl_->engine, {.table = Table::history, .after = options.after},
                                  [&](const HistoryEntry& entry) {
                                    return (options.key && entry.key != *options.key) ||
                                           visit(entry);
                                  });
}

Result<std::optional<Bytes>> Store::data(ByteView key) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  if (auto checked = check_data_key(key); !checked) return pass(checked);
  auto view = impl_->engine->view();
  if (!view) return pass(view);
  return (*view)->get(key);
}

namespace {

// Puts tallies to the labels that they are of, of which those without records may be new.
void add_tallies(Stats& stats, const std::vector<LabelTally>& tallies) {
  using Name = std::tuple<bool, Bytes, Bytes>;  // others last, as in Stats::labels
  std::map<Name, LabelStats> labels;
  for (LabelStats& label : stats.labels) {
    Name name(label.others, label.tenant, label.operation);
    labels.emplace(std::move(name), std::move(label));
  }
  for (const LabelTally& kept : tallies) {
    stats.ever += kept.tally;
    Name name(kept.others, kept.tenant, kept.operation);
    if (!labels.contains(name) && labels.size() >= max_label_stats) name = {true, "", ""};
    LabelStats& label = labels[name];
    std::tie(label.others, label.tenant, label.operation) = name;
    label.ever += kept.tally;
  }
  stats.labels.clear();
  for (auto& [name, label] : labels) stats.labels.push_back(std::move(label));
}

}  // namespace

Result<Stats> Store::stats() {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  auto stats = impl_->engine->stats();
  if (!stats) return stats;
  const Counts counts = impl_->meters.total();
  stats->executions = counts.executions;
  stats->replays = counts.replays;
  stats->busy = counts.busy;
  stats->mismatches = counts.mismatches;
  auto tallies = impl_->kept_tallies.all();
  if (!tallies) return pass(tallies);
  add_tallies(*stats, *tallies);
  return stats;
}

Result<Figures> Store::figures(const FiguresOptions& options) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  Figures figures;
  figures.total = impl_->meters.total();
  figures.labels = impl_->meters.labels();
  const engine::CommitCounts commits = impl_->engine->commit_counts();
  figures.commits = commits.commits;
  figures.syncs = commits.syncs;
  const metrics::DeliveryCounts deliveries = impl_->meters.deliveries();
  figures.events_delivered = deliveries.delivered;
  figures.delivery_failures = deliveries.failures;
  figures.dead_letters = deliveries.dead;
  if (options.stats) {
    auto found = stats();
    if (!found) return pass(found);
    figures.stats = std::move(*found);
  }
  return figures;
}

Result<std::uint64_t> Store::publish(Event event, Durability durability) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  if (auto checked = check_event(event, impl_->options); !checked) return pass(checked);
  event.created_at = impl_->engine->now();
  event.status = EventStatus::pending;
  event.retries = 0;
  event.published_at = event.expires_at = event.next_attempt_at = {};
  event.last_error.clear();
  if (event.id.empty()) event.id = uuid_v7(event.created_at);
  if (auto put = impl_->engine->append(std::span(&event, 1), durability); !put) return pass(put);
  impl_->waiters.notify(Impl::relay_key());
  return event.sequence;
}

Result<void> Store::events(const EventOptions& options,
                           const std::function<bool(const Event&)>& visit) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  return visit_rows<Event>(
      *impl_->engine, {.table = Table::outbox, .after = options.after}, [&](const Event& event) {
        return (options.status && event.status != *options.status) || visit(event);
      });
}

Result<void> Store::save_checkpoint(const Reservation& reservation, ByteView name, ByteView data,
                                    Durability durability) {
  if (auto checked = check_checkpoint(name, data, impl_->options); !checked) return checked;
  auto saved = impl_->transition<std::monostate>(
      reservation.key, durability, [&](const ledger::Moment& moment) {
        return ledger::save_checkpoint(
            moment, reservation.token,
            {.name = std::string(name), .data = Bytes(data), .token = {}});
      });
  if (!saved) return pass(saved);
  return {};
}

Result<std::vector<Checkpoint>> Store::load_checkpoints(const Key& key) {
  auto found = find(key);
  if (!found) return pass(found);
  std::vector<Checkpoint> checkpoints;
  if (!*found) return checkpoints;
  const Token origin = (*found)->record.origin;
  auto visited = visit_rows<CheckpointRow>(
      *impl_->engine, {.table = Table::checkpoints, .key = key}, [&](const CheckpointRow& row) {
        // What an earlier life of the key left is not of this run.
        if (row.checkpoint.token >= origin) checkpoints.push_back(row.checkpoint);
        return true;
      });
  if (!visited) return pass(visited);
  std::ranges::sort(checkpoints, {}, &Checkpoint::sequence);
  return checkpoints;
}

Result<SweepReport> Store::sweep(const Progress& progress) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  return impl_->engine->sweep(progress);
}

Result<CompactReport> Store::compact(const Progress& progress) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  return impl_->engine->compact(progress);
}

Result<void> Store::rows(Table table, const std::function<bool(const Row&)>& visit) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  auto reading = impl_->engine->read();
  if (!reading) return pass(reading);
  Result<void> failed;
  Key owner;  // of the checkpoint rows at hand
  std::optional<Record> record;
  const auto is_orphan = [&](const CheckpointRow& row) -> Result<bool> {
    if (row.key != owner) {
      auto found = (*reading)->find(row.key);
      if (!found) return pass(found);
      owner = row.key;
      record = *found ? std::optional((*found)->record) : std::nullopt;
    }
    return !record || row.checkpoint.token < record->origin;
  };
  auto visited = (*reading)->rows({.table = table}, [&](const Result<Row>& row) {
    if (!row) {
      failed = std::unexpected(row.error());
      return false;
    }
    if (const auto* checkpoint = std::get_if<CheckpointRow>(&*row)) {
      auto orphan = is_orphan(*checkpoint);
      if (!orphan) {
        failed = pass(orphan);
        return false;
      }
      if (*orphan) return true;
    }
    return visit(*row);
  });
  return visited ? failed : visited;
}

Result<void> Store::backup(std::string_view destination, const Progress& progress) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  auto loader = Loader::create(destination, impl_->options);
  if (!loader) return pass(loader);
  Result<void> added;
  std::uint64_t done = 0;
  auto visited = rows(Table::all, [&](const Row& row) {
    added = loader->add(row);
    if (progress && ++done % 1024 == 0) progress(done, 0, "rows");
    return added.has_value();
  });
  if (!visited) return visited;
  if (!added) return added;
  return loader->finish();
}

}  // namespace once
