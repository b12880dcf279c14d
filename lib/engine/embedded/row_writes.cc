#include "engine/embedded/row_writes.h"

#include <algorithm>

#include "base/saturating.h"
#include "model/checkpoint_codec.h"
#include "model/event_codec.h"
#include "model/history_codec.h"
#include "model/key_codec.h"
#include "model/meta.h"
#include "model/record_codec.h"
#include "model/result_codec.h"

namespace once::engine {

void append_rows(std::vector<RowWrite>& rows, const Key& key, Change&& change, Time now,
                 const Options& options, const std::vector<Bytes>& checkpoint_keys) {
  const Bytes row_key = model::encode_key(key);
  const bool history = change.history && options.history;
  if (history) {
    const Time until = after(now, options.history_retention);
    rows.push_back({.table = Table::history,
                    .value = model::encode_history(*change.history, until),
                    .numbered = Numbered::as_key});
  }
  if (change.put) {
    if (change.history && !history) change.put->last_history = 0;
    rows.push_back({.table = Table::keys,
                    .key = row_key,
                    .value = model::encode_record(*change.put),
                    .numbered = history ? Numbered::last_history : Numbered::no});
  }
  if (change.outcome) {
    rows.push_back({.table = Table::results,
                    .key = row_key,
                    .value = model::encode_result({.token = change.put->token,
                                                   .expires_at = change.put->expires_at,
                                                   .outcome = std::move(*change.outcome)})});
  } else if (change.drop_outcome || change.remove) {
    rows.push_back({.table = Table::results, .key = row_key, .erase = true});
  }
  if (change.remove) {
    rows.push_back({.table = Table::keys, .key = row_key, .erase = true});
    for (const Bytes& checkpoint : checkpoint_keys) {
      rows.push_back({.table = Table::checkpoints, .key = checkpoint, .erase = true});
    }
  }
  for (const Checkpoint& checkpoint : change.checkpoints) {
    rows.push_back({.table = Table::checkpoints,
                    .key = model::encode_checkpoint_key(key, checkpoint.name),
                    .value = model::encode_checkpoint(checkpoint),
                    .numbered = Numbered::in_value});
  }
  for (const Event& event : change.events) {
    rows.push_back({.table = Table::outbox,
                    .value = model::encode_event(event),
                    .numbered = Numbered::as_key});
  }
}

void append_outbox_rows(std::vector<RowWrite>& rows, const OutboxChange& change,
                        std::uint64_t from) {
  // Settled events in front of the cursor have no row that says they were left behind.
  const auto forget = [&](std::uint64_t sequence) {
    if (sequence > from) return;
    rows.push_back({.key = model::encode_outbox_left(sequence), .erase = true});
  };
  const std::uint64_t new_from = std::max(from, change.from);
  for (const std::uint64_t sequence : change.left) {
    rows.push_back({.key = model::encode_outbox_left(sequence)});
  }
  for (const Event& event : change.put) {
    rows.push_back({.table = Table::outbox,
                    .key = model::encode_sequence(event.sequence),
                    .value = model::encode_event(event)});
    if (event.status == EventStatus::delivered) {
      forget(event.sequence);
    } else if (event.sequence <= new_from) {
      rows.push_back({.key = model::encode_outbox_left(event.sequence)});
    }
  }
  for (const std::uint64_t sequence : change.erase) {
    rows.push_back(
        {.table = Table::outbox, .key = model::encode_sequence(sequence), .erase = true});
    forget(sequence);
  }
  if (new_from != from) {
    rows.push_back({.key = Bytes(model::outbox_from_row), .value = model::encode_u64(new_from)});
  }
}

}  // namespace once::engine
