// salvage(): the rows of a damaged store into a fresh one.
//
// Rows of different tables tell of the same key: its record, its outcome, its history and its
// checkpoints. Where one of them is lost or stale, the others say so, and the record is made anew
// from the newest of them. What it may then not look like is "never done":
//
//   lost                               saved
//   the outcome                        the record, with an outcome that says that it was lost
//   the record, not its outcome        completed or failed, with that outcome
//   the record, not its history        as history has it; a success without its outcome as above
//   all of the record but checkpoints  in doubt
//   all of it                          nothing, and the range that it was in is told
//
// Each of these gets a row of history, so that `once log` tells where it comes from.
#include "once/salvage.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/saturating.h"
#include "engine/salvage/salvage_reader.h"
#include "model/numbers.h"
#include "once/store.h"

namespace once {
namespace {

using engine::SalvageReader;

// Beyond all numbers that the store has given, where it is not known how often it was opened.
constexpr std::uint64_t opening_leap = std::uint64_t{1} << 20;
constexpr std::string_view lost_outcome_code = "outcome_lost";

bool keeps_outcome(Status status) {
  return status == Status::completed || status == Status::failed;
}

class Salvager {
 public:
  Salvager(SalvageReader& reader, Loader& loader, const SalvageOptions& options,
           SalvageReport& report)
      : reader_(reader), loader_(loader), options_(options), report_(report) {}

  Result<void> run();

 private:
  // What the tables tell of one key of which not all is sound.
  struct Traces {
    std::optional<Record> record{};  // sound, but not the newest
    std::optional<HistoryEntry> history{};
    std::optional<ResultRow> result{};
    std::string why{};
  };

  void lose(const Loss& loss);
  // False: the loader did not take it, which is told.
  Result<bool> add(Table table, const Row& row, std::string_view key);
  Result<void> read(Table table, const std::function<Result<void>(const Row&)>& take,
                    const engine::LossVisitor& lost);

  Result<void> look_at_history();
  Result<void> save_keys();
  Result<void> save_record(const Key& key, const Record& record);
  Result<void> save_lone_results();
  Result<void> save_traced();
  Result<void> save_removals();
  Result<void> save_checkpoints();
  Result<void> save_checkpoints_of(const Key& key, const std::vector<Checkpoint>& checkpoints);
  Result<void> save_table(Table table);

  Result<void> rebuild(const Key& key, const Traces& traces);
  Result<void> save_doubtful(const Key& key, Record record, std::uint64_t previous,
                             const std::string& why, const std::string& from);
  Result<void> save_rebuilt(const Key& key, Record record, std::optional<Outcome> outcome,
                            std::uint64_t previous, const std::string& why,
                            const std::string& from);
  [[nodiscard]] Record record_from(const Traces& traces) const;
  [[nodiscard]] Time expiry_of(const Record& record) const;
  std::optional<ResultRow> result_of(const Key& key);

