#include "workflow/loaded_run.h"

#include <algorithm>

#include "base/error.h"
#include "ledger/transitions.h"

namespace once::workflow {
namespace {

// One checkpoint of the run's key. What has another name is not ours.
Result<void> take(const Checkpoint& checkpoint, LoadedRun& loaded) {
  const std::string_view name = checkpoint.name;
  if (name == run_row) {
    auto run = decode_run(checkpoint.data);
    if (!run) return pass(run);
    loaded.run = std::move(*run);
  } else if (name == progress_row) {
    auto progress = decode_progress(checkpoint.data);
    if (!progress) return pass(progress);
    loaded.progress = std::move(*progress);
  } else if (name.starts_with(node_prefix)) {
    auto node = decode_node(checkpoint.data);
    if (!node) return pass(node);
    loaded.nodes[std::string(name.substr(node_prefix.size()))] = {.row = std::move(*node),
                                                                  .token = checkpoint.token};
  } else {
    return {};
  }
  if (checkpoint.sequence > loaded.checkpoint_id) {
    loaded.checkpoint_id = checkpoint.sequence;
    loaded.checkpoint_at = checkpoint.created_at;
  }
  return {};
}

// The checkpoints of a run whose record was found, and whether somebody is at work on it.
Result<void> take_all(Store::Impl& store, engine::Reading& reading, const Key& key,
                      LoadedRun& loaded) {
  const Record& record = loaded.found->record;
  const Liveness owner =
      record.holder == store.self ? Liveness::running : store.processes->liveness(record.holder);
  loaded.held = ledger::is_held(record, loaded.now, owner);
  Result<void> taken;
  auto visited =
      reading.rows({.table = Table::checkpoints, .key = key}, [&](const Result<Row>& row) {
        if (!row) {
          taken = std::unexpected(row.error());
          return false;
        }
        const auto& checkpoint = std::get<CheckpointRow>(*row).checkpoint;
        // What an earlier life of the key left is not of this run.
        if (checkpoint.token >= record.origin) {
          taken = take(checkpoint, loaded);
        }
        return taken.has_value();
      });
  return visited ? taken : visited;
}

}  // namespace

std::optional<Time> LoadedRun::sleeping_until() const {
  if (!found || found->record.status != Status::released) return std::nullopt;
  if (progress.sleeps_until) {
    return *progress.sleeps_until == Time{} ? std::nullopt : progress.sleeps_until;
  }
  // Given back by an earlier version, which did not tell: as well as the nodes do. It takes a timer
  // behind a failure that the function went on from for a failure.
  std::optional<Time> until;
  for (const auto& [name, node] : nodes) {
    if (node.row.status == NodeStatus::failed || node.row.status == NodeStatus::running) {
      return std::nullopt;
    }
    if (node.row.status != NodeStatus::sleeping) continue;
    until = until ? std::min(*until, node.row.due) : node.row.due;
  }
  return until;
}

Result<LoadedRun> load_run(Store::Impl& store, const Key& key) {
  auto in_use = store.use(key);
  if (!in_use) return pass(in_use);
  auto reading = store.engine->read();
  if (!reading) return pass(reading);
  LoadedRun loaded{.now = (*reading)->now()};
  auto found = (*reading)->find(key);
  if (!found) return pass(found);
  if (!*found) return loaded;
  loaded.found = std::move(**found);
  if (auto read = take_all(store, **reading, key, loaded); !read) return pass(read);
  return loaded;
}

LoadedRun load_what_can_be(Store::Impl& store, engine::Reading& reading, const Key& key,
                           const Record& record) {
  LoadedRun loaded{.now = reading.now(), .found = Found{.record = record}};
  auto found = reading.find(key);
  auto read = found ? Result<void>() : Result<void>(pass(found));
  if (read && *found) loaded.found = std::move(**found);
  if (read) read = take_all(store, reading, key, loaded);
  if (!read) loaded.unreadable = std::move(read.error());
  return loaded;
}

}  // namespace once::workflow