  SalvageReader& reader_;
  Loader& loader_;
  const SalvageOptions& options_;
  SalvageReport& report_;
  SalvageReader::Facts facts_{};
  bool history_lost_ = false;
  Time now_{};
  std::uint64_t next_sequence_ = 0;
  // Keys of which history tells something newer than their record, or of which there is none.
  std::map<Key, HistoryEntry> later_;
  // Keys that history leaves live and that have no record, which is certain.
  std::map<Key, HistoryEntry> removed_;
  // Keys whose record cannot be told, and why.
  std::map<Key, std::string> untold_;
  // Keys that were saved otherwise than they stand in the store; nullopt: not at all.
  std::map<Key, std::optional<Record>> changed_;
};

void Salvager::lose(const Loss& loss) {
  ++report_.lost;
  history_lost_ = history_lost_ || loss.table == Table::history;
  if (options_.on_loss) options_.on_loss(loss);
}

Result<bool> Salvager::add(Table table, const Row& row, std::string_view key) {
  auto added = loader_.add(row);
  if (added) {
    if (++report_.rows % 1024 == 0 && options_.progress) {
      options_.progress(report_.rows, 0, "rows");
    }
    return true;
  }
  const ErrorCode code = added.error().code;
  if (code != ErrorCode::invalid_argument && code != ErrorCode::limit_exceeded) return pass(added);
  lose({.table = table, .key = std::string(key), .why = added.error().message});
  return false;
}

// Hands the rows of a table on, and ends at the first error of `take`.
Result<void> Salvager::read(Table table, const std::function<Result<void>(const Row&)>& take,
                            const engine::LossVisitor& lost) {
  Result<void> taken;
  auto visited = reader_.rows(
      table, facts_.now,
      [&](const Row& row) {
        taken = take(row);
        return taken.has_value();
      },
      lost);
  return visited ? taken : visited;
}

Result<void> Salvager::run() {
  for (const Loss& loss : reader_.losses()) lose(loss);
  auto facts = reader_.facts([this](const Loss& loss) { lose(loss); });
  if (!facts) return pass(facts);
  facts_ = *facts;
  const auto clock = options_.store.clock ? options_.store.clock : system_clock();
  now_ = facts_.now == Time{} ? clock->wall() : facts_.now;
  if (auto added = loader_.add(facts_.row); !added) return added;

  for (const auto step :
       {&Salvager::look_at_history, &Salvager::save_keys, &Salvager::save_lone_results,
        &Salvager::save_traced, &Salvager::save_removals, &Salvager::save_checkpoints}) {
    if (auto done = (this->*step)(); !done) return done;
  }
  for (const Table table : {Table::outbox, Table::history, Table::data}) {
    if (auto saved = save_table(table); !saved) return saved;
  }
  if (history_lost_ || reader_.tables_may_differ()) {
    // So that nobody looks for what is not there.
    facts_.row.history_gap =
        std::max(facts_.row.history_gap, model::opening_of(next_sequence_) - 1);
    if (auto added = loader_.add(facts_.row); !added) return added;
  }
  report_.mended = reader_.mended();
  report_.lost_log_bytes = reader_.lost_log_bytes();
  return reader_.check_unchanged();
}

Result<void> Salvager::look_at_history() {
  std::uint64_t opening = facts_.row.opening;
  auto looked = read(
      Table::history,
      [&](const Row& row) -> Result<void> {
        const auto& entry = std::get<HistoryEntry>(row);
        const std::uint64_t entry_opening = model::opening_of(entry.sequence);
        opening = std::max(opening, entry_opening);
        // What happened after it may not have been written down.
        if (!facts_.knows_gap || entry_opening <= facts_.row.history_gap) return {};
        auto record = reader_.find(Table::keys, entry.key);
        if (record && !*record && !reader_.tables_may_differ()) {
          removed_[entry.key] = entry;
          return {};
        }
        if (record && *record) {
          const Record& known = std::get<KeyRow>(**record).record;
          if (entry.sequence <= known.last_history || entry.token < known.token) return {};
        }
        later_[entry.key] = entry;
        return {};
      },
      [](const Loss&) {});  // told when they are saved
  if (facts_.row.opening == 0) opening += opening_leap;
  next_sequence_ = model::number_before(opening + 1);
  return looked;
}

Result<void> Salvager::save_keys() {
  return read(
      Table::keys,
      [this](const Row& row) {
        const auto& [key, record] = std::get<KeyRow>(row);
        return save_record(key, record);
      },
      [this](const Loss& loss) {
        // Of a single key the other tables may tell more.
        const auto key = Key::parse(loss.key);
        if (loss.key.empty() || !key) return lose(loss);
        untold_[*key] = loss.why;
      });
}

std::optional<ResultRow> Salvager::result_of(const Key& key) {
  auto row = reader_.find(Table::results, key);
  if (!row || !*row) return std::nullopt;
  return std::get<ResultRow>(std::move(**row));
}

Result<void> Salvager::save_record(const Key& key, const Record& record) {
  if (const auto later = later_.find(key); later != later_.end()) {
    return rebuild(key, {.record = record,
                         .history = later->second,
                         .result = result_of(key),
                         .why = "what was written last of its record is lost"});
  }
  const std::string name = key.to_string();
  if (!keeps_outcome(record.status)) {
    const auto result = reader_.tables_may_differ() ? result_of(key) : std::optional<ResultRow>();
    if (result && result->token >= record.token && expiry_of(record) > now_) {
      return rebuild(key, {.record = record,
                           .result = result,
                           .why = "what was written last of its record is lost"});
    }
    auto added = add(Table::keys, KeyRow{.key = key, .record = record}, name);
    return added ? Result<void>() : pass(added);
  }
  const auto found = reader_.find(Table::results, key);
  std::string why;
  if (!found) {
    why = found.error().message;
  } else if (!*found) {
    why = "it is not there";
  } else {
    const auto& result = std::get<ResultRow>(**found);
    if (result.token != record.token || record.outcome != result.outcome.digest()) {
      why = "the one that is there is not the one that its record tells of";
    }
  }
  if (!why.empty()) {
    return save_rebuilt(key, record, std::nullopt, record.last_history, "its outcome: " + why,
                        "its record");
  }
  auto added = add(Table::keys, KeyRow{.key = key, .record = record}, name);
  if (added && *added) added = add(Table::results, **found, name);
  return added ? Result<void>() : pass(added);
}

// Outcomes whose record is lost.
Result<void> Salvager::save_lone_results() {
  return read(
      Table::results,
      [this](const Row& row) -> Result<void> {
        const auto& result = std::get<ResultRow>(row);
        if (changed_.contains(result.key)) return {};
        const auto record = reader_.find(Table::keys, result.key);
        if (record && *record) return {};
        Traces traces{.result = result};
        if (const auto later = later_.find(result.key); later != later_.end()) {
          traces.history = later->second;
        }
        traces.why = record ? "its record is lost" : "its record: " + record.error().message;
        // Its record may also have been removed, and only that been written.
        if (record && !traces.history) {
          return save_doubtful(result.key, record_from(traces), 0,
                               "its record is lost, or was removed",
                               "an outcome of which nothing else tells");
        }
        return rebuild(result.key, traces);
      },
      [this](const Loss& loss) {
        // Of a key with a record it is told there.
        const auto key = Key::parse(loss.key);
        if (!loss.key.empty() && key) {
          const auto record = reader_.find(Table::keys, *key);
          if ((record && *record) || untold_.contains(*key)) return;
        }
        lose(loss);
      });
}

// Keys whose record is lost, and of whose outcome nothing is there.
Result<void> Salvager::save_traced() {
  for (const auto& [key, entry] : later_) {
    if (changed_.contains(key)) continue;
    const auto untold = untold_.find(key);
    if (untold == untold_.end() && entry.what != What::removed) {
      // Its record may also have been removed, and only that been written.
      Record doubtful = record_from({.history = entry});
      if (expiry_of(doubtful) <= now_) continue;
      auto saved = save_doubtful(key, std::move(doubtful), entry.sequence,
                                 "its record is lost, or was removed", "its history");
      if (!saved) return saved;
      continue;
    }
    auto rebuilt = rebuild(key, {.history = entry,
                                 .why = untold == untold_.end() ? "its record is lost"
                                                                : "its record: " + untold->second});
    if (!rebuilt) return rebuilt;
  }
  for (const auto& [key, why] : untold_) {
    if (!changed_.contains(key)) {
      lose({.table = Table::keys, .key = key.to_string(), .why = why});
    }
  }
  return {};
}

// Where the row of history that tells of a removal is lost, the one before must not look as if the
// record were missing.
Result<void> Salvager::save_removals() {
  for (const auto& [key, entry] : removed_) {
    const bool over = is_finished(entry.status) && entry.deadline <= now_;
    if (entry.what == What::removed || over || changed_.contains(key)) continue;
    const HistoryEntry removal{.sequence = ++next_sequence_,
                               .previous = entry.sequence,
                               .time = now_,
                               .key = key,
                               .what = What::removed,
                               .status = entry.status,
                               .token = entry.token,
                               .attempt = entry.attempt,
                               .note = "salvaged: there is no record"};
    auto added = add(Table::history, removal, std::to_string(removal.sequence));
    if (!added) return pass(added);
  }
  return {};
}

Time Salvager::expiry_of(const Record& record) const {
  return is_finished(record.status) ? record.expires_at : Time::max();
}

// The record as the newest of the traces has it.
Record Salvager::record_from(const Traces& traces) const {
  Record record = traces.record.value_or(Record{.on_abandon = OnAbandon::in_doubt, .attempt = 1});
  const std::optional<HistoryEntry>& entry = traces.history;
  const bool by_result = traces.result && (!entry || traces.result->token >= entry->token);
  const Token token = by_result ? traces.result->token : entry ? entry->token : record.token;
  const bool same_reservation = traces.record && traces.record->token == token;
  if (!same_reservation) {
    record.fingerprint.reset();
    record.fields.clear();
    record.holder = {};
  }
  record.token = token;
  if (record.origin == Token{} || record.origin > token) record.origin = token;
  record.outcome.reset();
  record.lease_until = {};
  if (entry) {
    record.attempt = std::max<std::uint32_t>(entry->attempt, 1);
    record.holder = entry->holder;
    record.status = entry->status;
    record.updated_at = entry->time;
    if (entry->status == Status::in_progress) record.lease_until = entry->deadline;
  }
  if (by_result) {
    const bool success = traces.result->outcome.kind == OutcomeKind::success;
    record.status = success ? Status::completed : Status::failed;
  }
  if (record.updated_at == Time{}) record.updated_at = now_;
  if (record.created_at == Time{}) record.created_at = record.updated_at;
  record.expires_at = {};
  if (is_finished(record.status)) {
    record.expires_at = by_result ? traces.result->expires_at : entry ? entry->deadline : Time{};
    if (record.expires_at == Time{}) record.expires_at = after(now_, ReserveOptions().retention);
  }
  if (record.retention == Duration{}) record.retention = ReserveOptions().retention;
  return record;
}

Result<void> Salvager::rebuild(const Key& key, const Traces& traces) {
  const std::optional<HistoryEntry>& entry = traces.history;
  const bool by_result = traces.result && (!entry || traces.result->token >= entry->token);
  const bool removed = entry && entry->what == What::removed &&
                       (!traces.result || traces.result->token <= entry->token);
  Record record = record_from(traces);
  if (removed || expiry_of(record) <= now_) {
    changed_[key] = std::nullopt;
    return {};
  }
  std::optional<Outcome> outcome;
  if (by_result && keeps_outcome(record.status)) outcome = traces.result->outcome;
  return save_rebuilt(key, std::move(record), std::move(outcome), entry ? entry->sequence : 0,
                      traces.why, by_result ? "its outcome" : "its history");
}

Result<void> Salvager::save_doubtful(const Key& key, Record record, std::uint64_t previous,
                                     const std::string& why, const std::string& from) {
  record.status = Status::in_doubt;
  record.on_abandon = OnAbandon::in_doubt;
  record.lease_until = {};
  record.expires_at = {};
  record.outcome.reset();
  return save_rebuilt(key, std::move(record), std::nullopt, previous, why, from);
}

// Saves a record that is not the one that was there; without its outcome if that is lost.
Result<void> Salvager::save_rebuilt(const Key& key, Record record, std::optional<Outcome> outcome,
                                    std::uint64_t previous, const std::string& why,
                                    const std::string& from) {
  const bool without = keeps_outcome(record.status) && !outcome;
  if (without && record.status == Status::completed) {
    outcome = Outcome::success();
    outcome->omitted_bytes = 1;
    outcome->message = "was lost when the store was damaged";
  } else if (without) {
    outcome = Outcome::failure(std::string(lost_outcome_code),
                               "it failed; how was lost when the store was damaged");
  }
  if (outcome) record.outcome = outcome->digest();
  record.last_history = ++next_sequence_;
  const std::string name = key.to_string();
  const HistoryEntry entry{
      .sequence = record.last_history,
      .previous = previous,
      .time = now_,
      .deadline = record.status == Status::in_progress ? record.lease_until : record.expires_at,
      .key = key,
      .what = What::resolved,
      .status = record.status,
      .token = record.token,
      .attempt = record.attempt,
      .note = fmt::format("salvaged: made anew from {}{}", from,
                          without ? ", without its outcome" : "")};
  auto added = add(Table::keys, KeyRow{.key = key, .record = record}, name);
  if (added && *added) added = add(Table::history, entry, std::to_string(entry.sequence));
  if (added && *added && outcome) {
    added = add(Table::results,
                ResultRow{.key = key,
                          .token = record.token,
                          .expires_at = record.expires_at,
                          .outcome = std::move(*outcome)},
                name);
  }
  if (!added) return pass(added);
  if (!*added) return {};
  ++report_.rebuilt;
  lose({.table = without && from == "its record" ? Table::results : Table::keys,
        .key = name,
        .why = why,
        .instead = fmt::format("{}, made anew from {}{}", to_string(record.status), from,
                               without ? ", without its outcome" : "")});
  changed_[key] = std::move(record);
  return {};
}

Result<void> Salvager::save_checkpoints() {
  Key owner;
  std::vector<Checkpoint> of_owner;
  auto saved = read(
      Table::checkpoints,
      [&](const Row& row) -> Result<void> {
        const auto& [key, checkpoint] = std::get<CheckpointRow>(row);
        if (key != owner) {
          if (auto done = save_checkpoints_of(owner, of_owner); !done) return done;
          owner = key;
          of_owner.clear();
        }
        of_owner.push_back(checkpoint);
        return {};
      },
      [this](const Loss& loss) { lose(loss); });
  return saved ? save_checkpoints_of(owner, of_owner) : saved;
}

Result<void> Salvager::save_checkpoints_of(const Key& key,
                                           const std::vector<Checkpoint>& checkpoints) {
  if (checkpoints.empty()) return {};
  std::optional<Record> record;
  bool certain = true;
  std::string why = "its record is lost";
  if (const auto changed = changed_.find(key); changed != changed_.end()) {
    record = changed->second;
  } else if (auto found = reader_.find(Table::keys, key); !found) {
    certain = false;
    why = "its record: " + found.error().message;
  } else if (*found) {
    record = std::get<KeyRow>(**found).record;
    if (expiry_of(*record) <= now_) return {};
  } else {
    certain = !reader_.tables_may_differ();
  }
  // They live as long as the record.
  if (!record && certain) return {};
  const Token newest = std::ranges::max(checkpoints, {}, &Checkpoint::token).token;
  if (!record || record->token < newest) {
    Record doubtful = record.value_or(
        Record{.origin = std::ranges::min(checkpoints, {}, &Checkpoint::token).token});
    doubtful.token = newest;
    doubtful.updated_at = now_;
    if (doubtful.created_at == Time{}) doubtful.created_at = now_;
    if (doubtful.retention == Duration{}) doubtful.retention = ReserveOptions().retention;
    const std::uint64_t previous = doubtful.last_history;
    if (auto saved = save_doubtful(key, doubtful, previous, why, "its checkpoints"); !saved) {
      return saved;
    }
    record = doubtful;
  }
  for (const Checkpoint& checkpoint : checkpoints) {
    if (checkpoint.token < record->origin) continue;  // of an earlier life
    auto added = add(Table::checkpoints, CheckpointRow{.key = key, .checkpoint = checkpoint},
                     key.to_string() + " " + escape(checkpoint.name));
    if (!added) return pass(added);
  }
  return {};
}

Result<void> Salvager::save_table(Table table) {
  return read(
      table,
      [this, table](const Row& row) -> Result<void> {
        std::string key;
        if (const auto* event = std::get_if<Event>(&row)) key = std::to_string(event->sequence);
        if (const auto* entry = std::get_if<HistoryEntry>(&row)) {
          key = std::to_string(entry->sequence);
        }
        if (const auto* data = std::get_if<DataRow>(&row)) key = escape(data->key);
        auto added = add(table, row, key);
        return added ? Result<void>() : pass(added);
      },
      [this](const Loss& loss) { lose(loss); });
}

}  // namespace

Result<SalvageReport> salvage(std::string_view damaged, std::string_view fresh,
                              const SalvageOptions& options) {
  Options reading = options.store;
  reading.read_only = true;
  auto reader =
      SalvageReader::open(std::string(damaged), reading,
                          {.allow_network_file_system = options.store.allow_network_file_system});
  if (!reader) return pass(reader);
  auto loader = Loader::create(fresh, options.store);
  if (!loader) return pass(loader);
  SalvageReport report;
  if (auto saved = Salvager(**reader, *loader, options, report).run(); !saved) return pass(saved);
  if (auto finished = loader->finish(); !finished) return pass(finished);

  if (options.progress) options.progress(0, 0, "verifying what was saved");
  reading = options.store;
  reading.read_only = true;
  reading.damaged_log = DamagedLog::refuse;
  auto store = Store::open(fresh, reading);
  if (!store) return pass(store);
  auto verified = store->verify(options.progress);
  if (!verified) return pass(verified);
  report.problems = std::move(verified->problems);
  return report;
}

}  // namespace once
